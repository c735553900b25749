"""The page of recon-app: an upload in a headless browser, its limits, nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import recon
from recon.formats.meshes import read_mesh
from recon.inference import app
from recon.inference.input_images import take_image
from tests.recon.evaluation.report_page.chromium import chromium, find_chromium

BROWSER = find_chromium()
LINK = re.compile(r'<a class="recon-download" download="([^"]*)" href="data:[^,]*,([^"]*)"')


def ball(opaque: bool = False) -> Image.Image:
    rows, columns = np.mgrid[:120, :160]
    inside = (columns - 80) ** 2 + (rows - 60) ** 2 < 40**2
    rgba = np.full((120, 160, 4), 255, np.uint8)
    rgba[inside, :3] = (200, 60, 0)
    rgba[..., 3] = np.where(inside, 255, 0)
    return Image.fromarray(rgba[..., :3] if opaque else rgba)


def downloads(html: str, folder: Path) -> dict[str, Path]:
    """Saves what the links of a result give."""
    paths = {}
    for name, content in LINK.findall(html):
        paths[name] = folder / name
        paths[name].write_bytes(base64.b64decode(content))
    return paths


def test_a_result_has_images_and_meshes_in_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    mesh = recon.load(tiny_checkpoint, "cpu").reconstruct(ball(opaque=True))
    html = app.result_html(mesh)
    assert html.count('<img src="data:image/png;base64,') == 2
    assert "<iframe" in html
    assert "Object: estimated" in html
    assert "Note: the mask is an estimate" in html
    files = downloads(html, tmp_path)
    assert list(files) == ["mesh.glb", "mesh.obj"]
    for path in files.values():
        read = read_mesh(path)
        assert torch.allclose(read.vertices[read.faces], mesh.vertices[mesh.faces], atol=1e-5)
    assert "Note:" not in app.result_html(recon.load(tiny_checkpoint, "cpu").reconstruct(ball()))


def test_files_of_a_texture_are_one_archive(tiny_checkpoint: Path, tmp_path: Path) -> None:
    mesh = recon.load(tiny_checkpoint, "cpu").reconstruct(ball())
    texels = torch.rand(len(mesh.faces), 4, 3, generator=torch.Generator().manual_seed(0))
    name, content = app._download(
        recon.ReconstructedMesh(mesh.vertices, mesh.faces, texels, mesh.reconstruction), ".obj"
    )
    assert name == "mesh_obj.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sorted(archive.namelist()) == ["mesh.mtl", "mesh.obj", "mesh.png"]


def test_examples_show_an_object(tmp_path: Path) -> None:
    paths = app.example_images(tmp_path)
    assert [path.stem for path in paths] == list(app.EXAMPLES)
    for path in paths:
        taken = take_image(path)
        assert taken.mask == "estimated"
        assert 0.02 < (taken.rgba[3] > 127).mean() < 0.6


def test_bad_input_is_one_clear_message(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        app.main(["--port", "0"])
    assert "--port must lie in 1..65535, got 0" in capsys.readouterr().err
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"error: recon-app needs the package gradio: pip install"):
        app.main([])


@dataclass
class Server:
    """A running recon-app.

    Attributes:
        address: Of its page.
        process: The process.
        folder: Where it puts temporary files.
    """

    address: str
    process: subprocess.Popen[bytes]
    folder: Path


@pytest.fixture
def server(shipped: Path, tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind((app.ADDRESS, 0))
        port = free.getsockname()[1]
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log.txt", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recon.inference.app", "--port", str(port), "--device", "cpu"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            with socket.socket() as asked:
                if asked.connect_ex((app.ADDRESS, port)) == 0:
                    break
            assert process.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.2)
        yield Server(f"http://{app.ADDRESS}:{port}/", process, folder)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(find_spec("gradio") is None, reason="the extra 'app' is not installed")
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_an_upload_becomes_a_mesh(server: Server, tmp_path: Path) -> None:
    ball().save(tmp_path / "ball.png")
    noise = np.random.default_rng(0).integers(0, 255, (1900, 1900, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size > app.LARGEST
    Image.new("RGB", (60, 60), "white").save(tmp_path / "empty.png")
    assert BROWSER is not None
    with chromium(BROWSER, tmp_path / "profile") as page:
        page.resize(1200, 1000)
        page.visit(server.address)
        page.wait_for("document.querySelector('input[type=file]') !== null")
        assert page.run("document.querySelectorAll('iframe').length") == 0

        page.choose_file("input[type=file]", tmp_path / "ball.png")
        page.wait_for("document.querySelector('.recon-result iframe') !== null")
        html = page.run("document.querySelector('.recon-result').outerHTML")
        files = downloads(html, tmp_path)
        assert read_mesh(files["mesh.glb"]).num_faces == 80
        assert "by its alpha channel" in html
        page.wait_for("[...document.images].every((one) => one.complete && one.naturalWidth)")
        page.screenshot(tmp_path / "page.png")
        # The page asks for nothing from elsewhere, and tries nothing that its policy forbids.
        asked = {address for address in page.requests if not address.startswith("blob:")}
        assert {address for address in asked if not address.startswith(server.address)} == set()
        assert not [text for text in page.complaints if "Policy" in text or "net::" in text]

        for name, message in (
            ("large.png", "maximum allowed size"),
            ("empty.png", "no object found"),
        ):
            page.visit(server.address)
            page.wait_for("document.querySelector('input[type=file]') !== null")
            page.choose_file("input[type=file]", tmp_path / name)
            page.wait_for(f"document.body.innerText.includes({message!r})")
    assert any(server.folder.rglob("*.png"))
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    assert not any(path.is_file() for path in server.folder.rglob("*.png"))
