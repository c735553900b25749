"""The notebook runs from top to bottom, with shipped weights and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient runs the notebook")
nbclient = pytest.importorskip("nbclient", reason="nbclient runs the notebook")
pytest.importorskip("ipykernel", reason="ipykernel runs the notebook")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
# Seconds for all of it, which is what its first cell promises.
LIMIT = 300


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def run_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Runs the notebook in a folder; returns what it printed and the types of what it showed."""
    for name, value in (("PYTHONPATH", str(ROOT)), ("OMP_NUM_THREADS", "1")):
        monkeypatch.setenv(name, value)
    notebook = read()
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=LIMIT, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(o["text"] for o in outputs if o["output_type"] == "stream")
    return text, [kind for o in outputs for kind in o.get("data", {})]


def test_it_runs_with_shipped_weights(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, shown = run_notebook(tmp_path, monkeypatch)
    assert "loaded objects13" in text
    assert "voxel IoU of the validation objects: " in text
    assert shown.count("image/png") == 3
    assert "text/html" in shown  # the viewer
    assert (tmp_path / "mesh.glb").stat().st_size > 1000


def test_it_runs_with_what_it_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "empty"))
    text, _ = run_notebook(tmp_path, monkeypatch)
    assert "loaded run/checkpoints/best.pt" in text
    assert "642 vertices, 1280 faces" in text
    assert (tmp_path / "mesh.glb").stat().st_size > 1000


def test_the_committed_notebook_has_no_outputs() -> None:
    code = [cell for cell in read().cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
