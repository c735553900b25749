"""A user's own images of objects, with cameras in any of the common file formats."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.arguments import ImageSide, Length, ViewCount, VoxelSide
from recon.datasets.categories import category_of
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.cameras.frame import Frame
from recon.formats.cameras.reader import require_format
from recon.formats.images import OPAQUE
from recon.formats.masks import MaskedImage
from recon.formats.meshes import MESH_FORMATS, read_textured_mesh
from recon.formats.resampling import ASPECTS, fit_image
from recon.formats.stores import FolderStore
from recon.formats.views import MASKS
from recon.geometry.cameras import Cameras, as_image_size
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import pack_voxels, voxelize_mesh
from recon.preparation.calibrated_views import Placement, read_calibrated_views
from recon.preparation.checks.visual_hull import visual_hull
from recon.preparation.normalization import require_normalization
from recon.preparation.sources.interface import ObjectEntry, fingerprint
from recon.preparation.sources.object_folders import Place, find_places, readable, unique_ids
from recon.preparation.sources.splits import assign_splits
from renderer_cuda.voxelization import MODES

log = logging.getLogger(__name__)

# Counted up whenever the same files give other arrays.
VERSION = 2
VOXELS = ("auto", "mesh", "hull", "none")
# Parts that are thinner than a voxel stay in a hull, as they do in the voxels of a surface.
HULL_REACH = 0.5


class ImagesSource:
    """Images in FOLDER/category/object/, each with its camera in a file `cameras.json`.

    `recon.formats.cameras.cameras_json` describes that file; it lies in the object's folder or, for
    all objects there, in the category's or in FOLDER. The object stands within [-0.5, 0.5]^3 of the
    frame of models. Or the object's folder has cameras of another format
    (`recon.formats.cameras.reader`), and `recon.preparation.normalization` brings the object there.
    Its mesh, `mesh.obj` and so on, is in the coordinates of the camera file.
    `recon.formats.views` says where masks are found.

    Args:
        folder: The folder that has a folder per category, with a folder per object.
        image_size: (height, width) of the stored images, an int for square ones.
        aspect: What is done with images of another aspect ratio: "pad" or "crop".
        num_views: The number K of views, which are the first frames of every object; None takes the
            number that most objects have (the smallest such number). Objects with fewer are left
            out.
        voxels: Where voxels come from: "mesh" voxelises the mesh of every object; "hull" takes the
            visual hull of the masks, which is an upper bound of the object and not the truth;
            "none" stores no voxels; "auto" means "mesh" if every object has one and else "none".
        voxel_resolution: The number of voxels along each side.
        voxel_mode: How meshes are voxelised, as for `renderer_cuda.voxelize`.
        categories: The names, synsets or own words of the categories to keep; None keeps all.
        split_file: The file of the splits, as `sources.splits.read_splits` takes it, with objects
            by the names of their folders; None splits 70/10/20 by a hash of the id.
        licence: The licence of all objects.
        mask: What is done without masks: "given" leaves out the objects; "plain" estimates the
            masks from a plain background.
        camera_format: The format of the camera files, see `recon.formats.cameras.reader.FORMATS`;
            "auto" tells them apart by their names.
        frame: The front and up directions in the coordinates of the camera files, such as "-y,+z";
            "auto" leaves a `cameras.json` as it is and finds up from the other cameras.
        center: What becomes the middle: "hull" takes the middle of the masks' visual hull,
            "cameras" the point that is closest to the optical axes, "none" the file's origin;
            "auto" means "none" for `cameras.json`, else "hull".
        scale: The size of the file's unit as a number; "auto" makes the longest side of the hull 1,
            unless the center is "none"; "none" keeps the file's unit.

    Raises:
        FileNotFoundError: If `folder` is not a folder.
        ValueError: If an argument is out of range.
    """

    name = "images"

    def __init__(
        self,
        folder: str | Path,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        aspect: str = "pad",
        num_views: ViewCount | None = None,
        voxels: str = "auto",
        voxel_resolution: VoxelSide = 32,
        voxel_mode: str = "softras",
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        licence: str = "unknown",
        mask: str = "given",
        camera_format: str = "auto",
        frame: str | Sequence[str] = "auto",
        center: str = "auto",
        scale: str | Length = "auto",
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if num_views is not None and num_views < 1:
            raise ValueError(f"num_views must be >= 1 or null, got {num_views}")
        for name, word, words in (
            ("voxels", voxels, VOXELS),
            ("aspect", aspect, ASPECTS),
            ("voxel_mode", voxel_mode, MODES),
            ("mask", mask, MASKS),
        ):
            if word not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {word!r}")
        require_format(camera_format)
        require_normalization(frame, center, scale)
        if voxel_resolution < 1:
            raise ValueError(f"voxel_resolution must be >= 1, got {voxel_resolution}")
        self._folder = Path(folder)
        self._image_size = as_image_size(image_size)
        self._aspect = aspect
        self._num_views = num_views or 0  # 0: not yet known
        self._voxels = voxels
        self._resolution = voxel_resolution
        self._voxel_mode = voxel_mode
        self._categories = categories
        self._split_file = split_file
        self._licence = licence
        self._mask = mask
        self._camera_format = camera_format
        self._placement = Placement(frame, center, scale)
        self._transforms = not self._placement.is_automatic
        self._entries: list[ObjectEntry] | None = None
        self._places: dict[str, Place] = {}

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        entries = self.objects()
        labels = [[e.id, e.name, e.synset, e.group, e.split, e.fingerprint] for e in entries]
        return {
            "source": self.name,
            **self._own_config(),
            "licence": self._licence,
            "objects": fingerprint(labels),
        }

    def _own_config(self) -> dict[str, Any]:
        """Returns what determines the arrays of an object besides the files."""
        return {
            "version": VERSION,
            "image_size": list(self._image_size),
            "aspect": self._aspect,
            "num_views": self._num_views,
            "voxels": self._voxels,
            "voxel_resolution": self._resolution,
            "voxel_mode": self._voxel_mode,
            "mask": self._mask,
            "camera_format": self._camera_format,
            "placement": asdict(self._placement),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects, by category and name.

        Raises:
            ValueError: If there are none, or none has a usable file of cameras.
        """
        if self._entries is None:
            places = find_places(self._folder, self._categories)
            self._num_views = self._choose_num_views(places)
            self._voxels = self._choose_voxels(places)
            ids = unique_ids([(place.category, place.name) for place in places])
            self._places = dict(zip(ids, places, strict=True))
            self._entries = self._make_entries()
        return list(self._entries)

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        self.objects()
        resolutions = () if self._voxels == "none" else (self._resolution,)
        return Layout(self._image_size, self._num_views, resolutions, transforms=self._transforms)

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads the images of an object and brings them to size, with their cameras.

        Raises:
            ValueError, OSError: If something is wrong; the message names the object, frame and key.
        """
        self.objects()
        place = self._places[entry.id]
        cameras, files = place.camera_files(self._camera_format)
        store = FolderStore(place.folder)
        found = read_calibrated_views(
            str(place), cameras, files, store, self._mask, self._placement, self._num_views
        )
        if len(found.frames) < self._num_views:
            raise ValueError(
                f"{place} has {len(found.frames)} frames, {self._num_views} are needed"
            )
        views = [
            self._fitted(frame, image)
            for frame, image in zip(found.frames, found.images, strict=True)
        ]
        images = np.stack([image for image, _ in views])
        rows = torch.cat([camera.rows() for _, camera in views])
        arrays: ObjectArrays = {"images": images, "cameras": rows.numpy()}
        if self._transforms:
            arrays["transforms"] = found.normalization.to_file()
        if self._voxels != "none":
            to_file = found.normalization.to_file()
            voxels = self._voxelize(place, store, images, Cameras.from_rows(rows), to_file)
            arrays[f"voxels_{self._resolution}"] = pack_voxels(voxels)
        return arrays

    def _choose_num_views(self, places: list[Place]) -> int:
        """Returns the number of views, and says which objects have more or fewer."""
        counts: list[int] = []
        reasons: list[str] = []
        for place in places:
            try:
                counts.append(len(place.frames(self._camera_format)))
                _, files = place.camera_files(self._camera_format)
                self._transforms |= files.format != "json"
            except (ValueError, OSError) as error:
                reasons.append(str(error))
        if not counts:
            raise ValueError(
                f"none of the {len(places)} objects has usable cameras, for example: {reasons[0]}"
            )
        numbers = Counter(counts)
        chosen = self._num_views or min(numbers, key=lambda number: (-numbers[number], number))
        more = sum(count > chosen for count in counts)
        fewer = sum(count < chosen for count in counts)
        if more:
            log.info("%d objects have more than %d views: the first ones are taken", more, chosen)
        if fewer:
            log.warning("%d objects have fewer than %d views: left out", fewer, chosen)
        return chosen

    def _choose_voxels(self, places: list[Place]) -> str:
        """Returns where voxels come from, "auto" being decided."""
        if self._voxels == "hull":
            log.info("voxels are visual hulls of the masks: upper bounds of objects, not the truth")
        if self._voxels != "auto":
            return self._voxels
        without = [place for place in places if not _mesh_names(FolderStore(place.folder))]
        if not without:
            return "mesh"
        log.info(
            "no voxels: %d of %d objects have no mesh, such as %s (voxels=mesh leaves them out,"
            " voxels=hull carves voxels from the masks)",
            len(without),
            len(places),
            without[0],
        )
        return "none"

    def _make_entries(self) -> list[ObjectEntry]:
        config = self._own_config()
        keys = [
            (category_of(place.category).synset, id_, place.name)
            for id_, place in self._places.items()
        ]
        splits = assign_splits(keys, self._split_file)
        return [
            ObjectEntry(
                id=id_,
                name=readable(place.name),
                synset=readable(category_of(place.category).synset),
                group=id_,
                split=split,
                licence=self._licence,
                fingerprint=fingerprint([config, place.files_state()]),
            )
            for (id_, place), split in zip(self._places.items(), splits, strict=True)
            if split is not None
        ]

    def _fitted(self, frame: Frame, view: MaskedImage) -> tuple[NDArray[np.uint8], Cameras]:
        """Returns the image [4, H, W] of a frame at the stored size, and its camera."""
        height, width = view.rgba.shape[1:]
        fitted, pixels = fit_image(view.rgba, self._image_size, self._aspect)
        matrix = pixels.intrinsics(frame.matrix((height, width)))
        return fitted, frame.camera(matrix, self._image_size)

    def _voxelize(
        self,
        place: Place,
        store: FolderStore,
        images: NDArray[np.uint8],
        cameras: Cameras,
        to_file: NDArray[np.float64],
    ) -> Tensor:
        """Returns the voxels [R, R, R] of an object; its mesh is in coordinates of its cameras."""
        if self._voxels == "mesh":
            return _mesh_voxels(place, store, self._resolution, self._voxel_mode, to_file)
        masks = torch.from_numpy(images[:, 3] >= OPAQUE)
        hull = visual_hull(masks, cameras, self._resolution, HULL_REACH)
        if not hull.any():
            raise ValueError(f"{place}: no voxel is inside all masks; images and cameras disagree")
        return hull


def _mesh_names(store: FolderStore) -> list[str]:
    return [name for suffix in MESH_FORMATS if (name := store.find(f"mesh{suffix}")) is not None]


def _mesh_voxels(
    place: Place, store: FolderStore, resolution: int, mode: str, to_file: NDArray[np.float64]
) -> Tensor:
    names = _mesh_names(store)
    if len(names) != 1:
        found = " and ".join(names) or "none"
        raise ValueError(
            f"{place} must have one mesh, mesh{'|'.join(MESH_FORMATS)}, but has {found}"
        )
    mesh = read_textured_mesh(store, names[0]).cleaned().mesh()
    matrix = torch.from_numpy(np.linalg.inv(to_file)).to(mesh.vertices)
    placed = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    reach, limit = float(placed.abs().max()), 0.5 + 0.5 / resolution
    if reach > limit:
        raise ValueError(
            f"{place}: {names[0]} must lie within [-0.5, 0.5]^3, the frame of the cameras, but"
            f" reaches {reach:.3g}"
        )
    vertices = world_vertices(placed)
    return voxelize_mesh(vertices[None], mesh.faces, resolution, mode)[0]
