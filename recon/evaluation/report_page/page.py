"""The page as a whole: one HTML file which needs nothing else.

Whatever is shown lies in the file, and a policy in its head forbids the browser to load anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from tqdm import tqdm

from recon.evaluation.report_page.figures import MOST_ROWS, all_objects, metric_sections, overview
from recon.evaluation.report_page.html import element, table
from recon.evaluation.report_page.objects import Gallery, filters, plain_rows
from recon.evaluation.report_page.selection import Pick, pick_objects
from recon.evaluation.report_page.truth import describe_truth
from recon.evaluation.result import MACRO, Estimate, EvaluationResult, Metric
from recon.evaluation.shown import ShownPredictions
from recon.evaluation.tables import title, unit_label, value_text
from recon.files import write_text

# Browsers open more, but mail and chat programs often do not take files beyond 30 MB.
MAX_BYTES = 28_000_000

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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
        result: the figures.
        shown: the predictions which the values are of, and the objects.
        path: the file to write.
        key: of the metric by which objects are picked; None means the first.
        worst, median, best: how many objects of each category to show.
        max_bytes: when the page has so many bytes, the objects that are left are not shown.
        progress: whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: the model does not have the metric, or the data misses an object of the result.
        OSError: the file could not be written; what was there is as it was.
    """
    chosen = _metric_key(result, key)
    picks = pick_objects(result, chosen, worst, median, best)
    figures, appendix = _figures(result), _appendix(result, chosen)
    room = max_bytes - len(figures) - len(appendix)
    gallery = _gallery(result, shown, chosen, picks, room, progress)
    left_out = len(picks) - len(gallery.cards)
    main = figures + _objects(gallery, describe_truth(shown.data), left_out) + appendix
    write_text(path, _page(title(result), main, gallery))


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


def _page(name: str, main: str, gallery: Gallery) -> str:
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        + element("title", escape(name))
        + element("style", asset("page.css"))
    )
    scripts = "".join(element("script", asset(file)) for file in ("viewer.js", "page.js"))
    shapes = ""
    if gallery.cards:
        shapes = element("script", gallery.json(), type="application/json", id="shapes")
    body = element("header", element("h1", escape(name))) + element("main", main) + shapes + scripts
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def asset(name: str) -> str:
    """Returns the text of a file that lies beside this module."""
    return (
        resources.files("recon.evaluation.report_page").joinpath(name).read_text(encoding="utf-8")
    )


def _figures(result: EvaluationResult) -> str:
    return (
        element("section", _summary(result), id="summary")
        + element("section", element("h2", "All metrics") + overview(result), id="metrics")
        + element("section", element("h2", "Categories") + metric_sections(result))
    )


def _summary(result: EvaluationResult) -> str:
    """The first metric in large letters, and what a reader must know."""
    metric = result.metrics[0]
    tiles = "".join(
        _tile(name, result.means[name][metric.key][MACRO], metric)
        for name in result.predictors_of(metric.key)
    )
    label = f"{unit_label(metric)}, mean over {len(result.categories)} categories"
    notes = element("ul", "".join(element("li", escape(note)) for note in result.notes))
    return element("p", escape(label)) + element("div", tiles, class_="tiles") + notes


def _tile(name: str, estimate: Estimate, metric: Metric) -> str:
    content = element("strong", value_text(estimate.mean, metric)) + element("span", escape(name))
    if not math.isnan(estimate.low):
        low, high = value_text(estimate.low, metric), value_text(estimate.high, metric)
        content += element("small", f"{low} to {high}")
    return element("div", content, class_="tile")


def _objects(gallery: Gallery, truth: str, left_out: int) -> str:
    if not gallery.cards:
        return ""
    metric = gallery.metric
    colors = (
        "Predictions have the colours which the network gives them, light and all."
        if gallery.colored
        else "The network predicts no colours."
    )
    text = (
        f"Objects of each category by {metric.label}, failures first. Of each, the view whose "
        f"value is nearest to the object's mean is shown. {truth} {colors} Drag to turn both "
        "meshes (sideways on a touch screen), Ctrl and wheel or + and - to zoom, double click for "
        "the view of the input."
    )
    if left_out:
        text += f" {left_out} more objects were left out to keep this file small."
    missing = element(
        "p", "The meshes cannot be shown by this browser; figures and images can.",
        id="no-viewer", hidden=True,
    )  # fmt: skip
    return element(
        "section",
        element("h2", "Objects")
        + element("p", escape(text))
        + missing
        + filters(gallery)
        + gallery.sections(),
        id="objects",
    )


def _appendix(result: EvaluationResult, key: str) -> str:
    about = [
        [element("th", escape(key), scope="row"), element("td", escape(text), class_="text")]
        for key, text in plain_rows(dict(result.about))
    ]
    count = len(result.objects)
    shown = f"All {count} objects"
    if count > MOST_ROWS:
        shown = f"The {MOST_ROWS} worst of {count} objects; objects.csv has all"
    objects = element("summary", shown) + all_objects(result, key)
    origin = element("summary", "Where these figures come from") + table(["", ""], about)
    return element(
        "section",
        element("h2", "Details") + element("details", objects) + element("details", origin),
        id="details",
    )
