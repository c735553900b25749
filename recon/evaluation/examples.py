"""Which predictions an evaluation writes as meshes and images, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.gallery import make_examples, pick_objects, save_examples
from recon.evaluation.voxel_scores import MeshPredictor
from recon.formats.meshes import COLORED_FORMATS, TEXTURED_FORMATS
from recon.visualization.turntable import VIDEO_FORMATS


class ExampleFiles:
    """Writes some predictions as meshes, turntables and a contact sheet.

    Args:
        count: of how many objects; 0 writes nothing.
        format: of the mesh files: obj, ply or glb; texels need obj or glb.
        turntable: of the animation of each object: gif, or mp4, which needs the package
            imageio-ffmpeg; None makes none.

    Raises:
        ValueError: count < 0, or there is no such format or turntable.
    """

    def __init__(self, count: int = 0, format: str = "obj", turntable: str | None = "gif") -> None:
        if count < 0:
            raise ValueError(f"save_meshes must be >= 0, got {count}")
        _require_format(format)
        _require_turntable(turntable)
        self.count, self.format, self.turntable = count, format, turntable

    def require_room_for_texels(self, model: nn.Module) -> None:
        """Refuses a format which cannot hold a model's textures, before hours of evaluation.

        Raises:
            ValueError: the model predicts texels and the format has none.
        """
        surface = getattr(getattr(model, "color_head", None), "surface", None)
        textured = getattr(surface, "texels", 0) > 0
        if self.count and textured and f".{self.format}" not in TEXTURED_FORMATS:
            raise ValueError(
                f"format must be {_named(TEXTURED_FORMATS)} for a model with texels, "
                f"got {self.format!r}"
            )

    def save(self, predictor: MeshPredictor, data: MultiViewDataset, folder: Path) -> list[Path]:
        """Writes `contact_sheet.png` and `meshes/`; returns the paths of the sheet and the meshes.

        Raises:
            OSError: a file could not be written.
        """
        if not self.count:
            return []
        examples = make_examples(predictor, data, pick_objects(data, self.count))
        turntable = None if self.turntable is None else f".{self.turntable}"
        return save_examples(folder, examples, f".{self.format}", turntable)


def _named(suffixes: Sequence[str]) -> str:
    return " or ".join(suffix[1:] for suffix in suffixes)


def _require_format(name: str) -> None:
    if f".{name}" not in COLORED_FORMATS:
        raise ValueError(f"format must be {_named(COLORED_FORMATS)}, got {name!r}")


def _require_turntable(name: str | None) -> None:
    if name is None:
        return
    if f".{name}" not in VIDEO_FORMATS:
        raise ValueError(f"turntable must be {_named(VIDEO_FORMATS)} or null, got {name!r}")
    if name == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise ValueError(
            "turntable=mp4 needs the package imageio-ffmpeg (the extra 'video'); gif needs none"
        )
