"""The page as a whole: one HTML file which needs nothing else.

Whatever is shown lies in the file, and a policy in its head forbids the browser to load anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from tqdm import tqdm

from recon.evaluation.corruption_table import CorruptionTable
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.report_page.objects import KINDS, Gallery, plain_rows
from recon.evaluation.report_page.rendering import render, render_page
from recon.evaluation.report_page.selection import Pick, pick_objects, ranked
from recon.evaluation.report_page.truth import describe_truth
from recon.evaluation.result import EvaluationResult
from recon.evaluation.tables import title
from recon.files import write_text

# Browsers open more, but mail and chat programs often do not take files beyond 30 MB.
MAX_BYTES = 28_000_000
# Browsers take seconds to lay out a table of some hundred thousand cells.
MOST_ROWS = 1000


def write_report_page(
    result: EvaluationResult,
    predictions: KeptPredictions,
    path: Path,
    *,
    key: str | None = None,
    worst: int = 3,
    median: int = 1,
    best: int = 1,
    max_bytes: int = MAX_BYTES,
    progress: bool | None = False,
    corruptions: CorruptionTable | None = None,
) -> None:
    """Writes the page of an evaluation.

    Args:
        result: The result of the evaluation.
        predictions: The predictions that were scored, and their objects.
        path: The path of the HTML file.
        key: The key of the metric by which objects are picked; None means the first metric.
        worst: The number of the worst objects of each category that are shown.
        median: The number of objects in the middle of each category that are shown.
        best: The number of the best objects of each category that are shown.
        max_bytes: The greatest size of the page in bytes; objects beyond it are left out.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        corruptions: What the model reaches on corrupted images; None shows nothing of them.

    Raises:
        ValueError: The model does not have the metric, or the data lack an object of the result.
        OSError: The file could not be written; an existing file is unchanged.
    """
    chosen = _metric_key(result, key)
    picks = pick_objects(result, chosen, worst, median, best)
    summary = render("summary.html", result=result, main_metric=result.metrics[0])
    if corruptions is not None:
        summary += render("corruptions.html", table=corruptions)
    origin = details(result, chosen)
    room = max_bytes - len(summary) - len(origin)
    gallery = _gallery(result, predictions, chosen, picks, room, progress)
    left_out = len(picks) - len(gallery.cards)
    main = summary + _objects(gallery, describe_truth(predictions.data), left_out) + origin
    shapes = gallery.shapes() if gallery.cards else None
    write_text(path, render_page("page.html", shapes, title=title(result), main=main))


def _metric_key(result: EvaluationResult, key: str | None) -> str:
    known = [metric.key for metric in result.metrics_of(result.predictors[0])]
    if key is not None and key not in known:
        raise ValueError(f"key must be a metric of the model ({', '.join(known)}), got {key!r}")
    return known[0] if key is None else key


def _gallery(
    result: EvaluationResult,
    predictions: KeptPredictions,
    key: str,
    picks: Sequence[Pick],
    room: int,
    progress: bool | None,
) -> Gallery:
    places = {id_: index for index, id_ in enumerate(predictions.data.ids)}
    for pick in picks:
        if pick.row.id not in places:
            raise ValueError(f"data must hold the objects of the result, it has no {pick.row.id}")
    gallery = Gallery(result, result.metric(key))
    hidden = None if progress is None else not progress
    for pick in tqdm(picks, desc="report", unit="object", disable=hidden):
        if gallery.size >= room:
            break
        gallery.add(pick, predictions, places[pick.row.id])
    return gallery


def _objects(gallery: Gallery, truth: str, left_out: int) -> Markup:
    if not gallery.cards:
        return Markup("")
    colors = (
        "Predictions have the colours which the network gives them, light and all."
        if gallery.colored
        else "The network predicts no colours."
    )
    text = (
        f"Objects of each category by {gallery.metric.label}, failures first. Of each, the view "
        f"whose value is nearest to the object's mean is shown. {truth} {colors} Drag to turn both "
        "meshes (sideways on a touch screen), Ctrl and wheel or + and - to zoom, double click for "
        "the view of the input."
    )
    if left_out:
        text += f" {left_out} more objects were left out to keep this file small."
    return render("objects.html", text=text, kinds=KINDS, sections=gallery.sections())


def details(result: EvaluationResult, key: str) -> Markup:
    """Returns the table of all objects, the worst first, and where the values come from."""
    return render(
        "details.html",
        result=result,
        model=result.predictors[0],
        rows=ranked(result, key)[::-1][:MOST_ROWS],
        about=plain_rows(dict(result.about)),
    )
