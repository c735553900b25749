"""Objects, seeded problems and compared methods of the benchmark of poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.articulation.humanoid import humanoid_limits, make_humanoid
from recon.fitting.fit import fit
from recon.fitting.pose.files import read_colored_mesh
from recon.fitting.pose.fitter import COARSE, FINE, PoseFitter, Poses
from recon.fitting.stages import StagedFit
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import (
    axis_angle_to_rotation,
    random_rotations,
    random_turns,
    rotation_to_axis_angle,
)
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.schedules import Geometric

# The setting of Le Lidec et al. (NeurIPS 2021) as their code has it: a cube of half side 1 in six
# colours, black behind it, distance 6.7, elevation 30, azimuth 120 from their axes, fov 60,
# intensities 0.5 of ambient and 0.3 of diffuse light from (0, 2, -2). Theirs is a point light with
# a highlight of 0.2 and smooth normals; ours comes from the same side, without a highlight, on
# flat faces.
VIEW = {"azimuth": 60.0, "elevation": 30.0, "distance": 6.7, "fov": 60.0}
LIGHT = Lighting(0.5, 0.3, (0.0, 1.0, -1.0))
CUBE_COLORS = ((1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0.647, 0))
# Other objects are so much larger than the cube.
SCALE = 2.0
# Starts of the position, where that is unknown, lie this far from the truth (standard deviation
# along each axis), in half sides of the object's box.
SHIFT = 0.3
# Problems that are solved at once: what these need fits into the caches of a processor.
PART = 20


@dataclass(frozen=True, eq=False)
class Problems:
    """N images of an object in poses which are known, and where to start.

    Args:
        mesh: The mesh of the object.
        images: [N, 4, S, S] sharp, lit images.
        cameras: The N cameras of the images.
        truth: The N true poses.
        start: The N poses from which fits start.
    """

    mesh: Mesh
    images: Tensor
    cameras: Cameras
    truth: Poses
    start: Poses

    def parts(self) -> Iterator[Problems]:
        """Yields all problems, at most `PART` at once."""
        for first in range(0, len(self.images), PART):
            part = slice(first, first + PART)
            yield Problems(
                self.mesh,
                self.images[part],
                self.cameras[part],
                self.truth[part],
                self.start[part],
            )


def cube() -> Mesh:
    """Returns a cube of half side 1 whose six sides have colours of their own."""
    signs = (-1.0, 1.0)
    vertices = torch.tensor([[x, y, z] for x in signs for y in signs for z in signs])
    faces = []
    for bit in (4, 2, 1):  # of the index of a vertex: its x, y, z
        one, other = (4, 2, 1)[(4, 2, 1).index(bit) - 2], (4, 2, 1)[(4, 2, 1).index(bit) - 1]
        for side in (0, bit):
            a, b, c, d = side, side + one, side + one + other, side + other
            quad = (a, b, c, d) if side else (a, d, c, b)
            faces += [(quad[0], quad[1], quad[2]), (quad[0], quad[2], quad[3])]
    colors = torch.tensor(CUBE_COLORS, dtype=torch.float32).repeat_interleave(2, 0)
    return Mesh(vertices, torch.tensor(faces), colors)


def humanoid() -> Mesh:
    """Returns the humanoid in a pose without any symmetry."""
    body = make_humanoid()
    angles = humanoid_limits().mean(-1)
    bends = {"left shoulder": (2, -0.8), "left elbow": (1, 1.5), "right shoulder": (1, -1.0),
             "right hip": (0, 0.9), "right knee": (0, -1.2)}  # fmt: skip
    for name, (axis, angle) in bends.items():
        angles[body.skeleton.names.index(name), axis] = angle
    return resized(replace(body.mesh, vertices=body.pose(angles[None])[0]))


def resized(mesh: Mesh) -> Mesh:
    """Centres a mesh and makes its greatest coordinate `SCALE`."""
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    centred = mesh.vertices - (low + high) / 2
    return replace(mesh, vertices=centred * (2 * SCALE / float((high - low).max())))


def read_object(name: str) -> Mesh:
    """Returns the cube, the humanoid, or the mesh in a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a mesh.
    """
    made = {"cube": cube, "figure": humanoid}
    return made[name]() if name in made else resized(read_colored_mesh(name).mesh)


def object_label(name: str) -> str:
    """Returns what tables call an object."""
    return Path(name).stem


def make_problems(
    mesh: Mesh, count: int, degrees: float, seed: int, image_size: int, shift: float = 0.0
) -> Problems:
    """Draws poses uniformly, and starts that are turned away from them about random axes.

    Args:
        mesh: The mesh of the object.
        count: The number N of problems.
        degrees: The angle between truth and start, in degrees.
        seed: The seed of the random numbers.
        image_size: The number of pixels along each side.
        shift: The standard deviation of the position of the start along each axis, object units.
    """
    generator = torch.Generator().manual_seed(seed)
    truth = Poses(random_rotations(count, generator), torch.zeros(count, 3))
    turns = random_turns(count, degrees, generator)
    away = shift * torch.randn(count, 3, generator=generator)
    one = torch.ones(count)
    cameras = Cameras.orbit(*(value * one for value in VIEW.values()))
    hard = SoftRenderer(image_size, distance="hard", alpha="hard", color="hard", lighting=LIGHT)
    assert mesh.face_colors is not None
    with torch.no_grad():
        images = hard(
            truth.apply(mesh.vertices),
            mesh.faces,
            mesh.face_colors.expand(count, -1, -1),
            cameras,
        )
    start = Poses(truth.rotation @ turns, away)
    return Problems(mesh, images.clamp(0, 1), cameras, truth, start)


# --- Methods: from problems to poses --------------------------------------------------------------

Method = Callable[[Problems, Interruption | None], Poses]


def fit_rgb(
    problems: Problems,
    sigma: tuple[float, float],
    gamma: tuple[float, float],
    learning_rate: tuple[float, float],
    steps: int,
    interruption: Interruption | None = None,
) -> Poses:
    """Minimises the mean squared difference of RGB alone, as the published method does.

    Args:
        problems: The problems, whose translation is known.
        sigma: The first and the last softness of edges, squared NDC units.
        gamma: The first and the last softness of depth, for near 1 and far 100.
        learning_rate: The first and the last learning rate of Adam for the axis-angle vector.
        steps: The number of updates. With constant sigma and gamma the best state of all steps
            counts.
        interruption: An entered context, whose signal ends the fit.
    """
    mesh, count = problems.mesh, len(problems.images)
    assert mesh.face_colors is not None
    colors = mesh.face_colors.expand(count, -1, -1)
    renderer = SoftRenderer(problems.images.shape[-1], lighting=LIGHT)
    vector = rotation_to_axis_angle(problems.start.rotation)
    fall = {
        name: Geometric(steps, last / first)
        for name, (first, last) in (("s", sigma), ("g", gamma), ("lr", learning_rate))
    }

    def loss(step: int) -> Tensor:
        poses = Poses(axis_angle_to_rotation(vector), problems.start.translation)
        image = renderer(
            poses.apply(mesh.vertices),
            mesh.faces,
            colors,
            problems.cameras,
            sigma=sigma[0] * fall["s"](step),
            gamma=gamma[0] * fall["g"](step),
        )
        return (image[:, :3] - problems.images[:, :3]).square().mean((1, 2, 3))

    still = sigma[0] == sigma[1] and gamma[0] == gamma[1]
    fit(
        {"vector": vector},
        loss,
        steps,
        learning_rate[0],
        schedule=fall["lr"],
        best_from=0 if still else steps,
        interruption=interruption,
        progress=None,
    )
    return Poses(axis_angle_to_rotation(vector.detach()), problems.start.translation)


def fit_channels(
    problems: Problems,
    fitter: PoseFitter,
    interruption: Interruption | None = None,
    start: Poses | None = None,
    move: bool = False,
) -> StagedFit[Poses]:
    """Runs `PoseFitter`, from other starts than those of the problems if there are any."""
    return fitter.fit(
        problems.mesh,
        problems.images,
        problems.cameras,
        problems.start if start is None else start,
        move=move,
        every=None,
        interruption=interruption,
        progress=None,
    )


def fit_many(
    problems: Problems,
    fitter: PoseFitter,
    starts: int,
    seed: int,
    interruption: Interruption | None = None,
) -> Poses:
    """Runs `PoseFitter` from further starts too, at random, and takes the least loss of each."""
    count = len(problems.images)
    generator = torch.Generator().manual_seed(seed)
    best, least = problems.start.rotation, torch.full((count,), torch.inf)
    for turn in range(starts):
        rotation = random_rotations(count, generator) if turn else problems.start.rotation
        start = Poses(rotation, problems.start.translation)
        found = fit_channels(problems, fitter, interruption, start)
        better = found.loss < least
        best = torch.where(better[:, None, None], found.state.rotation, best)
        least = torch.minimum(found.loss, least)
        if interruption is not None and interruption.signum is not None:
            break
    return Poses(best, problems.start.translation)


def make_methods(names: Sequence[str], starts: int = 8, seed: int = 0) -> dict[str, Method]:
    """Returns methods by name.

    Raises:
        ValueError: There is no method of that name.
    """
    ours = PoseFitter(darkest=0.5, colors=12)
    opaque = PoseFitter(replace(COARSE, gamma=(0.02, 0.02)), FINE, darkest=0.5, colors=12)
    known: dict[str, Method] = {
        # Published sigma, gamma, optimiser, learning rate and number of steps, and the best state.
        "fixed": lambda p, i: fit_rgb(p, (1e-3, 1e-3), (1e-2, 1e-2), (0.05, 0.05), 800, i),
        "scheduled": lambda p, i: fit_rgb(p, (1e-2, 1e-5), (1.0, 1e-3), (0.05, 0.005), 300, i),
        "opaque": lambda p, i: fit_channels(p, opaque, i).state,
        "channels": lambda p, i: fit_channels(p, ours, i).state,
        "moved": lambda p, i: fit_channels(p, ours, i, move=True).state,
        "multi": lambda p, i: fit_many(p, ours, starts, seed, i),
    }
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"methods must be of {', '.join(known)}; got {', '.join(unknown)}")
    return {name: known[name] for name in names}
