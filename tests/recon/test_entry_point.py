"""Every command sets how threads wait before torch reads it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def console_commands() -> list[Path]:
    """The modules that pyproject.toml makes console commands of."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.scripts]\n")[1].split("\n[")[0]
    modules = [line.split('"')[1].split(":")[0] for line in section.splitlines() if "=" in line]
    return [ROOT / f"{name.replace('.', '/')}.py" for name in modules]


# What can be run by its path, and what can be run by a name.
SCRIPTS = [ROOT / "train.py", ROOT / "eval.py", *sorted((ROOT / "scripts").rglob("*.py"))]
COMMANDS = [
    *[p for p in SCRIPTS if 'if __name__ == "__main__"' in p.read_text(encoding="utf-8")],
    *console_commands(),
]


def test_there_are_commands_of_both_kinds() -> None:
    assert ROOT / "scripts/prepare_data.py" in COMMANDS
    assert ROOT / "recon/inference/command.py" in COMMANDS


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_imports_it_before_all_that_may_load_torch(path: Path) -> None:
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    foreign = [n for n in names if n.partition(".")[0] not in {*sys.stdlib_module_names}]
    assert foreign[0] == "recon.entry_point"


@pytest.mark.parametrize(("user", "policy"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_openmp_takes_it_and_the_user_has_the_last_word(user: str | None, policy: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true", "OMP_NUM_THREADS": "1"}
    if user:
        environment["OMP_WAIT_POLICY"] = user
    done = subprocess.run(
        [sys.executable, "scripts/reconstruct.py", "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("this torch has no OpenMP")
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr
