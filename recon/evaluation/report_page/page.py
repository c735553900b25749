"""The page as a whole: one HTML file which needs nothing else.

Whatever is shown lies in the file, and a policy in its head forbids the browser to load anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from tqdm import tqdm

from recon.evaluation.report_page.objects import KINDS, Gallery, plain_rows
from recon.evaluation.report_page.rendering import render, render_page
from recon.evaluation.report_page.selection import Pick, pick_objects, ranked
from recon.evaluation.report_page.truth import describe_truth
from recon.evaluation.result import EvaluationResult
from recon.evaluation.shown import ShownPredictions
from recon.evaluation.tables import title
from recon.files import write_text

# Browsers open more, but mail and chat programs often do not take files beyond 30 MB.
MAX_BYTES = 28_000_000
# Browsers take seconds to lay out a table of some hundred thousand cells.
MOST_ROWS = 1000


def write_report_page(
    result: EvaluationResult,
    shown: ShownPredictions,
    path: Path,
    *,
    key: str | None = None,
    worst: int = 3,
    median: int = 1,
    best: int = 1,
    max_bytes: int = MAX_BYTES,
    progress: bool | None = False,
) -> None:
    """Writes the page of an evaluation.

    Args:
        result: The evaluation.
        shown: The predictions which the values are of, and the objects.
        path: The file to write.
        key: Key of the metric by which objects are picked; None means the first metric.
        worst: How many of the worst objects of each category to show.
        median: How many of the objects in the middle.
        best: How many of the best objects.
        max_bytes: When the page has so many bytes, the objects that are left are not shown.
        progress: Whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: The model does not have the metric, or the data misses an object of the result.
        OSError: The file could not be written; what was there is as it was.
    """
    chosen = _metric_key(result, key)
    picks = pick_objects(result, chosen, worst, median, best)
    summary = render("summary.html", result=result, main_metric=result.metrics[0])
    origin = details(result, chosen)
    room = max_bytes - len(summary) - len(origin)
    gallery = _gallery(result, shown, chosen, picks, room, progress)
    left_out = len(picks) - len(gallery.cards)
    main = summary + _objects(gallery, describe_truth(shown.data), left_out) + origin
    shapes = gallery.shapes() if gallery.cards else None
    write_text(path, render_page("page.html", shapes, title=title(result), main=main))


def _metric_key(result: EvaluationResult, key: str | None) -> str:
    known = [metric.key for metric in result.metrics_of(result.predictors[0])]
    if key is not None and key not in known:
        raise ValueError(f"key must be a metric of the model ({', '.join(known)}), got {key!r}")
    return known[0] if key is None else key


def _gallery(
    result: EvaluationResult,
    shown: ShownPredictions,
    key: str,
    picks: Sequence[Pick],
    room: int,
    progress: bool | None,
) -> Gallery:
    places = {id_: index for index, id_ in enumerate(shown.data.ids)}
    for pick in picks:
        if pick.row.id not in places:
            raise ValueError(f"data must hold the objects of the result, it has no {pick.row.id}")
    gallery = Gallery(result, result.metric(key))
    hidden = None if progress is None else not progress
    for pick in tqdm(picks, desc="report", unit="object", disable=hidden):
        if gallery.size >= room:
            break
        gallery.add(pick, shown, places[pick.row.id])
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
