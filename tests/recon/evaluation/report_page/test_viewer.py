"""The page in a real browser: what its canvases show, and what mouse and keys do to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.report_page import write_report_page
from recon.evaluation.result import EvaluationResult
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.visualization.draw import draw_mesh
from tests.recon.evaluation.report_page.chromium import Page, chromium, find_chromium
from tests.recon.evaluation.report_page.conftest import EllipsoidModel, made_up_result

BROWSER = find_chromium()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")

# Counts the contexts of every kind, and keeps those of WebGL within reach of a test.
SPY = """
window.contexts = [];
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  if (kind === 'webgl2' && window.name === 'without') return null;
  const context = original.call(this, kind, ...rest);
  if (kind === 'webgl2' && !window.contexts.includes(context)) window.contexts.push(context);
  return context;
};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert BROWSER is not None
    with chromium(BROWSER, tmp_path_factory.mktemp("profile")) as page:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=SPY)
        yield page


@pytest.fixture(scope="module")
def result(ellipsoids: MultiViewDataset) -> EvaluationResult:
    return made_up_result(ellipsoids, (0, 3), ())


@pytest.fixture(scope="module")
def file(
    result: EvaluationResult, ellipsoids: MultiViewDataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report_page(result, KeptPredictions(EllipsoidModel(colored=True), ellipsoids), path)
    return path


@pytest.fixture
def page(browser: Page, file: Path) -> Iterator[Page]:
    """The page at the size of a desktop; whatever a test does, nothing may be complained about."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.resize(1280, 900)
    browser.open(file)
    browser.run("document.querySelector('#objects').scrollIntoView()")
    browser.settle()
    yield browser
    assert browser.complaints == []
    assert browser.requests == [file.as_uri()]


def pixels(page: Page, pair: int, shape: str) -> NDArray[np.uint8]:
    """What a canvas shows, [H, W, 4]."""
    content = page.run(f"""(() => {{
        const canvas = document.querySelectorAll('.pair')[{pair}]
          .querySelector('canvas[data-shape={shape}]');
        const {{ width, height }} = canvas;
        if (width === 0) return [0, 0, ''];
        const copy = document.createElement('canvas');
        [copy.width, copy.height] = [width, height];
        const context = copy.getContext('2d', {{ willReadFrequently: true }});
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, width, height).data;
        let text = '';
        for (let k = 0; k < data.length; k += 8192) {{
          text += String.fromCharCode(...data.subarray(k, k + 8192));
        }}
        return [width, height, btoa(text)];
    }})()""")
    width, height, text = content
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)


def center(page: Page, pair: int, shape: str = "prediction") -> tuple[float, float]:
    box = page.run(f"""(() => {{
        const canvas = document.querySelectorAll('.pair')[{pair}]
          .querySelector('canvas[data-shape={shape}]');
        const box = canvas.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }})()""")
    return box[0], box[1]


def entry_of(page: Page, pair: int) -> dict[str, Any]:
    """What the page holds of the object of a pair."""
    return json.loads(
        page.run(f"""JSON.stringify(
        JSON.parse(document.getElementById('shapes').textContent)
          .objects[document.querySelectorAll('.pair')[{pair}].dataset.object])""")
    )


def expected(
    page: Page, pair: int, size: int, azimuth: float = 0.0, elevation: float = 0.0
) -> NDArray[np.float64]:
    """The prediction drawn by the project's own renderer, [H, W, 3] in 0 to 255 on white."""
    entry = entry_of(page, pair)
    levels = np.frombuffer(base64.b64decode(entry["prediction"]["positions"]), "<u2")
    places = (levels.astype(np.float32) / 65535 * 2 - 1) * entry["prediction"]["extent"]
    colors = np.frombuffer(base64.b64decode(entry["prediction"]["colors"]), np.uint8)
    camera = entry["camera"]
    turned = {
        **camera,
        "azimuth": camera["azimuth"] + azimuth,
        "elevation": camera["elevation"] + elevation,
    }
    cameras = Cameras.orbit(
        **{name: torch.tensor([float(value)]) for name, value in turned.items()}
    )
    mesh = Mesh(torch.from_numpy(places.reshape(-1, 3)), EllipsoidModel(colored=True).faces)
    shades = torch.from_numpy(colors.reshape(-1, 3) / np.float32(255))
    return 255 * draw_mesh(mesh, cameras, size, shades)[0].permute(1, 2, 0).double().numpy()


def assert_alike(shown: NDArray[np.uint8], drawn: NDArray[np.float64]) -> None:
    """The viewer and the renderer agree but for the pixels of the outline."""
    solid, known = shown[..., 3] > 127, (drawn < 250).any(axis=2)
    assert (solid & known).sum() > 0.96 * (solid | known).sum()
    inside = (shown[..., 3] == 255) & known
    difference = np.abs(shown[..., :3].astype(float) - drawn)[inside]
    assert np.percentile(difference, 90) < 4


def test_the_canvases_show_the_prediction_as_the_renderer_draws_it(page: Page) -> None:
    for pair in (0, 1, 3):
        shown = pixels(page, pair, "prediction")
        assert shown.shape[0] == shown.shape[1] > 150
        assert 0.03 < (shown[..., 3] == 255).mean() < 0.9
        assert len(np.unique(shown[shown[..., 3] == 255], axis=0)) > 50
        assert_alike(shown, expected(page, pair, len(shown)))


def test_the_truth_lies_where_it_is_in_the_input(
    page: Page, ellipsoids: MultiViewDataset, result: EvaluationResult
) -> None:
    for pair in (0, 2):
        view, id_ = page.run(f"""(() => {{
            const card = document.querySelectorAll('article')[{pair}];
            return [card.querySelector('.input figcaption').textContent.match(/view (\\d+)/)[1],
                    card.querySelector('.id').textContent.slice(3)];
        }})()""")
        image = ellipsoids.images(ellipsoids.ids.index(id_), [int(view)])[0].numpy()
        shown = pixels(page, pair, "truth")
        places = (np.arange(64) * len(shown)) // 64 + len(shown) // 128
        solid, known = shown[places][:, places, 3] > 127, image[3] > 127
        # Its voxels reach half a voxel, so a pixel or two, beyond the object.
        assert (known & ~solid).sum() <= 0.02 * known.sum()
        assert (solid & ~known).sum() < 0.6 * known.sum()
        difference = np.abs(
            shown[places][:, places, :3][known & solid].astype(float).mean(axis=0)
            - image[:3, known & solid].mean(axis=1)
        )
        assert difference.max() < 4


@pytest.mark.parametrize(("x", "y"), [(80, 0), (-60, 30), (0, -50)])
def test_the_mouse_turns_both_meshes_of_a_pair_and_no_others(page: Page, x: int, y: int) -> None:
    before = [pixels(page, 0, shape) for shape in ("prediction", "truth")]
    other = pixels(page, 1, "prediction")
    start = center(page, 0)
    page.drag(start, (start[0] + x, start[1] + y))
    after = [pixels(page, 0, shape) for shape in ("prediction", "truth")]
    for one, two in zip(before, after, strict=True):
        assert (np.abs(one.astype(int) - two).max(axis=2) > 16).mean() > 0.01
    # To the right: what is in front goes to the right, so the eye to the left; down: it rises.
    assert_alike(after[0], expected(page, 0, len(after[0]), azimuth=-x / 2, elevation=y / 2))
    assert np.array_equal(pixels(page, 1, "prediction"), other)


def test_keys_turn_and_zoom_and_lead_back(page: Page) -> None:
    before = pixels(page, 0, "prediction")
    page.run("document.querySelectorAll('.pair')[0].focus({ preventScroll: true })")
    page.key("ArrowLeft")
    turned = pixels(page, 0, "prediction")
    assert_alike(turned, expected(page, 0, len(before), azimuth=10))
    page.key("ArrowUp")
    assert_alike(
        pixels(page, 0, "prediction"), expected(page, 0, len(before), azimuth=10, elevation=10)
    )
    page.key("+")
    larger = (pixels(page, 0, "prediction")[..., 3] > 127).sum()
    assert larger > 1.2 * (turned[..., 3] > 127).sum()
    page.key("0")
    assert np.array_equal(pixels(page, 0, "prediction"), before)


def test_all_pairs_turn_together_when_asked_to(page: Page) -> None:
    page.run("document.getElementById('linked').click()")
    before = pixels(page, 1, "prediction")
    start = center(page, 0)
    page.drag(start, (start[0] + 70, start[1]))
    after = pixels(page, 1, "prediction")
    assert_alike(after, expected(page, 1, len(after), azimuth=-35))
    page.run("document.getElementById('reset').click()")
    page.settle()
    assert np.array_equal(pixels(page, 1, "prediction"), before)


def test_colours_can_be_left_out(page: Page) -> None:
    before = {shape: pixels(page, 0, shape) for shape in ("prediction", "truth")}
    page.run("document.getElementById('colored').click()")
    page.settle()
    for shape, colored in before.items():
        grey = pixels(page, 0, shape)
        assert np.array_equal(grey[..., 3] > 127, colored[..., 3] > 127)
        solid = grey[grey[..., 3] == 255].astype(float)
        # All of one hue, that of (158, 168, 184), in more or less light.
        assert np.abs(solid[:, 0] / solid[:, 2] - 158 / 184).max() < 0.03
        assert len(np.unique(solid, axis=0)) > 3
    page.run("document.getElementById('colored').click()")
    page.settle()
    assert np.array_equal(pixels(page, 0, "truth"), before["truth"])


def test_a_card_can_be_enlarged(page: Page) -> None:
    before = len(pixels(page, 0, "prediction"))
    page.run("document.querySelector('.enlarge').click()")
    page.settle()
    shown = pixels(page, 0, "prediction")
    assert len(shown) > 1.8 * before
    assert_alike(shown, expected(page, 0, len(shown)))
    assert page.run("document.querySelector('.enlarge').ariaPressed") == "true"
    page.run("document.querySelector('.enlarge').click()")
    page.settle()
    assert len(pixels(page, 0, "prediction")) == before


def test_one_context_draws_all_and_what_is_far_away_is_let_go(page: Page) -> None:
    count = page.run("document.querySelectorAll('.pair').length")
    assert count == 15
    for pair in range(count):
        page.run(f"document.querySelectorAll('.pair')[{pair}].scrollIntoView()")
        page.settle()
        for shape in ("prediction", "truth"):
            assert (pixels(page, pair, shape)[..., 3] == 255).mean() > 0.01
    assert page.run("window.contexts.length") == 1
    assert pixels(page, 0, "prediction").size == 0
    page.run("document.querySelectorAll('.pair')[0].scrollIntoView()")
    page.settle()
    shown = pixels(page, 0, "prediction")
    assert_alike(shown, expected(page, 0, len(shown)))


def test_a_lost_context_is_made_up_for(page: Page) -> None:
    before = pixels(page, 0, "prediction")
    page.run("window.loss = window.contexts[0].getExtension('WEBGL_lose_context')")
    for event, cause in (("lost", "loseContext"), ("restored", "restoreContext")):
        page.run(f"""new Promise((done) => {{
            window.contexts[0].canvas.addEventListener(
              'webglcontext{event}', () => setTimeout(done, 0));
            window.loss.{cause}();
        }}).then(() => 1)""")
    page.settle()
    assert np.array_equal(pixels(page, 0, "prediction"), before)
    browser_says = [text for text in page.complaints if "context" in text.lower()]
    for text in browser_says:  # Chromium itself notes the loss
        page.complaints.remove(text)


def test_objects_are_filtered(page: Page) -> None:
    def choose(id_: str, value: str) -> list[list[str]]:
        page.run(f"""(() => {{ const select = document.getElementById('{id_}');
            select.value = '{value}'; select.dispatchEvent(new Event('change')); }})()""")
        page.settle()
        return page.run("""[...document.querySelectorAll('article')]
            .filter((one) => one.offsetParent !== null)
            .map((one) => [one.dataset.kind, one.closest('section').dataset.category])""")

    assert len(choose("kind", "")) == 15
    best = choose("kind", "best")
    assert [kind for kind, _ in best] == ["best"] * 3
    assert choose("category", "lamp") == [["best", "lamp"]]
    assert (pixels(page, 4, "prediction").size > 0) == (best[0][1] == "lamp")
    assert len(choose("kind", "")) == 5


def test_metrics_are_chosen_and_tables_sorted(page: Page, result: EvaluationResult) -> None:
    visible = (
        "[...document.querySelectorAll('[data-metric]')].filter((one) => !one.hidden)"
        ".map((one) => one.dataset.metric)"
    )
    assert page.run(visible) == ["iou"]
    page.run("""(() => { const select = document.querySelector('select.metric');
        select.value = 'chamfer_l1'; select.dispatchEvent(new Event('change')); })()""")
    assert page.run(visible) == ["chamfer_l1"]
    table = "document.querySelector('[data-metric=chamfer_l1] table')"
    means = result.means["model"]["chamfer_l1"]
    names = [category.name for category in result.categories]
    for descending in (True, False):
        page.run(f"{table}.querySelectorAll('thead button')[2].click()")
        order = page.run(f"[...{table}.tBodies[0].rows].map((row) => row.cells[0].textContent)")
        assert order == sorted(names, key=lambda name: means[name].mean, reverse=descending)
    assert page.run(f"{table}.tFoot.rows[0].cells[0].textContent") == "mean"


def test_a_phone_shows_all_in_its_width_and_a_finger_turns_it(page: Page, file: Path) -> None:
    page.resize(390, 844, 2.0)
    page.open(file)
    page.requests.pop()
    assert page.run("document.documentElement.scrollWidth") == 390
    page.run("document.querySelectorAll('.pair')[0].scrollIntoView()")
    page.settle()
    shown = pixels(page, 0, "prediction")
    assert len(shown) > 300  # two pixels of the canvas for one of the page
    assert_alike(shown, expected(page, 0, len(shown)))
    start = center(page, 0)
    page.swipe(start, (start[0] + 60, start[1]))
    turned = pixels(page, 0, "prediction")
    # How many of the first pixels only tell a swipe from a tap is the browser's affair.
    angles = {turn: expected(page, 0, len(shown), azimuth=turn) for turn in (-26, 0, 26)}
    solid = turned[..., 3] == 255
    errors = {
        turn: np.abs(turned[..., :3].astype(float) - drawn)[solid].mean()
        for turn, drawn in angles.items()
    }
    assert errors[-26] < 0.5 * errors[0] < 0.5 * errors[26]


def test_without_webgl_figures_and_images_remain(page: Page, file: Path) -> None:
    page.run("window.name = 'without'")
    page.open(file)
    page.requests.pop()
    note = page.run("document.getElementById('no-viewer').innerText")
    assert "The meshes cannot be shown by this browser" in note
    assert "WebGL 2" in note
    assert page.run("document.querySelector('article img').naturalWidth") == 64
    page.run("window.name = ''")


def test_a_page_without_objects_has_nothing_to_complain_about(
    browser: Page, result: EvaluationResult, ellipsoids: MultiViewDataset, tmp_path: Path
) -> None:
    path = tmp_path / "figures.html"
    predictions = KeptPredictions(EllipsoidModel(colored=False), ellipsoids)
    write_report_page(result, predictions, path, worst=0, median=0, best=0)
    browser.complaints.clear()
    browser.open(path)
    assert browser.run("document.querySelectorAll('canvas').length") == 0
    assert browser.run("document.querySelectorAll('.bar').length") == 8
    assert browser.complaints == []
