from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.report_page import page as page_module
from recon.evaluation.report_page import write_report_page
from recon.evaluation.result import EvaluationResult
from recon.geometry.voxels import voxelize_mesh
from recon.models.prediction import predict
from tests.recon.evaluation.report_page.enclosed import enclosed_voxels

Make = Callable[..., EvaluationResult]
VOID = {"meta", "img", "input"}


class Reader(HTMLParser):
    """Checks that every element is closed where it should be, and keeps what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.shapes = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), f"an attribute twice in {tag}"
        self.addresses += [v for k, v in attributes.items() if k in ("src", "href", "action")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and data.startswith('{"faces"'):
            self.shapes = data


@pytest.fixture
def page(make_result: Make, predictions: KeptPredictions, tmp_path: Path) -> Callable[..., str]:
    def write(result: EvaluationResult | None = None, **settings: object) -> str:
        path = tmp_path / "report.html"
        write_report_page(result or make_result(), predictions, path, **settings)
        return path.read_text(encoding="utf-8")

    return write


def test_the_page_is_whole_and_asks_for_nothing(page: Callable[..., str]) -> None:
    text = page()
    reader = Reader(text)
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert len(reader.addresses) == 15  # the input images
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|\bimport\s*\(|fetch\(", text)
    assert "default-src 'none'" in text
    assert len(text) < 5e6


def test_texts_are_escaped(page: Callable[..., str]) -> None:
    text = page()
    for raw, escaped in (
        ("a/<b>.pt", "a/&lt;b&gt;.pt"),
        ("a <note>", "a &lt;note&gt;"),
        ("voxels & views", "voxels &amp; views"),
        ("<airplane", "&lt;airplane"),
    ):
        assert raw not in text
        assert escaped in text


def test_the_meshes_of_the_page_are_those_of_model_and_data(
    page: Callable[..., str], ellipsoids: MultiViewDataset, predictions: KeptPredictions
) -> None:
    text = page()
    content = json.loads(Reader(text).shapes)
    found = re.findall(
        r'input, view (\d+)</figcaption>.*?data-object="(\d+)".*?id ([a-z0-9-]+)<', text
    )
    assert len(found) == len(content["objects"]) == 15
    for view, number, id_ in found:
        index, entry = ellipsoids.ids.index(id_), content["objects"][int(number)]
        image = ellipsoids.images(index, [int(view)])
        vertices = decoded_positions(entry["prediction"])
        expected = predict(predictions.model, image).vertices[0].numpy()
        assert np.abs(vertices - expected).max() < 2e-5
        faces = decoded_faces(content["faces"][entry["prediction"]["faces"]])
        assert np.array_equal(faces, predictions.faces.numpy())
        colors = np.frombuffer(base64.b64decode(entry["prediction"]["colors"]), np.uint8)
        assert len(colors) == 3 * len(vertices)
        # Prediction and truth are in the frame of the voxels by which they are scored.
        true_faces = decoded_faces(content["faces"][entry["truth"]["faces"]])
        truth = enclosed_voxels(decoded_positions(entry["truth"])[true_faces])
        assert torch.equal(truth, ellipsoids.voxels(index))
        scored = voxelize_mesh(torch.from_numpy(expected)[None], predictions.faces)[0]
        drawn = voxelize_mesh(torch.from_numpy(vertices)[None].float(), predictions.faces)[0]
        assert (drawn & scored).sum() > 0.98 * (drawn | scored).sum()


def decoded_positions(shape: dict) -> np.ndarray:
    levels = np.frombuffer(base64.b64decode(shape["positions"]), "<u2").astype(np.float64)
    return ((levels / 65535 * 2 - 1) * shape["extent"]).reshape(-1, 3)


def decoded_faces(content: dict) -> np.ndarray:
    raw = base64.b64decode(content["indices"])
    return np.frombuffer(raw, f"<u{content['bytes']}").astype(np.int64).reshape(-1, 3)


def test_the_most_important_objects_stay_when_the_page_grows_too_large(
    page: Callable[..., str],
) -> None:
    whole, small = page(), page(max_bytes=90_000)
    assert "left out to keep this file small" not in whole
    shown = len(re.findall("<article", small))
    assert 1 <= shown < 15
    assert f"{15 - shown} more objects were left out" in small
    assert set(re.findall(r'<article data-kind="(\w+)"', small)) == {"worst"}
    assert len(small) < len(whole)


def test_what_is_said_of_colours_is_so(
    page: Callable[..., str], grey_shown: KeptPredictions, make_result: Make, tmp_path: Path,
) -> None:  # fmt: skip
    assert "Predictions have the colours which the network gives them" in page()
    path = tmp_path / "grey.html"
    write_report_page(make_result(), grey_shown, path)
    assert "The network predicts no colours." in path.read_text()


def test_the_wheel_is_told_of_the_templates() -> None:
    folder = Path(page_module.__file__).parent
    setup = (folder.parents[2] / "pyproject.toml").read_text()
    assert '"recon.evaluation.report_page" = ["templates/*"]' in setup
    kinds = {path.suffix for path in (folder / "templates").iterdir()}
    assert kinds == {".html", ".css", ".js"}
    assert not [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]


def test_another_metric_and_other_numbers(page: Callable[..., str]) -> None:
    text = page(key="chamfer_l1", worst=1, median=0, best=2)
    assert re.findall(r'<article data-kind="(\w+)"', text) == ["worst", "best", "best"] * 3
    assert "Objects of each category by Chamfer-L1, failures first" in text
    nothing = page(worst=0, median=0, best=0)
    assert "<article" not in nothing
    assert 'id="shapes"' not in nothing
    assert Reader(nothing).open == []


def test_no_values_at_all_still_make_a_page(page: Callable[..., str], make_result: Make) -> None:
    text = page(make_result(undefined=tuple(range(18))))
    assert Reader(text).open == []
    assert len(re.findall("<article", text)) == 15
    assert "NaN" not in Reader(text).shapes
    assert str(math.nan) not in re.sub('base64,[^"]+', "", text)[: text.index('{"faces"')]


def test_impossible_requests_are_refused(
    page: Callable[..., str], make_result: Make, predictions: KeptPredictions,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(ValueError, match=r"key must be a metric .*iou, chamfer_l1.* got 'ssim'"):
        page(key="ssim")
    part = KeptPredictions(predictions.model, predictions.data.subset([0, 1]))
    with pytest.raises(ValueError, match="data must hold the objects of the result"):
        write_report_page(make_result(), part, tmp_path / "other.html")
    assert not (tmp_path / "other.html").exists()
