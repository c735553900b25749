"""The objects which a page shows: their cards and what the viewer needs of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.report_page.html import element, image_element, table
from recon.evaluation.report_page.selection import BEST, MEDIAN, WORST, Pick
from recon.evaluation.report_page.shapes import encode, encode_faces, predicted_shape
from recon.evaluation.report_page.truth import true_shape
from recon.evaluation.result import MACRO, EvaluationResult, Metric
from recon.evaluation.shown import ShownPredictions
from recon.evaluation.tables import unit_label, value_text
from recon.geometry.cameras import Cameras

_KINDS = (WORST, MEDIAN, BEST)


@dataclass
class Gallery:
    """Cards of objects and their shapes.

    Attributes:
        result: the evaluation.
        metric: by which they were picked.
        cards: picks with their HTML, in the order of `entries`.
        entries: camera, prediction and truth of each, as the viewer reads them.
        faces: which the predictions share.
        size: bytes of text so far.
        colored: whether predictions have colours.
    """

    result: EvaluationResult
    metric: Metric
    cards: list[tuple[Pick, str]] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    faces: list[NDArray[np.int64]] = field(default_factory=list)
    size: int = 0
    colored: bool = False

    def add(self, pick: Pick, shown: ShownPredictions, index: int) -> None:
        """Keeps what is shown of an object and of its prediction from the view of its pick.

        Args:
            pick: the object.
            shown: the predictions.
            index: of the object in the data.
        """
        data = shown.data
        image = data.images(index, [pick.view])
        prediction = shown.get(index, pick.view)
        colors = None if prediction.colors is None else prediction.colors[0]
        shape = predicted_shape(prediction.vertices[0], shown.faces, colors)
        self.colored |= shape.colors is not None
        truth = true_shape(data, index)
        entry = {
            "camera": _camera(data, index, pick.view),
            "prediction": encode(shape, self.faces),
            "truth": None if truth is None else encode(truth, self.faces),
        }
        alt = f"input image of {pick.row.name}"
        card = _card(self, pick, image_element(image[0], alt), truth is not None)
        self.cards.append((pick, card))
        self.entries.append(json.dumps(entry, separators=(",", ":")))
        self.size += len(card) + len(self.entries[-1])

    def sections(self) -> str:
        """Returns a section per category, the one with the worst mean first."""
        return "".join(self._section(name) for name in self.category_order())

    def category_order(self) -> list[str]:
        """Returns the names of the categories with cards, the one with the worst mean first."""
        means = self.result.means[self.result.predictors[0]][self.metric.key]
        sign = 1 if self.metric.higher_is_better else -1
        shown = {pick.category for pick, _ in self.cards}

        def order(name: str) -> tuple[bool, float]:
            mean = means[name].mean
            return not math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

        return sorted((name for name in means if name != MACRO and name in shown), key=order)

    def _section(self, name: str) -> str:
        cards = [(pick, card) for pick, card in self.cards if pick.category == name]
        cards.sort(key=lambda pair: (_KINDS.index(pair[0].kind), -pair[0].rank))
        inner = "".join(card for _, card in cards)
        mean = self.result.means[self.result.predictors[0]][self.metric.key][name].mean
        label = f"{unit_label(self.metric)} {value_text(mean, self.metric)}"
        count = cards[0][0].among
        heading = f"{escape(name)} " + element(
            "small", f"{escape(label)}, {count} object{'s' if count > 1 else ''}"
        )
        return element(
            "section",
            element("h3", heading) + element("div", inner, class_="cards"),
            class_="category",
            data_category=name,
        )

    def json(self) -> str:
        """Returns faces and entries as JSON which may stand in a script element."""
        faces = json.dumps([encode_faces(one) for one in self.faces], separators=(",", ":"))
        content = f'{{"faces":{faces},"objects":[{",".join(self.entries)}]}}'
        return content.replace("</", "<\\/")


def _camera(data: MultiViewDataset, index: int, view: int) -> dict[str, float]:
    """Returns from where the viewer looks at first: from where the image was taken."""
    row = Cameras.from_rows(data.cameras(index, [view])).orbit_parameters()[0].tolist()
    names = ("azimuth", "elevation", "distance", "fov")
    return {name: round(value, 4) for name, value in zip(names, row, strict=True)}


def _card(gallery: Gallery, pick: Pick, image: str, has_truth: bool) -> str:
    name, number = pick.row.name, len(gallery.entries)
    views = element(
        "div",
        element("figure", image + element("figcaption", f"input, view {pick.view}"), class_="input")
        + _pair(name, number, has_truth),
        class_="views",
    )
    head = (
        element("span", pick.kind, class_=f"badge {pick.kind}")
        + element("h4", escape(name))
        + element("button", "enlarge", type="button", class_="enlarge", aria_pressed="false")
        + element("p", _score(gallery, pick), class_="score")
    )
    details = element("details", element("summary", "all metrics") + _metrics(gallery.result, pick))
    content = element("header", head) + views + details
    return element("article", content, data_kind=pick.kind, id=f"object-{number}")


def _pair(name: str, number: int, has_truth: bool) -> str:
    label = (
        f"Meshes of {name}: arrow keys turn them, plus and minus change their size, "
        "0 goes back to the view of the input"
    )
    second = (
        _canvas("truth", f"true shape of {name}")
        if has_truth
        else element("p", "The data holds no true shape.", class_="missing")
    )
    return element(
        "div",
        _canvas("prediction", f"predicted mesh of {name}") + second,
        class_="pair",
        data_object=number,
        tabindex=0,
        role="group",
        aria_label=label,
    )


def _canvas(shape: str, label: str) -> str:
    canvas = element("canvas", "", data_shape=shape, role="img", aria_label=label)
    return element("figure", canvas + element("figcaption", shape))


def _score(gallery: Gallery, pick: Pick) -> str:
    metric, model = gallery.metric, gallery.result.predictors[0]
    mean = value_text(pick.row.scores[model][metric.key], metric)
    views = len(pick.row.views)
    own = value_text(pick.score, metric)
    parts = [f"{escape(unit_label(metric))} {element('strong', own)} in this view"]
    if math.isnan(pick.score):
        parts = [f"{escape(unit_label(metric))} {element('strong', mean)}"]
    elif views > 1:
        parts.append(f"{mean} mean of {views} views")
    parts.append(f"rank {pick.rank} of {pick.among}")
    return " · ".join(parts)


def _metrics(result: EvaluationResult, pick: Pick) -> str:
    rows = [
        [
            element("th", escape(unit_label(metric)), scope="row"),
            *(element("td", _value(pick, name, metric)) for name in result.predictors),
        ]
        for metric in result.metrics
    ]
    return element("p", escape(f"id {pick.row.id}"), class_="id") + table(
        ["mean of the views", *result.predictors], rows
    )


def _value(pick: Pick, predictor: str, metric: Metric) -> str:
    value = pick.row.scores[predictor].get(metric.key, math.nan)
    return value_text(value, metric)


def filters(gallery: Gallery) -> str:
    """Returns the controls of the objects."""
    kinds = _options([("", "all"), *((kind, kind) for kind in _KINDS)])
    names = _options([("", "all"), *((name, name) for name in gallery.category_order())])
    return element(
        "div",
        element("label", f"Show {element('select', kinds, id='kind')}")
        + element("label", f"of {element('select', names, id='category')}")
        + '<label><input type="checkbox" id="colored" checked> colours</label>'
        + '<label><input type="checkbox" id="linked"> turn all together</label>'
        + element("button", "reset views", type="button", id="reset"),
        class_="controls",
    )


def _options(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(element("option", escape(text), value=value) for value, text in pairs)


def plain_rows(content: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Returns nested plain data as rows of a dotted key and a text."""
    if isinstance(content, dict):
        return [
            row
            for key, value in content.items()
            for row in plain_rows(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(content, list | tuple):
        return [(prefix, ", ".join(map(str, content)))]
    return [(prefix, str(content))]
