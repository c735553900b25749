"""Objects for training made from images alone: fitted shapes, and blends of two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray

from recon.arguments import Seed
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.shards import Paths
from recon.files import atomic_file
from recon.fitting.shape.fitter import Cube, ShapeStage, fit_shape, read_template
from recon.fitting.shape.view_files import views_of_object
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.meshes import icosphere
from recon.preparation.sources.interface import ObjectEntry, fingerprint

# Counted up whenever the same images give other meshes.
VERSION = 1
# Fewer steps than a fit whose result is looked at: half the time, and more detail than images of 64
# pixels show is not needed.
STAGES = (
    ShapeStage(steps=100, learning_rate=0.02),
    ShapeStage(steps=50, sigma=(1e-4, 2e-5), loss="squared", color=0.1),
)
# Vertices of the sphere that is deformed: 642, those of the decoder.
SUBDIVISIONS = 3
# The share of the other object in a blend. Below the least a blend is nearly the object itself, and
# above the greatest it is the blend of the other one.
SHARES = (0.15, 0.6)

# Vertices and colours [V, 3] of a fitted mesh, in the frame of models.
Fitted = tuple[NDArray[np.float64], NDArray[np.float64]]


class FittedSource:
    """Shapes that were fitted to the images of training objects, and blends of these.

    Nothing is read of an object but its images, masks and cameras, so a network that learns from
    the result has still seen no 3D. All fits deform one sphere, so the mean of two of them is a
    shape as well: a blend lies between two objects of a category, as near to the first as to the
    second or nearer. Fits are kept in a folder, where a later run finds them.

    Args:
        path: The prepared file or files with the images; objects of the split 'train' are taken.
        blends: The number of blends of each object with others of its category and licence; an
            object without such others has none.
        cache_dir: The folder of the fits.
        seed: The seed of the blends.

    Raises:
        ValueError: If a number is out of range, or a file is not valid or has no training objects.
        FileNotFoundError: If there is no such file.
    """

    name = "fitted"

    def __init__(
        self,
        path: Paths,
        blends: Annotated[int, Ge(0), Le(1000)] = 3,
        cache_dir: str | Path = "data/fitted",
        seed: Seed = 0,
    ) -> None:
        if blends < 0 or seed < 0:
            raise ValueError(f"blends and seed must be >= 0, got {blends} and {seed}")
        self._data = MultiViewDataset(path, "train")
        self._blends, self._seed, self._cache = blends, seed, Path(cache_dir)
        self._made_of = fingerprint([VERSION, self._data.configs()])
        alike = defaultdict(list)
        for index in range(len(self._data)):
            alike[self._kind(index)].append(index)
        # Of each object the others with which it is blended.
        self._partners = {
            index: [other for other in alike[self._kind(index)] if other != index]
            for index in range(len(self._data))
        }
        # Every object that is made: what it is made of, and the number of the blend or 0.
        self._made = {
            entry.id: (entry, index, number)
            for index in range(len(self._data))
            for number in range(1 + (blends if self._partners[index] else 0))
            for entry in [self._entry(index, number)]
        }

    def config(self) -> dict[str, Any]:
        """Returns the configuration, and that of the images."""
        return {
            "source": self.name,
            "version": VERSION,
            "data": self._made_of,
            "blends": self._blends,
            "seed": self._seed,
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the fitted objects in the order of the file, each followed by its blends."""
        return [entry for entry, _, _ in self._made.values()]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Returns a fitted mesh or a blend: front +X, up +Y, box centred, longest side 1.

        Raises:
            OSError: If the images cannot be read, or the folder of fits cannot be written.
        """
        _, index, number = self._made[entry.id]
        vertices, colors = self._fitted(index)
        if number:
            rng = np.random.Generator(
                np.random.Philox(np.random.SeedSequence([self._seed, index, number]))
            )
            others = self._fitted(int(rng.choice(self._partners[index])))
            share = rng.uniform(*SHARES)
            vertices, colors = (
                own + share * (other - own)
                for own, other in zip((vertices, colors), others, strict=True)
            )
        # The world is a mirror image of the frame of models, so faces are turned round.
        faces = icosphere(SUBDIVISIONS).faces.flip(1).numpy()
        rgba = np.ones((len(faces), 4), np.float32)
        rgba[:, :3] = colors[faces].mean(axis=1)
        return TexturedMesh(vertices, faces, rgba, np.zeros(len(faces), np.int64)).normalized()

    def _kind(self, index: int) -> tuple[str, str]:
        return self._data.synsets[index], self._data.licences[index]

    def _entry(self, index: int, number: int) -> ObjectEntry:
        data = self._data
        what = f"blended-{self._seed}-{number:03d}" if number else "fitted"
        return ObjectEntry(
            id=f"{data.ids[index]}-{what}",
            name=f"{data.names[index]} ({what})",
            synset=data.synsets[index],
            group=data.groups[index],
            split="train",
            licence=data.licences[index],
            fingerprint=fingerprint([self._made_of, data.ids[index], self._seed, number]),
        )

    def _fitted(self, index: int) -> Fitted:
        """Returns the mesh of an object, from the folder of fits if it is there."""
        object_id = self._data.ids[index]
        path = self._cache / f"{object_id}-{fingerprint([self._made_of, object_id])}.npz"
        if path.is_file():
            with np.load(path) as stored:
                return stored["vertices"], stored["colors"]
        fitted = _fit(self._data, object_id)
        self._cache.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, vertices=fitted[0], colors=fitted[1])
        return fitted


def _fit(data: MultiViewDataset, object_id: str) -> Fitted:
    """Deforms the sphere to all images of an object."""
    cube = Cube()
    views, template = views_of_object(data, object_id), read_template("sphere", cube, SUBDIVISIONS)
    with _one_thread():
        fit = fit_shape(views, template, STAGES, cube, colors=True)
    if fit.state.colors is None:
        raise AssertionError("a fit with colors=True has colours")
    vertices = fit.state.mesh().vertices
    return vertices.double().numpy(), fit.state.colors.double().cpu().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch use one thread: sums of several are added in another order, and fits differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
