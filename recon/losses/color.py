"""Training losses on colour: pixels, shading, smoothness over the surface, and perception."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.losses import UniformLaplacian
from recon.meshes import edges, face_pairs_of_edges
from recon.precision import at_least_float32
from recon.texels import texel_faces

# Means and deviations of red, green and blue which the networks of torchvision expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16, those of Johnson et al. (arXiv 1603.08155).
VGG16_LAYERS = (3, 8, 15, 22)


def over_black(images: Tensor) -> Tensor:
    """Returns pictures RGBA [B, 4, H, W], colours not multiplied by alpha, over black: RGB."""
    return images[:, :3] * images[:, 3:]


def color_l1_loss(rgba: Tensor, images: Tensor) -> Tensor:
    """Returns the mean absolute difference of colours inside the true outlines.

    sum_p m_p mean_c |r_pc - i_pc| / sum_p m_p per image, then the mean over images, where r is the
    rendering, i the picture over black and m its alpha. Outside, where faces that stick out should
    not be at all, the picture is black and would only darken their colours; that is the
    silhouettes' business.

    Args:
        rgba: [B, 4, H, W] a rendering over a black background, as `SoftRenderer` makes it.
        images: [B, 4, H, W] the truth, sRGB in [0, 1] not multiplied by alpha, and alpha.

    Returns:
        A scalar >= 0; an image which shows nothing adds 0.

    Raises:
        ValueError: shapes differ or are not [B, 4, H, W] with B >= 1.

    Source: SoftRas (arXiv 1904.01786), equation 5, whose colour loss is an L1 norm over the image;
    the outline is our choice, which also lets small objects count like large ones.
    """
    rgba, images = _renderings(rgba, images)
    difference = (rgba[:, :3] - over_black(images)).abs().mean(dim=1)
    mask = images[:, 3]
    # 1e-6 of a pixel: of an empty outline the mean is 0.
    return ((difference * mask).sum(dim=(1, 2)) / (mask.sum(dim=(1, 2)) + 1e-6)).mean()


def shading_l1_loss(rgba: Tensor, shading: Tensor, masks: Tensor) -> Tensor:
    """Returns the mean absolute difference of brightness inside the true outlines.

    As `color_l1_loss` with grey pictures: the shape itself is what can explain them.

    Args:
        rgba: [B, 4, H, W] a white mesh rendered in the light of the pictures, over black.
        shading: [B, H, W] pictures of a white surface, not multiplied by the mask.
        masks: [B, H, W] in [0, 1].

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: shapes differ.
    """
    if shading.dim() != 3 or shading.shape != masks.shape:
        raise ValueError(
            f"shading and masks must be [B, H, W], got {list(shading.shape)} {list(masks.shape)}"
        )
    grey = shading[:, None].expand(-1, 3, -1, -1)
    return color_l1_loss(rgba, torch.cat((grey, masks[:, None].to(grey.dtype)), dim=1))


def _renderings(rgba: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Checks both shapes and returns both in at least float32."""
    if rgba.dim() != 4 or rgba.shape[1] != 4 or rgba.shape != images.shape or not len(rgba):
        raise ValueError(
            f"rgba and images must have one shape [B, 4, H, W], got {list(rgba.shape)} "
            f"and {list(images.shape)}"
        )
    rgba = at_least_float32(rgba)
    return rgba, images.to(rgba.dtype)


class ColorSmoothnessLoss(nn.Module):
    """Penalises colours away from the mean of the colours next to them on the surface, squared.

    loss = mean over batch and samples s of  |c_s - mean_{t next to s} c_t|^2

    Texels are next to each other where they share an edge, in one face or in two; vertices where an
    edge joins them. A mean and not a sum, unlike the loss on vertices: its weight does not depend
    on the size of the mesh.

    Args:
        faces: [F, 3] int64.
        texels: R for R * R texels on each face, 0 for colours of vertices.

    Raises:
        ValueError: `faces` is not [F, 3] int64, or `texels` is negative.

    Source: SoftRas; its author (issue 44): a Laplacian over the colours of adjacent triangles.
    """

    def __init__(self, faces: Tensor, texels: int = 0) -> None:
        super().__init__()
        if texels < 0:
            raise ValueError(f"texels must be >= 0, got {texels}")
        if texels:
            finer = texel_faces(faces, texels)
            self.laplacian = UniformLaplacian(face_pairs_of_edges(finer)[0], len(finer))
        else:
            self.laplacian = UniformLaplacian(edges(faces), int(faces.max()) + 1)

    def forward(self, colors: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            colors: [B, V, 3] of vertices, or [B, F, R * R, 3] texels.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: another shape.
        """
        samples = colors.flatten(1, 2) if colors.dim() == 4 else colors
        if samples.shape[1:] != (self.laplacian.count, 3):
            raise ValueError(
                f"colors must have {self.laplacian.count} samples of 3, got {list(colors.shape)}"
            )
        return self.laplacian(samples).square().sum(dim=2).mean()


class PerceptualLoss(nn.Module):
    """Compares renderings with pictures by the features of a fixed VGG-16.

    loss = mean over layers, images and pixels of  |f / |f| - g / |g||^2, f and g being the features
    of the rendering and of the picture over black.

    Args:
        weights: file of a state dict of torchvision's `vgg16`, or of its `features` alone; None
            draws random weights, which compare local patterns too (He et al., arXiv 1606.04801).
            Nothing is ever downloaded.
        layers: indices into `vgg16().features` whose outputs are compared, ascending.
        seed: of random weights.

    Raises:
        ValueError: layers are bad, or the file holds other weights.
        FileNotFoundError: there is no such file.

    Source: Zhang et al., LPIPS (arXiv 1801.03924), without its learned weights of channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        weights: str | Path | None = None,
        layers: Sequence[int] = VGG16_LAYERS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not layers or list(layers) != sorted(set(layers)) or not layers[0] >= 0:
            raise ValueError(f"layers must be ascending numbers >= 0, got {list(layers)}")
        features = _vgg16_features(seed)
        if layers[-1] >= len(features):
            raise ValueError(f"layers must be < {len(features)}, got {list(layers)}")
        if weights is not None:
            _load_features(features, Path(weights))
        self.layers = tuple(layers)
        self.features = features[: layers[-1] + 1].eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, rgba: Tensor, images: Tensor) -> Tensor:
        """Computes the loss; arguments as of `color_l1_loss`.

        Returns:
            A scalar in [0, 4].

        Raises:
            ValueError: shapes differ or are not [B, 4, H, W].
        """
        rgba, images = _renderings(rgba, images)
        with torch.no_grad():  # else the way back would cost twice as much
            theirs = self._directions(over_black(images))
        ours = self._directions(rgba[:, :3])
        distances = [(f - g).square().sum(1).mean() for f, g in zip(ours, theirs, strict=True)]
        return torch.stack(distances).mean()

    def _directions(self, colors: Tensor) -> list[Tensor]:
        """Returns the features of pictures [B, 3, H, W], each of length 1, by layer."""
        values, found = (colors - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            values = layer(values)
            if index in self.layers:
                # 1e-8: where nothing was found, features are 0 and have no direction.
                found.append(F.normalize(at_least_float32(values), dim=1, eps=1e-8))
        return found


def _vgg16_features(seed: int) -> nn.Sequential:
    """Makes the convolutions of VGG-16 with random weights, as torchvision starts them."""
    from torchvision.models.vgg import cfgs, make_layers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features: nn.Sequential = make_layers(cfgs["D"])
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            elif isinstance(layer, nn.ReLU):
                layer.inplace = False  # else it would change the features of the layer before
    return features


def _load_features(features: nn.Sequential, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no file of VGG-16 weights {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        prefix = "features." if any(name.startswith("features.") for name in state) else ""
        named = {n[len(prefix) :]: v for n, v in state.items() if n.startswith(prefix)}
        features.load_state_dict(named)
    except Exception as error:  # torch.load raises whatever it meets in a damaged file
        raise ValueError(f"{path} does not hold the weights of VGG-16: {error}") from error
