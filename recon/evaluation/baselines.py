"""Predictions without learning, which a trained model has to beat.

All are `recon.evaluation.scoring.VoxelPredictor`s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.shards import Paths
from recon.evaluation.scoring import VoxelPredictor
from recon.geometry.cameras import Cameras
from recon.geometry.voxels import voxelize_mesh
from recon.rendering.compositing import premultiplied

# Cells of a mean shape are rates k / N; 50 thresholds separate them as finely as the IoU can feel.
_THRESHOLDS = 50
# Grids of 32^3 as float32 are 128 KiB each; this many at once are 64 MiB.
_CHUNK = 512

BASELINE_NOTES = (
    "template: template_vertices of the model, the mesh before it was trained or saw an image",
    "mean shape: training voxels of all categories, cut at the rate best on the training split",
    "category mean: the same per category; it is told the category of each object",
    "retrieval: the training object with the nearest image (L2 on premultiplied RGBA pixels)",
)


class Baselines:
    """The baselines of an evaluation, made when the first is asked for.

    Args:
        model: The model, whose template is one of the baselines.
        data_path: The path or paths of the prepared files with the training split.
        resolution: The number R of voxels along each side of the grid.
        device: The device on which images are compared.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
    """

    def __init__(
        self,
        model: nn.Module,
        data_path: Paths,
        resolution: int,
        device: torch.device,
        progress: bool | None,
    ) -> None:
        self._model, self._data_path, self._resolution = model, data_path, resolution
        self._device, self._progress = device, progress

    @cached_property
    def retrieval(self) -> Retrieval:
        """The search among the training images.

        Raises:
            ValueError: The data has no training split.
        """
        try:
            train_set = MultiViewDataset(self._data_path, "train")
        except ValueError as error:
            raise ValueError(f"{error}; baselines=false evaluates the model alone") from error
        return Retrieval(train_set, self._device, progress=self._progress)

    @cached_property
    def predictors(self) -> dict[str, VoxelPredictor]:
        """The predictors of voxels by name."""
        train_set = self.retrieval.train_set
        return {
            "template": template_shape(self._model, self._resolution),
            "mean shape": mean_shape(train_set),
            "category mean": category_mean_shape(train_set),
            "retrieval": self.retrieval,
        }


class ConstantShape:
    """Predicts one shape for every image.

    Args:
        voxels: [R, R, R] bool grid that is predicted for every image.
    """

    def __init__(self, voxels: Tensor) -> None:
        self.voxels = voxels

    def __call__(self, images: Tensor, synsets: Sequence[str]) -> Tensor:
        return self.voxels.expand(len(images), -1, -1, -1)


class CategoryShape:
    """Predicts one shape per category; it is told the category, which a model is not.

    Args:
        voxels: [R, R, R] bool grids by synset.
        otherwise: The [R, R, R] bool grid for a synset that is not in `voxels`.
    """

    def __init__(self, voxels: dict[str, Tensor], otherwise: Tensor) -> None:
        self.voxels = voxels
        self.otherwise = otherwise

    def __call__(self, images: Tensor, synsets: Sequence[str]) -> Tensor:
        return torch.stack([self.voxels.get(synset, self.otherwise) for synset in synsets])


def template_shape(model: nn.Module, resolution: int) -> ConstantShape:
    """Returns the `template_vertices` of a model: its mesh before training and without an image.

    For the SoftRas decoder, whose template is a sphere, this is what zero centroid and zero bias
    decode to: the icosphere of radius `template_scale / 2` (0.25 of the object's longest side by
    default) at the origin. It is not what an untrained network predicts, which adds noise to it.

    Args:
        model: A model with the buffers `template_vertices` [V, 3] and `faces` [F, 3].
        resolution: The number R of voxels along each side of the grid.
    """
    vertices: Tensor = model.template_vertices  # type: ignore[assignment]
    faces: Tensor = model.faces  # type: ignore[assignment]
    return ConstantShape(voxelize_mesh(vertices[None], faces, resolution, mode="softras")[0].cpu())


def mean_shape(train_set: MultiViewDataset) -> ConstantShape:
    """Returns the voxels which are occupied in most training objects, whatever their category.

    The rate from which on a voxel counts is the one with the best macro mean IoU on the training
    objects themselves.

    Args:
        train_set: The training objects.
    """
    voxels = all_voxels(train_set)
    return ConstantShape(_best_cut(voxels, _macro_weights(train_set.synsets)))


def category_mean_shape(train_set: MultiViewDataset) -> CategoryShape:
    """Returns the mean shape of each category's training objects, each with its own best rate.

    Args:
        train_set: The training objects; a category without any is predicted by the mean shape of
            all.
    """
    voxels = all_voxels(train_set)
    shapes = {}
    for present in sorted(set(train_set.synsets)):
        members = [i for i, synset in enumerate(train_set.synsets) if synset == present]
        equal = torch.full((len(members),), 1.0 / len(members))
        shapes[present] = _best_cut(voxels[members], equal)
    return CategoryShape(shapes, _best_cut(voxels, _macro_weights(train_set.synsets)))


def all_voxels(data: MultiViewDataset) -> Tensor:
    """Returns the voxels [N, R, R, R] of all objects."""
    return torch.stack([data.voxels(index) for index in range(len(data))])


def _macro_weights(synsets: Sequence[str]) -> Tensor:
    """Returns weights [N] of objects which make a weighted mean the macro mean over categories."""
    counts = {synset: synsets.count(synset) for synset in set(synsets)}
    return torch.tensor([1.0 / (len(counts) * counts[synset]) for synset in synsets])


def _best_cut(voxels: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean of voxels, cut at the rate with the best weighted mean IoU against them.

    Args:
        voxels: [N, R, R, R] bool grids of N objects.
        weights: [N] weights of the objects, with the sum 1.

    Returns:
        [R, R, R] bool.
    """
    flat = voxels.flatten(1)
    rate = flat.sum(dim=0) / len(flat)
    cuts = torch.arange(1, _THRESHOLDS + 1) / _THRESHOLDS
    candidates = (rate[None] >= cuts[:, None] - 1e-6).float()  # a rate of exactly k/N is in
    ious = torch.cat([_pairwise_iou(part.float(), candidates) for part in flat.split(_CHUNK)])
    return candidates[int((weights @ ious).argmax())].bool().reshape(voxels.shape[1:])


def _pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the IoU [n, m] of rows [n, C] with rows [m, C], both of 0 and 1."""
    intersection = first @ second.T
    union = first.sum(dim=1, keepdim=True) + second.sum(dim=1)[None] - intersection
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0)


class Retrieval:
    """Predicts the shape of the training object with the most similar image.

    Every view of every training object is a candidate. The distance is L2 between RGBA pixels
    whose colours are multiplied by alpha, so what lies under a transparent pixel does not count;
    of equally near images the first counts.

    All training images are held as bytes: objects x views x 16 KiB at 64 x 64.

    Args:
        train_set: The training objects.
        device: The device on which distances are computed.
        chunk: The number of training images that are compared at once; 128 images of 64 x 64 are 8
            MiB as float32, small enough that the allocator keeps their memory instead of fetching
            fresh pages.
        progress: Whether to draw a progress bar while reading; None draws it on a terminal only.
    """

    def __init__(
        self,
        train_set: MultiViewDataset,
        device: torch.device | str = "cpu",
        chunk: int = 128,
        progress: bool | None = False,
    ) -> None:
        views = range(train_set.num_views)
        hidden = None if progress is None else not progress
        indices = tqdm(range(len(train_set)), desc="retrieval", unit="object", disable=hidden)
        self._images = torch.cat([train_set.images(index, list(views)) for index in indices])
        self._voxels = all_voxels(train_set)
        self.train_set = train_set
        self._device, self._chunk = torch.device(device), chunk

    def __call__(self, images: Tensor, synsets: Sequence[str]) -> Tensor:
        return self._voxels[self.nearest_objects(images)]

    def nearest_objects(self, images: Tensor) -> Tensor:
        """Returns the training object [n] with the image nearest to each of [n, 4, H, W] uint8."""
        return self.nearest(images) // self.train_set.num_views

    def views(self, objects: Sequence[int], cameras: Tensor) -> Tensor:
        """Returns the view of each training object whose camera is nearest to a wanted one.

        Args:
            objects: The indices of P objects in the training set.
            cameras: [P, 16] rows of the wanted `Cameras`, one for each object.

        Returns:
            [P, 4, H, W] in [0, 1], colours multiplied by alpha.
        """
        every = list(range(self.train_set.num_views))
        chosen = []
        for index, camera in zip(objects, cameras, strict=True):
            view = _nearest_camera(self.train_set.cameras(index, every), camera)
            chosen.append(self.train_set.images(index, [view]))
        return premultiplied(torch.cat(chosen).float() / 255)

    def nearest(self, images: Tensor) -> Tensor:
        """Returns the index [n] of the nearest training image, in order of objects, then views.

        |q - t|^2 = |q|^2 + |t|^2 - 2 q.t, and |q|^2 is the same for all candidates, so one matrix
        product per chunk decides.

        Args:
            images: [n, 4, H, W] uint8 RGBA images.
        """
        queries = _vectors(images.to(self._device))
        best = torch.full((len(queries),), torch.inf, device=self._device)
        index = torch.zeros(len(queries), dtype=torch.int64, device=self._device)
        for start, candidates in self._candidates():
            squared = candidates.square().sum(dim=1)[None] - 2 * queries @ candidates.T
            distance, position = squared.min(dim=1)
            nearer = distance < best
            best = torch.where(nearer, distance, best)
            index = torch.where(nearer, position + start, index)
        return index.cpu()

    def _candidates(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self._images), self._chunk):
            yield start, _vectors(self._images[start : start + self._chunk].to(self._device))


def _nearest_camera(candidates: Tensor, camera: Tensor) -> int:
    """Returns which of the cameras [K, 16] looks from the direction most like another's [16]."""
    directions = F.normalize(Cameras.from_rows(candidates).eye(), dim=1)
    wanted = F.normalize(Cameras.from_rows(camera[None]).eye(), dim=1)
    return int((directions @ wanted[0]).argmax())


def _vectors(images: Tensor) -> Tensor:
    """Returns RGBA bytes [n, 4, H, W] as vectors [n, 4 * H * W] in [0, 1], colours times alpha."""
    return premultiplied(images.float() / 255).flatten(1)
