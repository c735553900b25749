"""The command line reconstruct.py, from the checkout and from a copy of the package elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 8:32] = (255, 128, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "box.png")
    return tmp_path / "box.png"


def test_a_image_is_reconstructed(
    run_script_here: Run, tiny_checkpoint: Path, image: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    options = ("--checkpoint", str(tiny_checkpoint), "--output", out, "--no-turntable")
    done = run_script_here("scripts/reconstruct.py", str(image), *options)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 images reconstructed" in done.stdout
    assert (tmp_path / "out" / "box" / "mesh.glb").stat().st_size > 1000


def test_the_package_alone_does_it_too(tiny_checkpoint: Path, image: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for package in ("recon", "renderer_cuda"):
        shutil.copytree(
            ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    code = (
        "import sys; sys.path = [p for p in sys.path if p not in ('', sys.argv[1])];"
        f"sys.path.insert(0, {str(site)!r});"
        "sys.modules['hydra'] = sys.modules['omegaconf'] = None;"  # importing them fails
        "import recon; assert recon.__file__.startswith(sys.path[0]), recon.__file__;"
        "from recon.inference.command import main; main(sys.argv[2:])"
    )
    options = ["--checkpoint", str(tiny_checkpoint), "--output", "out", "--no-turntable"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT), str(image), *options],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 images reconstructed" in done.stdout
    assert (tmp_path / "out" / "box" / "mesh.obj").exists()
