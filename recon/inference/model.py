"""The library for Python users: load a model, reconstruct an image, show and save its mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from recon.formats.images import ImageLike
from recon.formats.meshes import save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import turned_mesh
from recon.geometry.meshes import Mesh
from recon.inference.input_images import take_image
from recon.inference.notebook import MeshViewer
from recon.inference.reconstruct import ImageReconstructor, Reconstruction
from recon.runs.checkpoints import ALLOWED_TARGETS
from recon.runs.shipped_models import DEFAULT_MODEL
from recon.runs.trained_models import load_trained_model
from recon.visualization.draw import draw_mesh


@dataclass(frozen=True, eq=False)
class ReconstructedMesh:
    """The mesh of an object in an image, in the right-handed frame of models: up +Y, front +X.

    Args:
        vertices: [V, 3] float32 positions within [-0.5, 0.5].
        faces: [F, 3] int64 indices of vertices.
        colors: [V, 3] colours of the vertices or [F, R * R, 3] texels, sRGB in [0, 1]; None for a
            model without colours.
        reconstruction: The input of the model, and how the mesh fits the image.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None
    reconstruction: Reconstruction

    def save(self, path: str | Path) -> None:
        """Writes the mesh with its colours, in the format that the suffix names.

        Args:
            path: A path that ends in .glb, .obj, .ply, .stl or .off; STL and OFF, and PLY for
                texels, cannot hold colours and are refused where there are some.

        Raises:
            ValueError: The suffix is none of these, or the format cannot hold the colours.
            OSError: The file could not be written.
        """
        save_mesh(path, Mesh(self.vertices, self.faces), self.colors)

    def render(
        self,
        azimuth: float = -45.0,
        elevation: float = 20.0,
        distance: float = 2.732,
        fov: float = 30.0,
        image_size: int | tuple[int, int] = 256,
    ) -> Tensor:
        """Renders the mesh on white, anti-aliased.

        Args:
            azimuth: The azimuth of the eye in degrees; 0 sees the front.
            elevation: The elevation of the eye in degrees.
            distance: The distance of the eye from the origin, object units.
            fov: Full vertical angle of view in degrees.
            image_size: (height, width) in pixels; an int means square.

        Returns:
            [3, H, W] sRGB in [0, 1], row 0 on top.

        Raises:
            ValueError: A number is out of range.
        """
        world, colors = turned_mesh(Mesh(self.vertices, self.faces), self.colors)
        values = (self.vertices.new_tensor([one]) for one in (azimuth, elevation, distance, fov))
        return draw_mesh(world, Cameras.orbit(*values), image_size, colors)[0]

    def show(self, height: int = 400) -> MeshViewer:
        """Returns a viewer in which the mesh can be turned; the last value of a notebook's cell.

        Args:
            height: The height of the viewer in pixels.
        """
        return MeshViewer(*turned_mesh(Mesh(self.vertices, self.faces), self.colors), height)


class Model:
    """A trained model that reconstructs meshes of images from anywhere.

    Args:
        reconstructor: The reconstructor, which frames images as in training and predicts meshes.
    """

    def __init__(self, reconstructor: ImageReconstructor) -> None:
        self.reconstructor = reconstructor

    def reconstruct(self, image: ImageLike, mask: ImageLike | None = None) -> ReconstructedMesh:
        """Predicts the mesh of the object in an image.

        Args:
            image: A path, the bytes of a file, a PIL image, or an array [H, W, 3] or [H, W, 4].
            mask: The mask of the object in any of these forms. None uses the alpha channel, or else
                estimates the mask, see `recon.segmentation.estimate`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A file or an array is not as described, or no object is found.
        """
        return self.reconstruct_all([image], [mask])[0]

    def reconstruct_all(
        self, images: Sequence[ImageLike], masks: Sequence[ImageLike | None] | None = None
    ) -> list[ReconstructedMesh]:
        """Predicts the meshes of several images in one batch.

        Args:
            images: The images, each in a form that `reconstruct` accepts.
            masks: The masks of the images, one for each; None means none.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A file or an array is not as described, no object is found, or there are
                more or fewer masks than images.
        """
        masks = [None] * len(images) if masks is None else masks
        if len(masks) != len(images):
            raise ValueError(
                f"masks must be one for each of {len(images)} images, got {len(masks)}"
            )
        taken = [take_image(image, mask) for image, mask in zip(images, masks, strict=True)]
        return [_in_model_frame(made) for made in self.reconstructor(taken)]


def _in_model_frame(made: Reconstruction) -> ReconstructedMesh:
    mesh, colors = made.model_mesh()
    return ReconstructedMesh(mesh.vertices, mesh.faces, colors, made)


def load(
    path: str | Path = DEFAULT_MODEL,
    device: str = "auto",
    allowed_targets: Sequence[str] = ALLOWED_TARGETS,
) -> Model:
    """Loads a trained model for reconstruction.

    Args:
        path: The path of a checkpoint that a training run wrote or of a file of weights, or the
            name of a model that comes with the package.
        device: 'auto' (CUDA when there is a GPU), 'cpu', 'cuda', 'cuda:1', ...
        allowed_targets: Packages whose classes the checkpoint may name, each with a dot at its end;
            add your own package to load a model of your own.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or is no checkpoint, or names a class of another package.
    """
    trained = load_trained_model(path, allowed_targets=allowed_targets)
    return Model(ImageReconstructor(trained, device))
