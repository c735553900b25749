"""The commands of docs/quickstart.md, from end to end on tiny data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SMALLER = {
    "objects_per_category=20": "objects_per_category=3 source.categories=[chair] workers=1",
    "experiment=demo trainer.max_steps=1000": "experiment=smoke trainer.max_steps=8",
    "save_meshes=4": "save_meshes=1 views=[0] turntable=null",
}


def test_the_commands_lead_from_nothing_to_a_mesh(run_page: Any, tmp_path: Path) -> None:
    done = run_page("quickstart.md", SMALLER)
    assert "chair" in done.stdout
    run = tmp_path / "outputs" / "quickstart"
    assert json.loads((run / "result.json").read_text())["step"] == 8
    report = (run / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "chair" in report
    assert list((run / "evaluation").rglob("*.glb"))
    for name in ("mesh.glb", "mesh.obj", "turntable.gif", "overlay.png"):
        assert (run / "reconstruction" / "chair" / name).stat().st_size > 0, name
