"""What a preset is: measures which belong together, with the samples and the scale they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.metrics.truth import Truth


@dataclass(frozen=True)
class Measure:
    """One number of a prediction.

    Args:
        key: its name in files, as 'chamfer_l1'.
        label: its name in tables, as 'Chamfer-L1'.
        scale: by what a table multiplies it: 100 shows a share in percent.
        higher_is_better: which way it improves.
    """

    key: str
    label: str
    scale: float = 1.0
    higher_is_better: bool = True


class Preset(Protocol):
    """An evaluation protocol of the literature.

    Attributes:
        name: of its source, as 'softras'.
        measures: what it measures, the most important one first.
        fields: which fields of `recon.datasets.storage.layout` an object must have.
    """

    @property
    def name(self) -> str: ...

    @property
    def measures(self) -> tuple[Measure, ...]: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        ...

    def require(self, layout: Layout) -> None:
        """Refuses a data set whose objects cannot be scored.

        Raises:
            ValueError: a field is missing or too small.
        """
        ...

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object.

        Args:
            vertices: [n, V, 3] in the world.
            faces: [F, 3] int64, of all predictions.
            truth: of the object, with what `fields` name.
            views: the n views from which the object was predicted.
            seed: of all sampling. What is drawn for a prediction depends on the seed and its
                view alone, see `recon.metrics.seeds.object_seed`.

        Returns:
            By the key of each measure [n] float64; NaN only where its documentation says so.

        Raises:
            ValueError: shapes disagree or the truth lacks something.
        """
        ...


def require_fields(preset: Preset, layout: Layout) -> None:
    """Refuses a layout without the fields of a preset.

    Raises:
        ValueError: naming the preset and what is missing.
    """
    present = layout.fields()
    missing = [name for name in preset.fields if name not in present]
    if missing:
        raise ValueError(
            f"preset {preset.name} needs the field {', '.join(missing)}, the data has only "
            f"{', '.join(present)}"
        )


def require_surface_points(preset: Preset, layout: Layout, count: int) -> None:
    """Refuses a layout with too few points of the surface.

    Raises:
        ValueError: naming the preset, what it needs and what is there.
    """
    if layout.num_surface_points < count:
        raise ValueError(
            f"preset {preset.name} needs {count} points of the surface, the data has "
            f"{layout.num_surface_points} of each object; make it with num_surface_points={count}"
        )
