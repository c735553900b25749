from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.report_page.objects import KINDS, Gallery, InlineImage, plain_rows
from recon.evaluation.report_page.rendering import render
from recon.evaluation.report_page.selection import pick_objects
from recon.evaluation.result import EvaluationResult
from recon.geometry.cameras import Cameras

Make = Callable[..., EvaluationResult]


@pytest.fixture
def gallery(make_result: Make, predictions: KeptPredictions) -> Gallery:
    result = make_result()
    gallery = Gallery(result, result.metric("iou"))
    for pick in pick_objects(result, "iou", worst=2):
        gallery.add(pick, predictions, predictions.data.ids.index(pick.row.id))
    return gallery


def test_failures_come_first_in_the_worst_category(gallery: Gallery) -> None:
    means = gallery.result.means["model"]["iou"]
    order = gallery.category_order()
    assert sorted(order) == ["airplane", "lamp", "table"]
    assert [means[name].mean for name in order] == sorted(means[name].mean for name in order)
    sections = gallery.sections()
    assert [section.name for section in sections] == order
    for section in sections:
        text = "".join(section.cards)
        kinds = re.findall(r'data-kind="(\w+)"', text)
        assert kinds == ["worst", "worst", "median", "best"]
        assert re.findall(r"rank (\d) of 6", text) == ["6", "5", "3", "1"]
        mean = f"{100 * means[section.name].mean:.2f}"
        assert section.label == f"IoU % {mean}, 6 objects"


def test_cards_and_entries_belong_together(gallery: Gallery) -> None:
    content = gallery.shapes()
    assert len(content["objects"]) == len(gallery.cards) == 12
    assert len(content["faces"]) == 1 + 12  # those of all predictions, and of each truth
    for number, (pick, card) in enumerate(gallery.cards):
        assert f'data-object="{number}"' in card
        assert f"input, view {pick.view}" in card
        assert pick.row.name not in card  # has signs which must be escaped
        assert "&lt;" in card
        assert re.findall(r'<canvas data-shape="(\w+)"', card) == ["prediction", "truth"]


def test_the_viewer_starts_from_the_camera_of_the_input(
    gallery: Gallery, ellipsoids: MultiViewDataset
) -> None:
    content = gallery.shapes()
    for (pick, _), entry in zip(gallery.cards, content["objects"], strict=True):
        row = ellipsoids.cameras(ellipsoids.ids.index(pick.row.id), [pick.view])
        azimuth, elevation, distance, fov = Cameras.from_rows(row).orbit_parameters()[0].tolist()
        assert entry["camera"] == pytest.approx(
            {"azimuth": azimuth, "elevation": elevation, "distance": distance, "fov": fov},
            abs=1e-3,
        )


def test_a_card_tells_the_score_of_its_view_and_all_metrics(gallery: Gallery) -> None:
    pick, card = gallery.cards[0]
    mean = pick.row.scores["model"]["iou"]
    assert (
        f"<strong>{100 * pick.score:.2f}</strong> in this view · {100 * mean:.2f} mean of 2 views"
        in card
    )
    assert "<td>10.00</td>" in card  # the template
    assert f"id {pick.row.id}" in card


def test_objects_without_truth_say_so(
    make_result: Make, predictions: KeptPredictions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("recon.evaluation.report_page.objects.true_shape", lambda data, index: None)
    result = make_result()
    gallery = Gallery(result, result.metric("chamfer_l1"))
    gallery.add(pick_objects(result, "chamfer_l1")[0], predictions, 0)
    card = gallery.cards[0][1]
    assert "The data holds no true shape." in card
    assert re.findall(r'<canvas data-shape="(\w+)"', card) == ["prediction"]
    assert gallery.entries[0]["truth"] is None
    assert "in this view" not in card  # the metric is not taken by view


def test_filters_offer_what_is_there(gallery: Gallery) -> None:
    text = render("objects.html", text="", kinds=KINDS, sections=gallery.sections())
    options = re.findall(r"<option value=\"(\w*)\">", text)
    assert options == ["", "worst", "median", "best", "", *gallery.category_order()]
    assert text.count("<article") == 12


def test_an_image_is_part_of_the_page() -> None:
    rgba = torch.randint(0, 256, (4, 5, 7), dtype=torch.uint8)
    image = InlineImage.of(rgba)
    assert (image.width, image.height) == (7, 5)
    data = base64.b64decode(image.address.removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels, rgba.movedim(0, -1).numpy())


def test_plain_data_becomes_rows() -> None:
    content = {"a": {"b": 1, "c": {"d": None}}, "e": [1, 2], "f": "x"}
    assert plain_rows(content) == [("a.b", "1"), ("a.c.d", "None"), ("e", "1, 2"), ("f", "x")]
