"""The objects which a page shows: their cards and what the viewer needs of them."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.report_page.rendering import render
from recon.evaluation.report_page.selection import BEST, MEDIAN, WORST, Pick
from recon.evaluation.report_page.shapes import encode, encode_faces, predicted_shape
from recon.evaluation.report_page.truth import true_shape
from recon.evaluation.result import MACRO, EvaluationResult, Metric
from recon.evaluation.tables import unit_label, value_text
from recon.geometry.cameras import Cameras

KINDS = (WORST, MEDIAN, BEST)


@dataclass(frozen=True)
class InlineImage:
    """An image which is part of the page: its data address, and its size in pixels."""

    address: str
    width: int
    height: int

    @classmethod
    def of(cls, rgba: Tensor) -> InlineImage:
        """Returns an image [4, H, W] uint8 as PNG."""
        buffer = io.BytesIO()
        pixels = rgba.movedim(0, -1).contiguous().numpy()
        Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        height, width = rgba.shape[1:]
        return cls(f"data:image/png;base64,{data}", width, height)


@dataclass(frozen=True)
class Section:
    """The cards of a category.

    Args:
        name: The name of the category.
        label: The mean of the model in the category, and the number of its objects.
        cards: The HTML of the cards, failures first.
    """

    name: str
    label: str
    cards: tuple[Markup, ...]


@dataclass
class Gallery:
    """Cards of objects and their shapes.

    Attributes:
        result: The result of the evaluation.
        metric: The metric by which objects were picked.
        cards: The picks with their HTML, in the order of `entries`.
        entries: The camera, the prediction and the truth of each object, as the viewer reads them.
        faces: The arrays of faces, which predictions share.
        size: The number of bytes of text so far.
        colored: Whether the predictions have colours.
    """

    result: EvaluationResult
    metric: Metric
    cards: list[tuple[Pick, Markup]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    faces: list[NDArray[np.int64]] = field(default_factory=list)
    size: int = 0
    colored: bool = False

    def add(self, pick: Pick, predictions: KeptPredictions, index: int) -> None:
        """Keeps what is shown of an object and of its prediction from the view of its pick.

        Args:
            pick: The object that was picked, and its view.
            predictions: The predictions of the evaluation.
            index: The index of the object in the data.
        """
        data = predictions.data
        image = data.images(index, [pick.view])
        prediction = predictions.get(index, pick.view)
        colors = None if prediction.colors is None else prediction.colors[0]
        shape = predicted_shape(prediction.vertices[0], predictions.faces, colors)
        self.colored |= shape.colors is not None
        truth = true_shape(data, index)
        entry = {
            "camera": _camera(data, index, pick.view),
            "prediction": encode(shape, self.faces),
            "truth": None if truth is None else encode(truth, self.faces),
        }
        card = render(
            "card.html",
            result=self.result,
            metric=self.metric,
            pick=pick,
            mean=pick.row.scores[self.result.predictors[0]][self.metric.key],
            number=len(self.entries),
            image=InlineImage.of(image[0]),
            has_truth=truth is not None,
            nan=math.nan,
        )
        self.cards.append((pick, card))
        self.entries.append(entry)
        self.size += len(card) + len(json.dumps(entry, separators=(",", ":")))

    def sections(self) -> list[Section]:
        """Returns a section per category, the one with the worst mean first."""
        return [self._section(name) for name in self.category_order()]

    def category_order(self) -> list[str]:
        """Returns the names of the categories with cards, the one with the worst mean first."""
        means = self.result.means[self.result.predictors[0]][self.metric.key]
        sign = 1 if self.metric.higher_is_better else -1
        shown = {pick.category for pick, _ in self.cards}

        def order(name: str) -> tuple[bool, float]:
            mean = means[name].mean
            return not math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

        return sorted((name for name in means if name != MACRO and name in shown), key=order)

    def _section(self, name: str) -> Section:
        cards = [(pick, card) for pick, card in self.cards if pick.category == name]
        cards.sort(key=lambda pair: (KINDS.index(pair[0].kind), -pair[0].rank))
        mean = self.result.means[self.result.predictors[0]][self.metric.key][name].mean
        count = cards[0][0].among
        return Section(
            name,
            f"{unit_label(self.metric)} {value_text(mean, self.metric)}, "
            f"{count} object{'s' if count > 1 else ''}",
            tuple(card for _, card in cards),
        )

    def shapes(self) -> dict[str, Any]:
        """Returns faces and entries as the viewer reads them."""
        return {"faces": [encode_faces(one) for one in self.faces], "objects": self.entries}


def _camera(data: MultiViewDataset, index: int, view: int) -> dict[str, float]:
    """Returns from where the viewer looks at first: from where the image was taken."""
    row = Cameras.from_rows(data.cameras(index, [view])).orbit_parameters()[0].tolist()
    names = ("azimuth", "elevation", "distance", "fov")
    return {name: round(value, 4) for name, value in zip(names, row, strict=True)}


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
