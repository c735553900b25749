"""Small parametric objects of all thirteen categories, made by code from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recon.arguments import ObjectCount, Seed
from recon.datasets.categories import CATEGORIES, Category, find_category
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.preparation.sources.interface import ObjectEntry, fingerprint
from recon.preparation.sources.shape_models import MODELS
from recon.preparation.sources.shape_models.parts import chance

# Counted up whenever the same seed gives other objects.
VERSION = 4

# The share of objects in one grey: about a fifth of the real models carry no materials.
UNPAINTED = 0.15


class ShapesSource:
    """Objects drawn from the parametric models; needs no files.

    Args:
        objects_per_category: How many of each; the first ones are the same for any number.
        categories: Names or synsets; None for all thirteen.
        seed: Of the proportions and colours, >= 0.
        split: The split of all objects; None divides each category 70/10/20.

    Raises:
        ValueError: If a category is unknown, a number is out of range or the split is no word.
    """

    name = "shapes"

    def __init__(
        self,
        objects_per_category: ObjectCount = 20,
        categories: Sequence[str] | None = None,
        seed: Seed = 0,
        split: str | None = None,
    ) -> None:
        if objects_per_category < 1:
            raise ValueError(f"objects_per_category must be >= 1, got {objects_per_category}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}")
        chosen = CATEGORIES if categories is None else [find_category(c) for c in categories]
        if not chosen:
            raise ValueError("categories must name at least one category, got none")
        self._categories = list(dict.fromkeys(chosen))
        self._count = objects_per_category
        self._seed = seed
        self._split = split
        self._drawn = {
            entry.id: (category, index)
            for category in self._categories
            for index, entry in enumerate(self._entries(category))
        }

    def config(self) -> dict[str, Any]:
        """Returns the configuration."""
        config = {
            "source": self.name,
            "version": VERSION,
            "seed": self._seed,
            "objects_per_category": self._count,
            "categories": [category.name for category in self._categories],
        }
        return config if self._split is None else {**config, "split": self._split}

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects, category by category."""
        return [entry for category in self._categories for entry in self._entries(category)]

    def _entries(self, category: Category) -> list[ObjectEntry]:
        alone = self._split is not None
        splits = [self._split or ""] * self._count if alone else split_words(self._count)
        return [
            ObjectEntry(
                id=f"{category.name}-{self._seed}-{index:05d}",
                name=f"generated {category.name} {index}",
                synset=category.synset,
                group=f"{category.name}-{self._seed}-{index:05d}",
                split=splits[index],
                licence="CC0-1.0",
                fingerprint=fingerprint([VERSION, self._seed, category.name, index]),
            )
            for index in range(self._count)
        ]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Makes one object: front +X, up +Y, bounding box centred, longest side 1."""
        category, index = self._drawn[entry.id]
        return make_shape(category.name, self._seed, index)


def make_shape(category: str, seed: int, index: int) -> TexturedMesh:
    """Returns the surface of one parametric object, a pure function of the arguments.

    Args:
        category: Name or synset.
        seed: Of the whole set.
        index: Of the object among those of its category.
    """
    found = find_category(category)
    sequence = np.random.SeedSequence([seed, int(found.synset), index])
    rng = np.random.Generator(np.random.Philox(sequence))
    parts = MODELS[found.name](rng)
    if chance(rng, UNPAINTED):
        grey = rng.uniform(0.45, 0.9)
        parts = [(solid, (grey, grey, grey)) for solid, _ in parts]
    solids = [solid for solid, _ in parts]
    sizes = [len(solid.faces) for solid in solids]
    starts = np.cumsum([0] + [len(solid.vertices) for solid in solids])
    colors = np.array([(*color, 1.0) for _, color in parts], np.float32)
    return TexturedMesh(
        vertices=np.concatenate([solid.vertices for solid in solids]),
        faces=np.concatenate([s.faces + start for s, start in zip(solids, starts, strict=False)]),
        face_rgba=colors.repeat(sizes, axis=0),
        face_objects=np.arange(len(parts)).repeat(sizes),
        object_names=("",) * len(parts),
    ).normalized()


def split_words(count: int) -> list[str]:
    """Returns the split of each of `count` objects of a category: 70 % train, 10 % val, 20 % test.

    From three objects on, every split has at least one.
    """
    if count < 3:
        return ["train", "test"][:count]
    val, test = max(1, round(0.1 * count)), max(1, round(0.2 * count))
    return ["train"] * (count - val - test) + ["val"] * val + ["test"] * test
