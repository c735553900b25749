"""Colours of predictions, scored in views the network has not seen as input.

A prediction is rendered sharply with the cameras of other views of the object, in its own colours
without light, because colours that are learned from images contain the light of the images. It is
compared with these views inside the true masks; pixels that the prediction does not cover count as
black.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import Retrieval
from recon.evaluation.result import MODEL, ObjectResult
from recon.geometry.cameras import Cameras
from recon.metrics import Metric
from recon.metrics.colors import color_scores, mean_color
from recon.models import Prediction
from recon.models.prediction import predict
from recon.rendering.renderer import SoftRenderer
from renderer_cuda import gather_faces

SUITE = "color"
# The metrics of `recon.metrics.colors.color_scores`.
COLOR_METRICS = (
    Metric("color_l1", "L1", SUITE, higher_is_better=False),
    Metric("color_psnr", "PSNR", SUITE),
    Metric("color_ssim", "SSIM", SUITE),
)
MEAN_COLOR, RETRIEVAL = "mean colour", "retrieval"
# Pixels with at least this alpha belong to the mask of an image.
INSIDE = 128
# Samples along a side of a pixel. The prepared images have 4 too; 3 cost half as much.
_SAMPLES = 3


def input_views(views: Sequence[int], count: int) -> list[int]:
    """Returns `count` of some views, evenly spread; all of them where there are no more.

    Args:
        views: The views of an object, in the order in which they go around it.
        count: The number of views to choose, >= 1.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be >= 1, got {count}")
    count = min(count, len(views))
    return [views[(2 * turn + 1) * len(views) // (2 * count)] for turn in range(count)]


def unseen_views(view: int, num_views: int, count: int) -> list[int]:
    """Returns up to `count` views other than an input, evenly spread from it all around.

    Args:
        view: The input view.
        num_views: The number K of views of an object, which go around it.
        count: The number of views to choose; K - 1 where that is less.
    """
    spread = [(view + num_views * turn // (count + 1)) % num_views for turn in range(1, count + 1)]
    return [other for other in dict.fromkeys(spread) if other != view]


class ColorEvaluation:
    """Scores the colours of a model beside two baselines.

    `mean colour` paints the predicted mesh in the mean colour of what the input shows; `retrieval`
    shows the training object with the image nearest to the input, in the one of its views whose
    camera is nearest to that of the unseen view.

    Args:
        inputs: The number of views of each object that the network sees, one at a time.
        targets: The number of other views in which each prediction is compared.

    Raises:
        ValueError: `inputs` or `targets` is below 1.
    """

    def __init__(self, inputs: int = 8, targets: int = 3) -> None:
        if inputs < 1 or targets < 1:
            raise ValueError(f"inputs and targets must be >= 1, got {inputs} and {targets}")
        self.inputs, self.targets = inputs, targets

    def __call__(
        self,
        model: nn.Module,
        data: MultiViewDataset,
        views: Sequence[int] | None = None,
        retrieval: Retrieval | None = None,
        baselines: bool = True,
    ) -> list[ObjectResult]:
        """Scores every object of a data set.

        Args:
            model: A model that predicts colours.
            data: The objects that are scored; the inputs of all are held at once if there is a
                retrieval.
            views: The views from which the inputs are chosen; None means all.
            retrieval: The search among training images; None omits this baseline.
            baselines: Whether `mean colour` is scored.

        Returns:
            For each object the mean of `COLOR_METRICS` over inputs and unseen views, of each
            predictor; NaN where none of these views shows the object.

        Raises:
            ValueError: The model has no colours, or the objects have one view only.
        """
        if data.num_views < 2:
            raise ValueError("colours need an unseen view, but the objects have one view each")
        views = list(range(data.num_views) if views is None else views)
        shown = input_views(views, self.inputs)
        faces: Tensor = model.faces  # type: ignore[assignment]
        nearest = self._nearest(data, shown, retrieval)
        rows = []
        for index in range(len(data)):
            pairs = _Pairs(data, index, shown, self.targets)
            prediction = predict(model, pairs.inputs)
            images = dict(_renderings(prediction, faces, pairs, baselines))
            if retrieval is not None:
                objects = nearest[index][pairs.source].tolist()
                images[RETRIEVAL] = retrieval.views(objects, pairs.cameras)
            names = data.ids[index], data.names[index], data.synsets[index]
            rows.append(ObjectResult(*names, tuple(views), _scores(images, pairs), {}))
        return rows

    def _nearest(
        self, data: MultiViewDataset, shown: list[int], retrieval: Retrieval | None
    ) -> Sequence[Tensor]:
        """Returns for each object the training objects [n] nearest to its inputs.

        One search for all, as it reads all training images.
        """
        if retrieval is None:
            return ()
        inputs = torch.cat([data.images(index, shown) for index in range(len(data))])
        return retrieval.nearest_objects(inputs).split(len(shown))

    def notes(self, num_views: int, baselines: bool) -> list[str]:
        """Returns what the reader of a table must know, of inputs taken from `num_views` views."""
        notes = [
            "colours: L1, PSNR (dB) and SSIM inside the true mask; each object seen from "
            f"{min(self.inputs, num_views)} views, evenly spread, one at a time, and each "
            f"prediction rendered sharply in {self.targets} other views, evenly spread around it",
        ]
        if baselines:
            notes.append("mean colour: the predicted mesh in the mean colour of its input")
            notes.append("retrieval's colours: the image of its object from the nearest camera")
        return notes


class _Pairs:
    """The inputs of one object and the unseen views of each, input by input.

    Attributes:
        inputs: [n, 4, H, W] uint8 input images.
        source: [P] int64 index of the input of each pair.
        truth: [P, 4, H, W] uint8 images of the unseen views.
        cameras: [P, 16] rows of the cameras of the unseen views.
    """

    def __init__(self, data: MultiViewDataset, index: int, views: list[int], count: int) -> None:
        others = [unseen_views(view, data.num_views, count) for view in views]
        targets = [other for row in others for other in row]
        self.inputs = data.images(index, views)
        self.source = torch.tensor([number for number, row in enumerate(others) for _ in row])
        self.truth = data.images(index, targets)
        self.cameras = data.cameras(index, targets)


def _renderings(
    prediction: Prediction, faces: Tensor, pairs: _Pairs, baselines: bool
) -> Iterator[tuple[str, Tensor]]:
    """Yields the images [P, 4, H, W] over black of the prediction, and of it in one colour."""
    if prediction.colors is None:
        raise ValueError("the model predicts no colours")
    vertices, size = prediction.vertices.float(), pairs.truth.shape[2:]
    colors = prediction.colors.float()
    yield MODEL, render_colors(vertices, faces, colors, pairs.source, pairs.cameras, size)
    if baselines:
        mean = mean_color(pairs.inputs.to(vertices.device).float() / 255)
        colors = mean[:, None].expand(-1, vertices.shape[1], -1)
        yield MEAN_COLOR, render_colors(vertices, faces, colors, pairs.source, pairs.cameras, size)


def render_colors(
    vertices: Tensor,
    faces: Tensor,
    colors: Tensor,
    source: Tensor,
    cameras: Tensor,
    image_size: Sequence[int],
) -> Tensor:
    """Renders coloured meshes sharply over black, without a light.

    Args:
        vertices: [n, V, 3] vertices of n meshes, object units.
        faces: [F, 3] int64.
        colors: [n, V, 3] of vertices, or [n, F, R * R, 3] texels; sRGB in [0, 1].
        source: [P] int64 index of the mesh that each image shows.
        cameras: [P, 16] rows of `Cameras`, one for each image.
        image_size: (height, width) in pixels.

    Returns:
        [P, 4, H, W].

    Raises:
        ValueError: Shapes disagree.
    """
    textured = colors.dim() == 4
    renderer = SoftRenderer(
        list(image_size),
        distance="hard",
        alpha="hard",
        color="hard",
        texture="surface" if textured else "vertex",
        near=1e-6,  # whatever is in front of the eye
        far=1e6,
        anti_aliasing=_SAMPLES,
    )
    textures = colors if textured else gather_faces(colors, faces)
    source = source.to(vertices.device)
    with torch.inference_mode():
        return renderer(
            vertices[source], faces, textures[source], Cameras.from_rows(cameras.to(vertices))
        )


def _scores(images: Mapping[str, Tensor], pairs: _Pairs) -> dict[str, dict[str, float]]:
    """Returns the means of all metrics over the pairs, for each predictor."""
    truth, masks = pairs.truth.float() / 255, pairs.truth[:, 3] >= INSIDE
    return {
        name: {
            key: float(values.nanmean())
            for key, values in color_scores(rendered.cpu(), truth, masks).items()
        }
        for name, rendered in images.items()
    }
