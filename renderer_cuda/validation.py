"""Checks of the arguments the ops share; each error names argument, requirement and finding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from renderer_cuda import transforms

ImageSize: TypeAlias = int | tuple[int, int]
Background: TypeAlias = Sequence[float] | Tensor

# Kernels know a mode by its place in its row.
MODES = {
    "distance": ("euclidean", "barycentric", "hard"),
    "alpha": (
        *("product", "sum", "hard", "maximum", "einstein", "hamacher", "frank", "yager"),
        *("aczel_alsina", "dombi", "schweizer_sklar"),
    ),
    "distribution": (
        *("logistic", "uniform", "cubic_hermite", "wigner_semicircle", "gaussian", "laplace"),
        *("gudermannian", "cauchy", "reciprocal", "gumbel_max", "gumbel_min", "exponential"),
        *("exponential_rev", "gamma", "gamma_rev", "levy", "levy_rev"),
    ),
    "color": ("softmax", "hard"),
    "texture": ("vertex", "surface"),
}

# Layered colours have kernels of their own (csrc/layers.h), which number these likewise.
LAYER_MODES = {
    "window": ("distribution", "exp_clipped", "incenter", "compact"),
    "order": ("pixel", "centroid"),
}
COLORS = (*MODES["color"], "over")
_CHOICES = MODES | LAYER_MODES | {"color": COLORS}

# Which distributions have a shape, and which a shift.
SHAPED = ("gamma", "gamma_rev")
SHIFTED = ("exponential", "exponential_rev", *SHAPED, "levy", "levy_rev")

# The default of dist_shape: the least whole number at which the density of gamma is continuous.
DEFAULT_SHAPE = 2.0

# The t-conorms with a parameter: its default, its least and greatest value. Beyond these the powers
# of coverages leave the range of float32.
ALPHA_PARAMETERS = {
    "hamacher": (0.0, 0.0, 1e6),
    "frank": (2.0, 1e-6, 1e6),
    "yager": (2.0, 0.1, 100.0),
    "aczel_alsina": (2.0, 0.1, 100.0),
    "dombi": (2.0, 0.1, 100.0),
    "schweizer_sklar": (-2.0, -100.0, -0.01),
}

# The pixels of one image are numbered in 32-bit integers: 2^15 squared is 2^30.
MAX_IMAGE_SIDE = 1 << 15

# More texels than this on one face would be an image of its own, not colours of a face.
MAX_TEXTURE_RESOLUTION = 64


# ---- tensors -------------------------------------------------------------------------------------


def _check_tensor(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")


def _check_same(name: str, tensor: Tensor, face_vertices: Tensor, *properties: str) -> None:
    """Raise ValueError unless the named properties of a tensor are those of face_vertices."""
    for what in properties:
        required, actual = getattr(face_vertices, what), getattr(tensor, what)
        if required != actual:
            raise ValueError(
                f"{name} must have the {what} of face_vertices, {required}, got {actual}"
            )


def widen(value: Any) -> Any:
    """Return a tensor of float16 or bfloat16 in float32, and everything else as it is."""
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


def check_floating(name: str, tensor: Tensor) -> None:
    """Raise ValueError unless the argument is a float32 or float64 tensor."""
    _check_tensor(name, tensor)
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {tensor.dtype}")


def check_face_vertices(face_vertices: Tensor, first_face: Tensor | None = None) -> None:
    """Raise ValueError unless face_vertices is [B, F, 3, 3], or [N, 3, 3] with its first_face."""
    check_floating("face_vertices", face_vertices)
    shape = list(face_vertices.shape)
    if first_face is None:
        if len(shape) != 4 or shape[2:] != [3, 3]:
            raise ValueError(
                f"face_vertices must have shape [B, F, 3, 3], got {shape}; "
                "packed faces [N, 3, 3] come with first_face"
            )
        return
    if len(shape) != 3 or shape[1:] != [3, 3]:
        raise ValueError(
            f"face_vertices must have shape [N, 3, 3] when first_face is given, got {shape}"
        )
    check_first_face(first_face, face_vertices)


def check_first_face(first_face: Tensor, face_vertices: Tensor) -> None:
    """Raise ValueError unless first_face [B + 1] cuts packed face_vertices [N, 3, 3] into images.

    Its values are not read, and so not checked, while torch.compile traces and on a GPU, where a
    look would wait for the device.
    """
    _check_tensor("first_face", first_face)
    if first_face.dtype != torch.int64:
        raise ValueError(f"first_face must be int64, got {first_face.dtype}")
    if first_face.dim() != 1 or len(first_face) == 0:
        raise ValueError(f"first_face must have shape [B + 1], got {list(first_face.shape)}")
    if not first_face.is_cpu:
        _check_same("first_face", first_face, face_vertices, "device")
    elif not torch.compiler.is_compiling():
        _check_offsets(first_face.tolist(), len(face_vertices))


def _check_offsets(offsets: list[int], faces: int) -> None:
    if offsets[0] != 0:
        raise ValueError(f"first_face must start at 0, got {offsets[0]}")
    for image, (start, end) in enumerate(itertools.pairwise(offsets)):
        if end < start:
            raise ValueError(
                f"first_face must not decrease, got {start}, {end} at indices {image}, {image + 1}"
            )
    if offsets[-1] != faces:
        raise ValueError(f"first_face must end at the number of faces, {faces}, got {offsets[-1]}")


def count_images(face_vertices: Tensor, first_face: Tensor | None) -> int:
    """Return B of [B, F, 3, 3], or of packed faces and their first_face [B + 1]."""
    return len(face_vertices) if first_face is None else len(first_face) - 1


def pack_faces(face_vertices: Tensor, first_face: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return faces [N, 3, 3] and first_face as ops read it: contiguous, empty for equal meshes."""
    if first_face is None:
        return face_vertices.flatten(0, 1), torch.empty(0, dtype=torch.int64)
    return face_vertices, first_face.contiguous()


def check_face_textures(
    face_textures: Tensor, face_vertices: Tensor, texture: str = "vertex"
) -> None:
    """Raise ValueError unless face_textures fits face_vertices.

    "vertex" wants the shape of face_vertices, "surface" [..., R * R, 3] with its leading
    dimensions and R from 1 to MAX_TEXTURE_RESOLUTION.
    """
    check_floating("face_textures", face_textures)
    _check_same("face_textures", face_textures, face_vertices, "dtype", "device")
    if texture == "vertex":
        _check_same("face_textures", face_textures, face_vertices, "shape")
        return
    leading, shape = list(face_vertices.shape[:-2]), list(face_textures.shape)
    fits = len(shape) == len(leading) + 2 and shape[:-2] == leading and shape[-1] == 3
    if not fits or not _is_texel_count(shape[-2]):
        wanted = ", ".join([*map(str, leading), "R*R", "3"])
        raise ValueError(
            f"face_textures must have shape [{wanted}] with R from 1 to {MAX_TEXTURE_RESOLUTION}, "
            f"got {shape}"
        )


def _is_texel_count(texels: int) -> bool:
    resolution = math.isqrt(texels)
    return 1 <= resolution <= MAX_TEXTURE_RESOLUTION and resolution * resolution == texels


def texture_resolution(face_textures: Tensor) -> int:
    """Return R of checked surface textures [..., R * R, 3]."""
    return math.isqrt(face_textures.shape[-2])


def check_face_numbers(name: str, numbers: Tensor, face_vertices: Tensor) -> None:
    """Raise ValueError unless a tensor has one number for each face, in the range of its name.

    Its values are looked at, for which the host waits for the device, but not while torch.compile
    traces nor within a transform of torch.func.
    """
    check_floating(name, numbers)
    _check_same(name, numbers, face_vertices, "dtype", "device")
    shape = list(face_vertices.shape[:-2])
    if list(numbers.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {list(numbers.shape)}")
    if torch.compiler.is_compiling() or transforms.transforming() or numbers.is_meta:
        return
    values = numbers.detach()
    if name == "face_opacity":
        good, requirement = (values >= 0) & (values <= 1), "between 0 and 1"
    else:
        good, requirement = (values > 0) & (values < math.inf), "positive and finite"
    if not good.all():
        raise ValueError(f"{name} must be {requirement}, got {values[~good][0].item()}")


# ---- modes and numbers ---------------------------------------------------------------------------


# What may change from call to call of compiled code, as a tensor [].
TENSOR_SCALARS = ("sigma", "gamma")


def check_modes(**modes: str) -> None:
    """Raise ValueError when a mode is not one of those known for its argument."""
    for name, mode in modes.items():
        if mode not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}, got {mode!r}")


def _check_scalar_tensor(name: str, value: Tensor) -> None:
    if value.dim() != 0 or not value.is_floating_point() or value.requires_grad:
        grad = ", requiring a gradient" if value.requires_grad else ""
        raise ValueError(
            f"{name} must be a number or a floating-point tensor of shape [] without a gradient, "
            f"got shape {list(value.shape)}, {value.dtype}{grad}"
        )


def _check_between(
    name: str, value: float | Tensor, low: float, high: float, requirement: str
) -> None:
    """Raise ValueError unless value is a number between low and high, exclusive; NaN is not."""
    if name in TENSOR_SCALARS and isinstance(value, Tensor):
        _check_scalar_tensor(name, value)
        if torch.compiler.is_compiling():
            return  # the op looks at it
        value = value.item()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low < value < high:
        raise ValueError(f"{name} must be {requirement}, got {value!r}")


def check_scalars(
    *,
    sigma: float | Tensor = 1.0,
    dist_eps: float = 0.25,
    gamma: float | Tensor = 1.0,
    eps: float = 0.0,
    near: float = 1.0,
    far: float = 2.0,
) -> None:
    """Raise ValueError when a scalar is outside its range; those not given are inside."""
    _check_between("sigma", sigma, 0, math.inf, "positive and finite")
    # At 0.5 the support is empty, at 0 it is the whole image.
    _check_between("dist_eps", dist_eps, 0, 0.5, "between 0 and 0.5, exclusive")
    _check_between("gamma", gamma, 0, math.inf, "positive and finite")
    _check_between("eps", eps, -math.inf, math.inf, "finite")
    _check_between("near", near, 0, math.inf, "positive and finite")
    _check_between("far", far, near, math.inf, f"finite and greater than near ({near})")


def check_layers(
    face_vertices: Tensor,
    face_opacity: Tensor | None,
    face_sigma: Tensor | None,
    *,
    color: str,
    alpha: str,
    distance: str,
    distribution: str,
    squared: bool,
    window: str,
    order: str,
    stop_transmittance: float,
) -> None:
    """Raise ValueError unless the arguments of layered colours fit each other.

    Those of color "over" alone must be at their defaults without it; with it, alpha, and with its
    windows distance, distribution and squared, are restricted.
    """
    check_modes(color=color, window=window, order=order)
    check_numbers_of_faces(face_vertices, face_opacity, face_sigma)
    given: dict[str, bool] = {
        f"window {window!r}": window != "distribution",
        f"order {order!r}": order != "pixel",
        "stop_transmittance": stop_transmittance != 0,
    }
    if color != "over":
        for name in (name for name, is_given in given.items() if is_given):
            raise ValueError(f"{name} needs color 'over', got color {color!r}")
        return
    if alpha != "product":
        raise ValueError(f"alpha must be 'product' with color 'over', got {alpha!r}")
    if window != "distribution" and (distribution != "logistic" or not squared):
        got = f"got {distribution!r} and squared={squared}"
        raise ValueError(
            f"distribution must be 'logistic' and squared with window {window!r}, {got}"
        )
    if window in ("incenter", "compact") and distance != "euclidean":
        raise ValueError(f"distance must be 'euclidean' with window {window!r}, got {distance!r}")
    requirement = "at least 0 and less than 1"
    below_zero = math.nextafter(0, -1)
    _check_between("stop_transmittance", stop_transmittance, below_zero, 1, requirement)


def check_numbers_of_faces(
    face_vertices: Tensor, face_opacity: Tensor | None, face_sigma: Tensor | None
) -> None:
    """Raise ValueError unless opacities and sigmas of faces, where given, fit the faces."""
    if face_opacity is not None:
        check_face_numbers("face_opacity", face_opacity, face_vertices)
    if face_sigma is not None:
        check_face_numbers("face_sigma", face_sigma, face_vertices)


def _check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless value is a number from low to high; NaN is not."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"{name} must be from {low:g} to {high:g}, got {value!r}")


def _refuse_unless(name: str, value: float | None, argument: str, mode: str, *modes: str) -> None:
    """Raise ValueError when a number is given and the mode has no use for it."""
    if value is not None and mode not in modes:
        takers = ", ".join(modes)
        raise ValueError(f"{name} must be None unless {argument} is one of {takers}; got {value!r}")


def parse_family(
    distribution: str,
    alpha: str,
    dist_shape: float | None = None,
    dist_shift: float | None = None,
    alpha_parameter: float | None = None,
) -> tuple[float, float, float]:
    """Return dist_shape, dist_shift and alpha_parameter as kernels take them; None is the default.

    The modes are checked before. Raise ValueError when a number is out of range, or when it is
    given with a distribution or a t-conorm that has none.
    """
    _refuse_unless("dist_shape", dist_shape, "distribution", distribution, *SHAPED)
    _refuse_unless("dist_shift", dist_shift, "distribution", distribution, *SHIFTED)
    _refuse_unless("alpha_parameter", alpha_parameter, "alpha", alpha, *ALPHA_PARAMETERS)
    shape = DEFAULT_SHAPE if dist_shape is None else dist_shape
    shift = 0.0 if dist_shift is None else dist_shift
    _check_number("dist_shape", shape, 0.01, 100)
    _check_number("dist_shift", shift, -1e6, 1e6)
    default, low, high = ALPHA_PARAMETERS.get(alpha, (0.0, 0.0, 0.0))
    parameter = default if alpha_parameter is None else alpha_parameter
    _check_number(f"alpha_parameter of {alpha}", parameter, low, high)
    if alpha == "frank" and parameter == 1:
        raise ValueError("alpha_parameter of frank must not be 1, which is alpha='product'")
    return float(shape), float(shift), float(parameter)


def check_flags(**flags: bool) -> None:
    """Raise ValueError when a flag is not a bool."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{name} must be a bool, got {flag!r}")


def pack_scalars(*numbers: float | Tensor) -> Tensor:
    """Return checked numbers and tensors [] as ops read them: [K] float64 on the host."""
    if not any(isinstance(number, Tensor) for number in numbers):
        return torch.tensor(numbers, dtype=torch.float64)
    each = (torch.as_tensor(number, dtype=torch.float64, device="cpu") for number in numbers)
    return torch.stack(list(each))


# ---- images --------------------------------------------------------------------------------------


def _is_image_side(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_IMAGE_SIDE


def parse_image_size(image_size: ImageSize) -> tuple[int, int]:
    """Return (height, width); a single int means a square image."""
    both: object = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(both, Sequence) or len(both) != 2 or not all(map(_is_image_side, both)):
        raise ValueError(
            "image_size must be an int or (height, width), each from 1 to "
            f"{MAX_IMAGE_SIDE}, got {image_size!r}"
        )
    return both[0], both[1]


def parse_background(
    background: Background, face_vertices: Tensor, images: int, height: int, width: int
) -> Tensor:
    """Return the background as a tensor [3] or [B, 3, H, W] of face_vertices' dtype and device.

    Numbers must be finite; the values of a tensor are not looked at.
    """
    if not isinstance(background, Tensor):
        return _filled(face_vertices, _three_numbers(background))
    _check_same("background", background, face_vertices, "dtype", "device")
    shape = [images, 3, height, width]
    if list(background.shape) not in ([3], shape):
        raise ValueError(f"background must have shape [3] or {shape}, got {list(background.shape)}")
    return background


def _filled(like: Tensor, values: Sequence[float]) -> Tensor:
    """Return three numbers as a tensor [3], filled on its device.

    A copy of a tensor from the host would wait for the device, and forbid the capture of a graph.
    """
    if values[0] == values[1] == values[2]:
        return like.new_full((3,), values[0])
    filled = like.new_empty(3)
    for channel, value in enumerate(values):
        filled[channel].fill_(value)
    return filled


def _three_numbers(background: Sequence[float]) -> list[float]:
    try:
        values = [float(value) for value in background]
    except (TypeError, ValueError):
        values = []
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise ValueError(
            "background must be three finite numbers, a tensor [3] or a tensor [B, 3, H, W], "
            f"got {background!r}"
        )
    return values
