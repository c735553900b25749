"""The arrays of models that come with public renderings, whatever files they come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.resampling import ASPECTS, fit_views
from recon.geometry.cameras import Cameras
from recon.geometry.voxels import pack_voxels
from recon.preparation.sources.model_frame import ModelFrame
from recon.preparation.sources.point_truth import PointTruth
from recon.preparation.sources.shapenet_voxels import require_agreement

VIEWS = 24  # images of every model
RESOLUTION = 32  # voxels along each side of a grid


@dataclass(frozen=True)
class RenderedModels:
    """Which arrays a source of renderings stores of every model.

    Attributes:
        image_size: (height, width) of the stored images.
        aspect: What is done with images of another aspect ratio: "pad" or "crop".
        with_voxels: Whether voxels are stored.
        points: The points of the models; None stores no points.

    Raises:
        ValueError: If `aspect` is another word.
    """

    image_size: tuple[int, int]
    aspect: str
    with_voxels: bool
    points: PointTruth | None

    def __post_init__(self) -> None:
        if self.aspect not in ASPECTS:
            raise ValueError(f"aspect must be one of {ASPECTS}, got {self.aspect!r}")

    def config(self) -> dict[str, Any]:
        """Returns the part of a source's configuration that all these sources have."""
        return {
            "image_size": list(self.image_size),
            "aspect": self.aspect,
            "points": self.points and self.points.config(),
        }

    def layout(self) -> Layout:
        """Returns which arrays every model has."""
        return Layout(
            self.image_size,
            VIEWS,
            (RESOLUTION,) if self.with_voxels else (),
            num_points=self.points.num_points if self.points else 0,
            num_surface_points=self.points.num_surface_points if self.points else 0,
        )

    def points_state(self, synset: str, model: str) -> Any:
        """Returns plain data that changes when the files of a model's points may have changed."""
        return self.points and self.points.state(synset, model)

    def arrays(
        self,
        label: str,
        rgba: NDArray[np.uint8],
        cameras: Cameras,
        voxels: NDArray[np.bool_] | None,
    ) -> ObjectArrays:
        """Returns images at the stored size with their cameras, and the packed voxels.

        Args:
            label: The name of the model in messages.
            rgba: Images [24, 4, H, W].
            cameras: The 24 cameras in the world.
            voxels: [32, 32, 32] in the world; None if there are none.

        Raises:
            ValueError: If voxels and images disagree.
        """
        arrays: ObjectArrays = {}
        if voxels is not None:
            require_agreement(label, voxels, cameras, rgba[:, 3])
            arrays[f"voxels_{RESOLUTION}"] = pack_voxels(voxels)
        images, fitted = fit_views(rgba, cameras, self.image_size, self.aspect)
        return arrays | {"images": images, "cameras": fitted.rows().float().numpy()}

    def point_arrays(self, synset: str, model: str, frame: ModelFrame) -> ObjectArrays:
        """Returns the points of a model, empty if none are stored.

        Args:
            synset: The category of the model.
            model: The id of the model.
            frame: The cube of the model's own coordinates that becomes the world.

        Raises:
            ValueError, OSError: If the file is missing, damaged or has too few points; the message
                names it.
        """
        return {} if self.points is None else self.points.arrays(synset, model, frame)
