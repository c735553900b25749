"""Fits shapes to colours alone, without masks, by the gradients of several rasterizers.

    python scripts/benchmarks/color_only.py DATA --output DIR [--objects 3] [--seeds 0 1 2]

The first test object of each of some categories starts as a grey sphere and is fitted, corners and
colours of vertices, to some of its images over a background. The loss is the mean absolute
difference of colours over the whole image, and terms of smoothness; no mask enters it. The
background is known, as if it had been photographed without the object: one colour, or random
patches, other ones in each view. The methods differ in the rasterizer alone. Results are judged in
views that were not fitted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recon.arguments import ObjectCount, PositiveInt, Seed, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.multiview import MultiViewDataset
from recon.files import atomic_file, csv_text, text_table, write_text
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import voxelize_mesh
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.metrics import voxel_iou
from recon.rendering.compositing import over_black
from recon.rendering.edge import EdgeGradientRenderer
from renderer_cuda import gather_faces, soft_rasterize

# (corners [B, F, 3, 3], colours [B, F, 3, 3], size, sigma, background [B, 3, H, W]) -> rgba.
Rasterize = Callable[[Tensor, Tensor, tuple[int, int], float, Tensor], Tensor]

GAMMA = 1e-4
# Wide edges first, to find the object; sharp ones at the end.
SIGMAS = (1e-3, 1e-5)
LEARNING_RATE = 0.01
# Beside the mean difference of colours, which is about 0.1 at the start.
LAPLACIAN, FLATTEN = 0.005, 1e-4
# Of the sphere at the start, in object units; the longest side of objects is 1.
RADIUS = 0.3
BACKGROUNDS = ("plain", "textured")


def rasterize_partially(
    corners: Tensor, colors: Tensor, size: tuple[int, int], sigma: float, background: Tensor
) -> Tensor:
    """Renders with the softmax over depth and the gradient of the released code."""
    return soft_rasterize(
        corners,
        colors,
        size,
        sigma=sigma,
        gamma=GAMMA,
        background=background,
        detach_barycentric=True,
    )


def rasterize_exactly(
    corners: Tensor, colors: Tensor, size: tuple[int, int], sigma: float, background: Tensor
) -> Tensor:
    """Renders with the softmax over depth and its exact gradient."""
    return soft_rasterize(corners, colors, size, sigma=sigma, gamma=GAMMA, background=background)


def rasterize_blended(
    corners: Tensor, colors: Tensor, size: tuple[int, int], sigma: float, background: Tensor
) -> Tensor:
    """Renders with the softmax over depth so warm that the background weighs against faces."""
    return soft_rasterize(corners, colors, size, sigma=sigma, gamma=1.0, background=background)


def rasterize_in_layers(
    corners: Tensor, colors: Tensor, size: tuple[int, int], sigma: float, background: Tensor
) -> Tensor:
    """Renders faces front to back over each other; a face is half covered at its edges."""
    return soft_rasterize(corners, colors, size, sigma=sigma, color="over", background=background)


def rasterize_in_clipped_layers(
    corners: Tensor, colors: Tensor, size: tuple[int, int], sigma: float, background: Tensor
) -> Tensor:
    """Renders faces front to back over each other; a face is wholly covered up to its edges."""
    return soft_rasterize(
        corners,
        colors,
        size,
        sigma=sigma,
        color="over",
        window="exp_clipped",
        background=background,
    )


METHODS: dict[str, Rasterize] = {
    "softmax, partial": rasterize_partially,
    "softmax, exact": rasterize_exactly,
    "softmax, exact, gamma 1": rasterize_blended,
    "over": rasterize_in_layers,
    "over, exp_clipped": rasterize_in_clipped_layers,
}


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects in the images that are fitted, and in those that judge the fit.

    Args:
        images: [N, n, 4, H, W] images in [0, 1] that are fitted.
        cameras: [N, n, 16] rows of their cameras.
        backgrounds: [N, n, 3, H, W] what is behind the objects in these images.
        other_images: [N, m, 4, H, W] images of other views.
        other_cameras: [N, m, 16] rows of their cameras.
        voxels: [N, R, R, R] the true occupancies.
    """

    images: Tensor
    cameras: Tensor
    backgrounds: Tensor
    other_images: Tensor
    other_cameras: Tensor
    voxels: Tensor

    @property
    def photographs(self) -> Tensor:
        """The images over their backgrounds, [N, n, 3, H, W]."""
        return over_black(self.images) + (1 - self.images[:, :, 3:]) * self.backgrounds


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of a fit: vertices and their colours [N, V, 3], and the seconds it took."""

    vertices: Tensor
    colors: Tensor
    seconds: float


def first_objects(data: MultiViewDataset, count: int) -> list[int]:
    """Returns the first object of each of the first categories of a data set.

    Raises:
        ValueError: If there are fewer categories.
    """
    first = {synset: index for index, synset in reversed(list(enumerate(data.synsets)))}
    if len(first) < count:
        raise ValueError(f"--objects must be at most {len(first)}, the categories, got {count}")
    return [first[synset] for synset in sorted(first)[:count]]


def make_scene(
    data: MultiViewDataset, objects: Sequence[int], views: int, background: str, seed: int
) -> Scene:
    """Reads objects and lays the views that are fitted over a background."""
    step = data.num_views // views
    fitted = list(range(0, step * views, step))
    others = [view for view in range(data.num_views) if view not in fitted]
    images = torch.stack([data.images(index, fitted) for index in objects]).float() / 255
    generator = torch.Generator().manual_seed(seed)
    if background == "plain":
        behind = torch.rand(3, 1, 1, generator=generator).expand_as(images[:, :, :3])
    else:
        patches = torch.rand(*images.shape[:2], 3, 8, 8, generator=generator)
        behind = torch.nn.functional.interpolate(patches.flatten(0, 1), images.shape[-2:])
        behind = behind.unflatten(0, images.shape[:2])
    return Scene(
        images,
        torch.stack([data.cameras(index, fitted) for index in objects]),
        behind.contiguous(),
        torch.stack([data.images(index, others) for index in objects]).float() / 255,
        torch.stack([data.cameras(index, others) for index in objects]),
        torch.stack([data.voxels(index) for index in objects]),
    )


def fit(scene: Scene, rasterize: Rasterize, steps: int, subdivisions: int, seed: int) -> Fit:
    """Fits a sphere to the photographs of each object."""
    sphere = icosphere(subdivisions)
    generator = torch.Generator().manual_seed(seed)
    start = sphere.vertices * RADIUS
    # No two faces lie at the same depth, where the order of faces would be arbitrary.
    start = start + 1e-3 * torch.randn(start.shape, generator=generator)
    count, views = scene.images.shape[:2]
    vertices = start.expand(count, -1, -1).clone().requires_grad_()
    logits = torch.zeros_like(vertices, requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [vertices]}, {"params": [logits], "lr": 0.05}], lr=LEARNING_RATE
    )
    laplacian, flatten = LaplacianLoss(sphere.faces, len(start)), FlattenLoss(sphere.faces)
    cameras = Cameras.from_rows(scene.cameras.flatten(0, 1))
    target, behind = scene.photographs.flatten(0, 1), scene.backgrounds.flatten(0, 1)
    size = (target.shape[2], target.shape[3])
    began = time.perf_counter()
    for step in range(steps):
        sigma = SIGMAS[0] * (SIGMAS[1] / SIGMAS[0]) ** (step / steps)
        projected = cameras.project(vertices.repeat_interleave(views, 0), size)
        colors = gather_faces(logits.sigmoid().repeat_interleave(views, 0), sphere.faces)
        rgba = rasterize(gather_faces(projected, sphere.faces), colors, size, sigma, behind)
        difference = (rgba[:, :3] - target).abs().mean() * count
        smoothness = LAPLACIAN * laplacian(vertices) + FLATTEN * flatten(vertices)
        optimizer.zero_grad()
        (difference + count * smoothness).backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    return Fit(vertices.detach(), logits.detach().sigmoid(), seconds)


def render(result: Fit, faces: Tensor, rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Renders the objects in cameras [N, m, 16], sharply and over black: [N, m, 4, H, W]."""
    count = rows.shape[1]
    cameras = Cameras.from_rows(rows.flatten(0, 1))
    vertices, colors = (x.repeat_interleave(count, 0) for x in (result.vertices, result.colors))
    renderer = EdgeGradientRenderer(size, anti_aliasing=4)
    return renderer(vertices, faces, gather_faces(colors, faces), cameras).unflatten(
        0, rows.shape[:2]
    )


def judge(scene: Scene, result: Fit, faces: Tensor) -> tuple[float, float, float]:
    """Returns voxel IoU, silhouette IoU and PSNR over black in views that were not fitted."""
    grids = voxelize_mesh(result.vertices, faces, scene.voxels.shape[1])
    voxels = voxel_iou(grids, scene.voxels).mean()
    images = scene.other_images
    made = render(result, faces, scene.other_cameras, (images.shape[3], images.shape[4]))
    drawn, truth = made[:, :, 3] > 0.5, images[:, :, 3] > 0.5
    overlap = (drawn & truth).sum((2, 3)) / (drawn | truth).sum((2, 3)).clamp(min=1)
    error = (made[:, :, :3] - over_black(images)).square().mean((2, 3, 4))
    return float(voxels), float(overlap.mean()), float(-10 * error.log10().mean())


def contact_sheet(pictures: Sequence[Tensor]) -> Image.Image:
    """Puts rows of images, each [n, 3, H, W] in [0, 1], one above the other."""
    rows = [torch.cat(list(images), 2) for images in pictures]
    array = (torch.cat(rows, 1).clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
    large = np.repeat(np.repeat(array, 2, 0), 2, 1)
    return Image.fromarray(large)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits with every method, before every background and for every seed."""
    parser = CommandParser(__doc__)
    parser.add_argument("data", metavar="DATA", help="a prepared file with voxels")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--objects", type=option_type(ObjectCount), default=3)
    parser.add_argument("--views", type=option_type(PositiveInt), default=6, help="fitted views")
    parser.add_argument("--steps", type=option_type(PositiveInt), default=200)
    parser.add_argument("--subdivisions", type=option_type(PositiveInt), default=2)
    parser.add_argument("--seeds", type=option_type(Seed), nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument(
        "--backgrounds", nargs="+", default=list(BACKGROUNDS), choices=list(BACKGROUNDS)
    )
    args = parser.parse_args(arguments)
    data = MultiViewDataset(args.data, "test")
    if not args.views < data.num_views:
        raise ValueError(
            f"--views must be less than the {data.num_views} views of the data, got {args.views}"
        )
    objects = first_objects(data, args.objects)
    faces = icosphere(args.subdivisions).faces
    table = [["background", "method", "seed", "voxel IoU %", "silhouette IoU %", "PSNR dB", "s"]]
    args.output.mkdir(parents=True, exist_ok=True)
    for background in args.backgrounds:
        for seed in args.seeds:
            scene = make_scene(data, objects, args.views, background, seed)
            shown = [scene.photographs[:, 1], over_black(scene.images[:, 1])]
            for name in args.methods:
                result = fit(scene, METHODS[name], args.steps, args.subdivisions, seed)
                voxels, outline, psnr = judge(scene, result, faces)
                values = [f"{100 * voxels:.2f}", f"{100 * outline:.2f}", f"{psnr:.2f}"]
                table.append([background, name, str(seed), *values, f"{result.seconds:.0f}"])
                print(*table[-1], flush=True)
                size = (scene.images.shape[3], scene.images.shape[4])
                shown.append(render(result, faces, scene.cameras[:, 1:2], size)[:, 0, :3])
            with atomic_file(args.output / f"{background}-{seed}.png") as file:
                contact_sheet(shown).save(file, "PNG")
            write_text(args.output / "color_only.csv", csv_text(table))
    print(text_table(table))


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
