"""The viewer of a notebook, in a headless browser: it draws, turns, and asks for nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.geometry.meshes import icosphere
from recon.inference.notebook import MeshViewer
from tests.recon.evaluation.report_page.chromium import chromium, find_chromium

BROWSER = find_chromium()


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
        shots = []
        for name in ("before.png", "after.png"):
            page.settle()
            page.screenshot(tmp_path / name)
            shots.append(np.asarray(Image.open(tmp_path / name).convert("RGB"), np.int16))
            page.drag((200, 150), (260, 150))
        assert page.complaints == []
        assert page.requests == [path.as_uri()]
    spread = [int(np.ptp(shot.reshape(-1, 3), axis=0).min()) for shot in shots]
    assert min(spread) > 60  # coloured, on a plain background
    assert np.abs(shots[0] - shots[1]).max() > 30  # turned by the mouse
