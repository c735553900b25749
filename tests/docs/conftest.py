"""What the tests of the pages share: their tested blocks, run in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTED = re.compile(r"^<!-- tested -->\n```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)

# What the commands of a page find beside themselves.
VISIBLE = ("configs", "docs", "scripts", "train.py", "eval.py")

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_page(tmp_path: Path) -> Runner:
    """Runs the tested blocks of a page as one script in `tmp_path`, with some of it replaced."""

    def run(page: str, smaller: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        script = "".join(TESTED.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))
        assert script, f"{page} has no tested block"
        for text, other in smaller.items():
            assert text in script, f"{page} has no {text!r} any more"
            script = script.replace(text, other)
        for name in VISIBLE:
            (tmp_path / name).symlink_to(ROOT / name)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
