"""The page about the use from Python: its code runs, from top to bottom."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the test makes smaller: the same calls, in seconds.
SMALLER = {
    '"max_steps": 1000, "batch_size": 16, "validate_every": 500': (
        '"max_steps": 2, "batch_size": 2, "validate_every": 2'
    ),
    "config = {\n": 'config = {\n    "model": small_model,\n',
}


MODEL = {
    "_target_": "recon.models.Reconstructor",
    "encoder": {
        "_target_": "recon.models.SoftRasEncoder",
        "image_size": 64,
        "channels": [4, 8, 8, 8],
        "hidden": [16],
    },
    "decoder": {"_target_": "recon.models.MeshDecoder", "hidden": [16]},
}


def test_the_code_of_the_page_runs(
    tiny_checkpoint: Path,
    shapes_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_script_here: Callable[..., CompletedProcess[str]],
) -> None:
    code = "\n".join(BLOCK.findall((ROOT / "docs" / "python.md").read_text(encoding="utf-8")))
    for text, other in SMALLER.items():
        assert text in code
        code = code.replace(text, other)
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(tiny_checkpoint, tmp_path / "checkpoints" / "best.pt")
    shutil.copy(shapes_file, tmp_path / "data.h5")
    chair = np.zeros((80, 80, 4), np.uint8)
    chair[20:60, 25:55] = (200, 120, 40, 255)
    Image.fromarray(chair).save(tmp_path / "chair.png")
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"small_model": MODEL}
    exec(compile(code, "python.md", "exec"), space)
    assert space["image"].shape == (3, 256, 256)  # type: ignore[attr-defined]
    assert 0 < float(space["silhouette"].mean()) < 1  # type: ignore[attr-defined]
    assert (tmp_path / "chair.glb").stat().st_size > 1000
    assert space["model"].reconstruct(chair).vertices.shape == (642, 3)  # type: ignore[attr-defined]
    assert space["checkpoint"] == Path("run/checkpoints/best.pt")
    where = [f"checkpoint={tmp_path / 'run/checkpoints/best.pt'}", f"output_dir={tmp_path / 'e'}"]
    done = run_script_here("eval.py", *where, f"data.path={tmp_path / 'data.h5'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "e" / "result.json").is_file()
