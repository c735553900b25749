"""Pages of the reference, one for each room of the sources, which Sphinx fills with docstrings."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent


@dataclass(frozen=True)
class Room:
    """A page.

    Attributes:
        name: Of the page's file.
        title: Its heading.
        about: A sentence.
        modules: Patterns of names, apart by spaces; a module is in the first room that matches.
    """

    name: str
    title: str
    about: str
    modules: str

    def has(self, name: str) -> bool:
        """Whether a module belongs here, unless to an earlier room."""
        return any(fnmatch(name, pattern) for pattern in self.modules.split())


ROOMS = (
    Room(
        "renderer_cuda",
        "renderer_cuda",
        "The rasterizer, a package of its own: its public functions.",
        "renderer_cuda",
    ),
    Room(
        "geometry",
        "Geometry",
        "Cameras, meshes, voxels and rotations.",
        "recon.geometry*",
    ),
    Room(
        "rendering",
        "Rendering",
        "The soft renderer, its lights, and renderers to compare it with.",
        "recon.rendering*",
    ),
    Room(
        "models",
        "Models",
        "Networks which turn an image into a mesh.",
        "recon.models*",
    ),
    Room(
        "losses",
        "Losses",
        "What training and fitting minimise.",
        "recon.losses* recon.schedules",
    ),
    Room(
        "training",
        "Training",
        "The training loop, its steps and its log.",
        "recon.training* recon.compute recon.timing",
    ),
    Room(
        "runs",
        "Runs and sweeps",
        "Run directories, checkpoints, trained models and sweeps.",
        "recon.runs*",
    ),
    Room(
        "metrics",
        "Metrics",
        "Evaluation protocols and their measures.",
        "recon.metrics*",
    ),
    Room(
        "evaluation",
        "Evaluation and reports",
        "Scores of a checkpoint, beside baselines.",
        "recon.evaluation*",
    ),
    Room(
        "inference",
        "Inference",
        "From any image to a mesh, with a trained model.",
        "recon.inference*",
    ),
    Room(
        "segmentation",
        "Segmentation",
        "The mask of the object of an image that has none.",
        "recon.segmentation*",
    ),
    Room(
        "fitting",
        "Fitting",
        "Shapes, poses, joints, cameras and lights found without a network.",
        "recon.fitting*",
    ),
    Room(
        "formats",
        "File formats",
        "Reading and writing of meshes, images, voxel grids and arrays.",
        "recon.formats*",
    ),
    Room(
        "datasets",
        "Data sets",
        "The HDF5 layout, and what feeds the network.",
        "recon.datasets*",
    ),
    Room(
        "preparation",
        "Preparation of data",
        "Sources of objects, their rendering, and checks of the result.",
        "recon.preparation*",
    ),
    Room(
        "visualization",
        "Visualization",
        "Images, turntables and plots of results.",
        "recon.visualization*",
    ),
    Room("tools", "Files and command lines", "What the other rooms share.", "recon*"),
)


def modules(root: Path = ROOT) -> list[str]:
    """Returns the names of the modules of both packages, private ones left out."""
    found = ["renderer_cuda"]
    for path in sorted((root / "recon").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not any(part.startswith("_") for part in parts):
            found.append(".".join(parts))
    return found


def rooms(names: list[str]) -> dict[Room, list[str]]:
    """Sort modules into rooms."""
    found: dict[Room, list[str]] = {room: [] for room in ROOMS}
    for name in names:
        found[next(room for room in ROOMS if room.has(name))].append(name)
    return found


def write_pages(folder: Path, root: Path = ROOT) -> None:
    """Writes an index and a page for each room, and remove those of before.

    Args:
        folder: Of the pages and of nothing else.
        root: Of the sources.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        path.unlink()
    (folder / "index.md").write_text(_index(), encoding="utf-8")
    for room, names in rooms(modules(root)).items():
        (folder / f"{room.name}.md").write_text(_page(room, names, root), encoding="utf-8")


def _index() -> str:
    lines = ["# Reference", "", "Out of the docstrings of the sources, a page for each room.", ""]
    lines += [f"- [{room.title}]({room.name}.md): {room.about}" for room in ROOMS]
    names = "\n".join(room.name for room in ROOMS)
    return "\n".join([*lines, "", f"```{{toctree}}\n:hidden:\n\n{names}\n```", ""])


def _page(room: Room, names: list[str], root: Path) -> str:
    parts = [f"# {room.title}\n\n{room.about}\n"]
    for name in names:
        heading = "" if name == room.title else f"## {name}\n\n"
        options = "".join(f"\n   :{option}" for option in _options(name, root))
        parts.append(f"{heading}```{{eval-rst}}\n.. automodule:: {name}{options}\n```\n")
    return "\n".join(parts)


def _options(name: str, root: Path) -> list[str]:
    if name == "renderer_cuda":  # tells what it passes on from its modules, which have no pages
        return ["members:"]
    if (root / name.replace(".", "/")).is_dir():  # whose modules tell it
        return []
    return ["members:", "special-members: __call__", "ignore-module-all:"]
