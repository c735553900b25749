"""Published results, to be read beside ours and never mixed with them.

They were measured on the ShapeNet renderings of Kato et al. (24 views of 64 x 64, 13 categories),
unless a row says otherwise. On other data they are a rough orientation at best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon.datasets.categories import CATEGORIES
from recon.evaluation.result import MACRO, MODEL, EvaluationResult
from recon.evaluation.tables import unit_label, value_text
from recon.files import text_table
from recon.metrics import Metric
from recon.metrics.softras import IOU


@dataclass(frozen=True)
class Reference:
    """The published results of one method.

    Args:
        label: The name of the method in a table.
        paper: The authors and the title of the publication, and where to find it.
        protocol: The data on which the values were measured, and how.
        checked: Which of the values were compared with which source.
        values: The values of the thirteen categories in the order of `CATEGORIES`, in percent.
        mean: The published mean over the categories, in percent.
        metric: The key of the metric of our results that the values can be compared with.
    """

    label: str
    paper: str
    protocol: str
    checked: str
    values: tuple[float, ...]
    mean: float
    metric: str = IOU.key

    @property
    def by_category(self) -> dict[str, float]:
        """The values by the name of the category, and the mean."""
        names = [category.name for category in CATEGORIES]
        return {**dict(zip(names, self.values, strict=True)), MACRO: self.mean}


_SOFTRAS_PAPER = (
    "Liu et al., Soft Rasterizer: A Differentiable Renderer for Image-based 3D Reasoning, "
    "arXiv 1904.01786"
)
_SOFTRAS_PROTOCOL = "voxel IoU at 32^3, all 24 views; the released code evaluates the val split"


def _row(text: str) -> tuple[float, ...]:
    return tuple(float(cell) for cell in text.split())


_CELLS = "the cells give the mean, but were not compared with the paper"

REFERENCES: dict[str, tuple[Reference, ...]] = {
    "softras": (
        Reference(
            "NMR",
            "Kato et al., Neural 3D Mesh Renderer, CVPR 2018, arXiv 1711.07566",
            "voxel IoU at 32^3, all 24 views, test split",
            f"mean and airplane with a public index of results; {_CELLS}",
            _row("61.72 49.98 71.43 70.95 49.90 58.31 41.26 65.36 63.22 67.35 48.29 77.77 56.45"),
            60.15,
        ),
        Reference(
            "SoftRas silhouettes",
            _SOFTRAS_PAPER,
            _SOFTRAS_PROTOCOL,
            f"none; {_CELLS}",
            _row("64.19 50.80 71.16 76.97 52.70 61.56 46.28 66.54 68.11 68.78 44.87 78.95 59.53"),
            62.34,
        ),
        Reference(
            "SoftRas full",
            _SOFTRAS_PAPER,
            f"{_SOFTRAS_PROTOCOL}; trained on shaded images of their own",
            f"mean with what the authors say in their repository; {_CELLS}",
            _row("66.70 54.29 73.82 78.76 54.70 62.98 45.80 68.07 67.02 72.20 53.25 81.27 61.45"),
            64.64,
        ),
    ),
    "vpl": (
        Reference(
            "View priors",
            "Kato and Harada, Learning View Priors for Single-view 3D Reconstruction, CVPR 2019, "
            "arXiv 1811.10719",
            "voxel IoU at 32^3 on images of 224 x 224, ResNet-18, 20 views of each object to "
            "train on; their best model (shapenet_multi_color_nv20_uvr_cc_long)",
            "all figures with the output which the authors' repository prints",
            _row("69.15 59.79 72.10 80.44 60.35 59.31 50.27 67.39 66.41 65.48 60.27 76.76 61.67"),
            65.34,
        ),
    ),
}


def choose_references(names: str | Sequence[str] | None) -> list[Reference]:
    """Returns the references of some names.

    Args:
        names: One name or several names of `REFERENCES`; None chooses none.

    Raises:
        ValueError: There is no reference of a name.
    """
    wanted = [] if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in REFERENCES:
            raise ValueError(f"reference must be among {', '.join(REFERENCES)}, got {name!r}")
    return [reference for name in wanted for reference in REFERENCES[name]]


def require_reference_metric(references: Sequence[Reference], metrics: Sequence[Metric]) -> None:
    """Refuses references beside which a result with some metrics cannot be read.

    Raises:
        ValueError: The metrics lack the metric of a reference.
    """
    keys = {metric.key for metric in metrics}
    for reference in references:
        if reference.metric not in keys:
            raise ValueError(
                f"reference needs the metric {reference.metric}, which metrics=[softras] gives"
            )


def reference_rows(
    result: EvaluationResult, references: Sequence[Reference]
) -> tuple[list[list[str]], list[str]]:
    """Returns a table of published results beside those of a model, and notes on them.

    The published means are over thirteen categories, whichever ours has.

    Raises:
        ValueError: The result does not have the metric of the references.
    """
    require_reference_metric(references, result.metrics_of(MODEL))
    (key,) = {reference.metric for reference in references}
    metric, ours = result.metric(key), result.means[MODEL][key]
    counts = {category.name: category.objects for category in result.categories}
    rows = [["category", "objects", "ours", *(reference.label for reference in references)]]
    for name in [*(category.name for category in CATEGORIES), MACRO]:
        count = len(result.objects) if name == MACRO else counts.get(name, 0)
        own = value_text(ours[name].mean, metric) if name in ours else "-"
        published = [f"{reference.by_category[name]:.2f}" for reference in references]
        rows.append([name, str(count), own, *published])
    notes = [f"{unit_label(metric)}; published figures may be of other objects than ours"]
    if len(counts) != len(CATEGORIES):
        notes.append(f"our mean is over {len(counts)} categories, theirs over {len(CATEGORIES)}")
    for reference in references:
        notes.append(
            f"{reference.label}: {reference.paper}; {reference.protocol}; "
            f"checked: {reference.checked}"
        )
    return rows, notes


def reference_text(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Returns `reference_rows` for a terminal."""
    return f"{text_table(rows, total=True)}\n\n" + "\n".join(notes) + "\n"
