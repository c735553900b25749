"""The direction of imports, read from the sources: low rows know nothing of high ones."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The parts of recon from the lowest row to the highest; a part imports from its own row and below.
# Every part stands in exactly one row.
ROWS = (
    ("arguments", "threads"),  # the types of signatures, and how many threads commands use
    (
        "files",
        "command_line",
        "compute",
        "entry_point",
        "schedules",
        "timing",
    ),  # import nothing else of recon
    ("geometry",),
    ("rendering", "formats"),
    ("losses", "metrics", "datasets", "models"),
    ("runs", "preparation", "segmentation", "visualization"),
    ("training", "evaluation", "inference", "fitting"),
)


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path = ROOT) -> set[str]:
    """Every module a file imports anywhere in it, as dotted names; relative ones made absolute.

    `from a import b` gives a.b, which may be a module or not.
    """
    package = list(path.relative_to(root).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def recon_part(name: str) -> str | None:
    """The first name below recon: 'models' for recon.models.encoder.SoftRasEncoder."""
    head, _, rest = name.partition(".")
    return rest.partition(".")[0] or None if head == "recon" else None


def row(part: str) -> int:
    return next(index for index, names in enumerate(ROWS) if part in names)


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("recon"), ids=identify)
def test_recon_imports_from_its_own_row_and_below(path: Path) -> None:
    own = recon_part(module_name(path))
    if own is None:  # recon/__init__.py, whose names are loaded when they are first used
        body = ast.parse(path.read_text(encoding="utf-8")).body
        loaded = [node.module for node in body if isinstance(node, ast.ImportFrom)]
        assert not [name for name in loaded if (name or "").startswith("recon")]
        return
    used = {part for part in map(recon_part, imports(path)) if part is not None and part != own}
    above = {part for part in used if row(part) > row(own)}
    assert not above, f"{own} (row {row(own)}) must not import {above}; see ROWS in {__file__}"
    if row(own) <= 1:
        assert used <= set(ROWS[0]), f"{own} must import no more than {ROWS[0]}, got {used}"


@pytest.mark.parametrize(
    "path", [*sources("recon/models"), ROOT / "recon/losses/smoothness.py"], ids=identify
)
def test_models_and_losses_do_not_render(path: Path) -> None:
    assert "renderer_cuda" not in packages(path)
    assert not {"renderer", "voxels"} & {recon_part(name) for name in imports(path)}


@pytest.mark.parametrize("path", sources("renderer_cuda"), ids=identify)
def test_renderer_cuda_needs_only_torch(path: Path) -> None:
    assert packages(path) - set(sys.stdlib_module_names) <= {"torch", "renderer_cuda"}


@pytest.mark.parametrize("path", sources("recon", "renderer_cuda"), ids=identify)
def test_the_libraries_know_nothing_of_hydra(path: Path) -> None:
    assert not {"hydra", "omegaconf"} & packages(path)
    assert not {"train", "eval", "scripts", "tests"} & packages(path)


@pytest.mark.parametrize("path", sources("recon", "scripts"), ids=identify)
def test_only_geometry_and_formats_know_trimesh(path: Path) -> None:
    if recon_part(module_name(path)) not in ("geometry", "formats"):
        assert "trimesh" not in packages(path)


def test_modules_do_not_import_each_other_in_circles() -> None:
    paths = {module_name(path): path for path in sources("recon", "renderer_cuda")}
    graph = {name: known_modules(imports(path), set(paths)) for name, path in paths.items()}
    while graph:
        free = {name for name, used in graph.items() if not used & set(graph) - {name}}
        assert free, f"imports in a circle among {sorted(graph)}"
        graph = {name: used for name, used in graph.items() if name not in free}


def known_modules(names: set[str], known: set[str]) -> set[str]:
    """The modules among imported names: a.b.C is a.b unless a.b.C is a module itself."""
    return {name if name in known else name.rpartition(".")[0] for name in names}


def test_every_part_of_recon_stands_in_one_row() -> None:
    listed = [part for names in ROWS for part in names]
    assert len(listed) == len(set(listed))
    parts = {path.stem for path in (ROOT / "recon").glob("*.py")} - {"__init__"}
    parts |= {path.parent.name for path in (ROOT / "recon").glob("*/__init__.py")}
    assert set(listed) == parts


def test_the_reader_sees_every_form_of_import(tmp_path: Path) -> None:
    path = tmp_path / "recon" / "models" / "example.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import hydra.utils as u, os\n"
        "from recon.geometry.meshes import icosphere\n"
        "from . import encoder\n"
        "from ..renderer import SoftRenderer\n"
        "from .. import voxels\n"
        "def late():\n    if True:\n        import trimesh\n"
    )
    assert imports(path, tmp_path) == {
        "hydra.utils",
        "os",
        "recon.geometry.meshes.icosphere",
        "recon.models.encoder",
        "recon.renderer.SoftRenderer",
        "recon.voxels",
        "trimesh",
    }
    assert module_name(path, tmp_path) == "recon.models.example"
    assert recon_part("recon.models.example") == "models"
    assert recon_part("renderer_cuda.ops") is None
    assert row("training") > row("models") > row("rendering") > row("geometry") > row("files")
