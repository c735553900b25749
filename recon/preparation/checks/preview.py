"""A contact sheet of the images of a prepared file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recon.datasets.categories import present_categories
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.files import atomic_file
from recon.geometry.cameras import SHAPENET_VIEWS
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.draw import to_pixels

# The standard views of the front, one side of the front, the back and the side.
STANDARD_VIEWS = (0, 3, 12, 18)
OBJECTS_PER_CATEGORY = 4
LARGEST = 128  # pixels along a side of an image on the sheet


def preview_path(path: str | Path) -> Path:
    """Returns the name of a file's contact sheet."""
    return Path(f"{path}.preview.png")


def write_preview(path: str | Path, output: str | Path | None = None) -> Path:
    """Writes a contact sheet of a file: a row per category, some objects and views.

    Args:
        path: The file of the prepared data set.
        output: The file of the contact sheet; None writes `PATH.preview.png`.

    Returns:
        The sheet's path.

    Raises:
        FileNotFoundError, ValueError: If `path` is not a valid file.
        OSError: If the sheet cannot be written; the message names it.
    """
    rows, names = [], []
    with open_dataset(path) as file:
        synsets = np.array(read_texts(file, "synsets"))
        count = file["images"].shape[1]
        views = STANDARD_VIEWS if count == SHAPENET_VIEWS else spread(count, len(STANDARD_VIEWS))
        for category in present_categories(synsets.tolist()):
            members = np.flatnonzero(synsets == category.synset)
            picked = np.linspace(0, len(members) - 1, OBJECTS_PER_CATEGORY).astype(int)
            indices = members[np.unique(picked)]
            tiles = [file["images"][index, view] for index in indices for view in views]
            rows.append(_cells(np.stack(tiles)))
            names.append(category.name)
    sheet = preview_path(path) if output is None else Path(output)
    with atomic_file(sheet) as stream:
        contact_sheet(rows, captions=names).save(stream, format="PNG")
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Returns up to `wanted` of the numbers 0..count - 1, evenly spread, the first one included."""
    step = max(1.0, count / wanted)
    return [int(index * step) for index in range(min(count, wanted))]


def _cells(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Returns images [n, 4, H, W] over white as the cells of a row."""
    # Every n-th pixel of a large image is enough to look at.
    step = -(-max(images.shape[2:]) // LARGEST)
    small = torch.from_numpy(images[:, :, ::step, ::step]).float() / 255
    return list(to_pixels(over_white(small)))
