"""The viewer of a notebook, in a headless browser: it draws, turns, and asks for nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.geometry.meshes import icosphere
from recon.inference.notebook import MeshViewer
from tests.recon.evaluation.report_page.chromium import Page, chromium, find_chromium

BROWSER = find_chromium()


def drawn(page: Page, path: Path) -> np.ndarray:
    """Returns the screen [H, W, 3] once there is something of many colours on it."""
    for _ in range(50):  # the frame draws after the page, when it has time
        page.settle()
        page.screenshot(path)
        shot = np.asarray(Image.open(path).convert("RGB"), np.int16)
        if int(np.ptp(shot.reshape(-1, 3), axis=0).min()) > 60:
            return shot
    raise AssertionError(f"the frame stayed empty: {path}")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_frame_shows_the_mesh_and_turns_it(tmp_path: Path) -> None:
    sphere = icosphere(2)
    colors = (sphere.vertices + 1) / 2
    viewer = MeshViewer(type(sphere)(sphere.vertices * 0.4, sphere.faces), colors, height=300)
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><body>{viewer._repr_html_()}</body>", encoding="utf-8")
    assert BROWSER is not None
    with chromium(BROWSER, tmp_path / "profile") as page:
        page.resize(400, 320)
        page.open(path)
        before = drawn(page, tmp_path / "before.png")
        page.drag((200, 150), (260, 150))
        page.settle()
        after = drawn(page, tmp_path / "after.png")
        assert page.complaints == []
        assert page.requests == [path.as_uri()]
    assert np.abs(before - after).max() > 30  # turned by the mouse
