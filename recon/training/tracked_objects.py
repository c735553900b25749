"""Tracks the predictions of a few validation objects over the validations of a run.

    RUN/progress/objects.npz       which objects, their images from two views, and the faces
    RUN/progress/step_00000500.npz the meshes which the model made of them after that step

`recon.training.progress_film` draws the film of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.models.prediction import predict

OBJECTS = "objects.npz"
_STEP = re.compile(r"step_(\d+)\.npz")
# The input of the 24 standard views that looks at front and side, azimuth -45, and how far on the
# second view is.
INPUT_VIEW, TURN = 3, 0.25
# Object units: farther out than any object, and within the range of half precision.
_FAR = 1e3


@dataclass(frozen=True, eq=False)
class TrackedPredictions:
    """True images of some objects, and the meshes that a model predicts of them.

    Args:
        ids: The names of the N objects in their data set.
        truth: [N, 2, 4, H, W] uint8 true images from two views; the first view is the input.
        cameras: [N, 2, 16] rows of the `Cameras` of these views.
        faces: [F, 3] int64 faces of the predicted meshes.
        vertices: [N, V, 3] float32 in the world of the cameras; [0, V, 3] without a prediction.
        colors: [N, V, 3] or texels [N, F, R * R, 3], sRGB in [0, 1]; None without any.
    """

    ids: tuple[str, ...]
    truth: Tensor
    cameras: Tensor
    faces: Tensor
    vertices: Tensor
    colors: Tensor | None = None

    def mesh(self, index: int) -> Mesh:
        """Returns a predicted mesh in the world of the cameras."""
        return Mesh(self.vertices[index], self.faces)

    def mesh_colors(self, index: int) -> Tensor | None:
        """Returns the colours of a predicted mesh, if there are any."""
        return None if self.colors is None else self.colors[index]

    def views(self, index: int) -> Cameras:
        """Returns the cameras of the two views of an object."""
        return Cameras.from_rows(self.cameras[index])


class TrackedObjects:
    """Predicts the same objects at every validation and keeps their meshes.

    Args:
        folder: The folder of the files. Objects that were chosen there before are kept.
        data: The validation objects.
        count: The number of objects, which are spread over the categories.
        step: The number of steps of the run so far; files of later steps, of a start that was
            interrupted, are removed.

    Raises:
        OSError: A file could not be written.
        ValueError: The files in the folder belong to another data set.
    """

    def __init__(self, folder: Path, data: MultiViewDataset, count: int, step: int) -> None:
        self.folder = folder
        for number, path in step_files(folder):
            if number > step:
                path.unlink()
        ids = _known_ids(folder)
        if ids is None:
            self._objects = spread_objects(data.synsets, count)
        else:
            if missing := sorted(set(ids) - set(data.ids)):
                raise ValueError(
                    f"{folder / OBJECTS} shows objects the data do not have: {missing}"
                )
            self._objects = [data.ids.index(id_) for id_ in ids]
        first = INPUT_VIEW % data.num_views
        views = [first, (first + round(TURN * data.num_views)) % data.num_views]
        self._ids = tuple(data.ids[index] for index in self._objects)
        self._truth = torch.stack([data.images(index, views) for index in self._objects])
        self._cameras = torch.stack([data.cameras(index, views) for index in self._objects])

    def show(self, model: nn.Module, step: int) -> TrackedPredictions:
        """Predicts the objects from their input view, and writes the meshes.

        Args:
            model: A model that makes a `Prediction` of images [B, 4, H, W] in [0, 1], with a buffer
                `faces` [F, 3].
            step: The number of steps done.

        Raises:
            OSError: A file could not be written.
        """
        prediction = predict(model, self._truth[:, 0])
        faces: Tensor = model.faces  # type: ignore[assignment]
        # A run that diverges is for its guard to end, not for what looks on.
        vertices = prediction.vertices.detach().float().cpu().nan_to_num(0, 0, 0).clamp(-_FAR, _FAR)
        colors = prediction.colors
        tracked = TrackedPredictions(
            self._ids,
            self._truth,
            self._cameras,
            faces.cpu(),
            vertices,
            None if colors is None else colors.detach().float().cpu().nan_to_num(0, 0, 0),
        )
        self._write(tracked, step)
        return tracked

    def _write(self, tracked: TrackedPredictions, step: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / OBJECTS).exists():
            arrays = {"truth": tracked.truth.numpy(), "cameras": tracked.cameras.numpy()}
            arrays |= {
                "ids": np.array(tracked.ids),
                "faces": tracked.faces.numpy().astype(np.int32),
            }
            _save(self.folder / OBJECTS, arrays)
        # Steps of 1/2000 of an object, which nobody sees.
        arrays = {"vertices": tracked.vertices.numpy().astype(np.float16)}
        if tracked.colors is not None:
            arrays["colors"] = (tracked.colors.clamp(0, 1) * 255).round().byte().numpy()
        _save(self.folder / f"step_{step:08d}.npz", arrays)


def spread_objects(synsets: Sequence[str], count: int) -> list[int]:
    """Returns the first object of every category, then the second of every one, up to a count.

    Args:
        synsets: The synsets of all objects.
        count: The greatest number of indices.
    """
    turns: dict[str, int] = defaultdict(int)
    order = []
    for index, synset in enumerate(synsets):
        order.append((turns[synset], index))
        turns[synset] += 1
    return [index for _, index in sorted(order)[:count]]


def step_files(folder: Path) -> list[tuple[int, Path]]:
    """Returns the steps of which a folder has meshes, rising, with their files."""
    if not folder.is_dir():
        return []
    found = [(_STEP.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in found if match)


def read_tracked(folder: Path, path: Path | None = None) -> TrackedPredictions:
    """Reads the objects of a folder, and the meshes of a step.

    Args:
        folder: The folder `progress` of a run.
        path: One of `step_files`; None reads the objects alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is damaged; the message names it.
    """
    objects = _load(folder / OBJECTS, ("ids", "truth", "cameras", "faces"))
    arrays = {"vertices": np.zeros((0, 1, 3))} if path is None else _load(path, ("vertices",))
    colors = arrays.get("colors")
    return TrackedPredictions(
        tuple(map(str, objects["ids"])),
        torch.from_numpy(objects["truth"]),
        torch.from_numpy(objects["cameras"]),
        torch.from_numpy(objects["faces"].astype(np.int64)),
        torch.from_numpy(arrays["vertices"].astype(np.float32)),
        None if colors is None else torch.from_numpy(colors.astype(np.float32) / 255),
    )


def _known_ids(folder: Path) -> list[str] | None:
    if not (folder / OBJECTS).exists():
        return None
    return [str(id_) for id_ in _load(folder / OBJECTS, ("ids",))["ids"]]


def _save(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _load(path: Path, names: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    # What zipfile, zlib and numpy raise for damaged files.
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"{path} has no {', '.join(missing)}")
    return arrays
