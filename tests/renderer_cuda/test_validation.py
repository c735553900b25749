"""Every refusal names the argument, what was required and what came."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from renderer_cuda.validation import (
    ALPHA_PARAMETERS,
    MAX_IMAGE_SIDE,
    MAX_TEXTURE_RESOLUTION,
    MODES,
    check_face_textures,
    check_face_vertices,
    check_first_face,
    check_modes,
    check_scalars,
    count_images,
    parse_background,
    parse_family,
    parse_image_size,
    texture_resolution,
)

BATCH = torch.zeros(2, 5, 3, 3)
PACKED = torch.zeros(5, 3, 3)


def offsets(*values: int, **options: Any) -> Tensor:
    return torch.tensor(values, **options)


# ---- faces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("face_vertices", "message"),
    [
        ([1.0], r"face_vertices must be a torch\.Tensor, got list"),
        (BATCH.half(), r"face_vertices must be float32 or float64, got torch\.float16"),
        (BATCH.long(), r"face_vertices must be float32 or float64, got torch\.int64"),
        (PACKED, r"must have shape \[B, F, 3, 3\], got \[5, 3, 3\]; .*first_face"),
        (BATCH[..., :2], r"face_vertices must have shape \[B, F, 3, 3\].*got \[2, 5, 3, 2\]"),
        (BATCH[None], r"face_vertices must have shape .* got \[1, 2, 5, 3, 3\]"),
    ],
)
def test_bad_faces(face_vertices: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_face_vertices(face_vertices)


@pytest.mark.parametrize(
    ("first_face", "message"),
    [
        ([0, 5], r"first_face must be a torch\.Tensor, got list"),
        (offsets(0, 5, dtype=torch.int32), r"first_face must be int64, got torch\.int32"),
        (torch.tensor([0.0, 5.0]), r"first_face must be int64, got torch\.float32"),
        (offsets(0, 5)[None], r"first_face must have shape \[B \+ 1\], got \[1, 2\]"),
        (torch.tensor(0), r"first_face must have shape \[B \+ 1\], got \[\]"),
        (torch.zeros(0, dtype=torch.int64), r"first_face must have shape \[B \+ 1\], got \[0\]"),
        (offsets(0, 5, device="meta"), "first_face must have the device of face_vertices, cpu"),
        (offsets(1, 5), "first_face must start at 0, got 1"),
        (offsets(-1, 5), "first_face must start at 0, got -1"),
        (offsets(0, 4, 2, 5), "first_face must not decrease, got 4, 2 at indices 1, 2"),
        (offsets(0, 9, 5), "first_face must not decrease, got 9, 5"),
        (offsets(0, 2, 4), "first_face must end at the number of faces, 5, got 4"),
        (offsets(0), "first_face must end at the number of faces, 5, got 0"),
    ],
)
def test_bad_offsets(first_face: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_first_face(first_face, PACKED)
    with pytest.raises(ValueError, match=message):
        check_face_vertices(PACKED, first_face)


def test_a_batch_with_offsets_is_refused() -> None:
    message = (
        r"face_vertices must have shape \[N, 3, 3\] when first_face is given, got \[2, 5, 3, 3\]"
    )
    with pytest.raises(ValueError, match=message):
        check_face_vertices(BATCH, offsets(0, 5))


def test_good_faces_and_their_number_of_images() -> None:
    check_face_vertices(BATCH)
    assert count_images(BATCH, None) == 2
    for first_face, images in ((offsets(0, 5), 1), (offsets(0, 0, 5, 5), 3)):
        check_face_vertices(PACKED, first_face)
        assert count_images(PACKED, first_face) == images
    check_face_vertices(PACKED[:0], offsets(0))
    assert count_images(PACKED[:0], offsets(0)) == 0


def test_offsets_are_not_read_while_tracing() -> None:
    """Reading them would break the graph; all else is checked there too."""

    def images(face_vertices: Tensor, first_face: Tensor) -> Tensor:
        check_face_vertices(face_vertices, first_face)
        return face_vertices + count_images(face_vertices, first_face)

    compiled = torch.compile(images, fullgraph=True, backend="eager")
    assert torch.equal(compiled(PACKED, offsets(0, 2, 5)), PACKED + 2)
    with pytest.raises(ValueError, match="first_face must be int64"):
        torch.compile(images, backend="eager")(PACKED, offsets(0, 2, 5).int())


# ---- textures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("face_textures", "texture", "message"),
    [
        ([0.0], "vertex", r"face_textures must be a torch\.Tensor, got list"),
        (BATCH.int(), "vertex", "face_textures must be float32 or float64"),
        (BATCH.double(), "vertex", r"must have the dtype of face_vertices, torch\.float32, got"),
        (BATCH.to("meta"), "vertex", "must have the device of face_vertices, cpu, got meta"),
        (BATCH[:, :4], "vertex", r"must have the shape of face_vertices, .*2, 5, 3, 3.*2, 4, 3, 3"),
        (PACKED, "vertex", "face_textures must have the shape of face_vertices"),
        (torch.zeros(2, 5, 4, 3).double(), "surface", "face_textures must have the dtype"),
        (
            torch.zeros(2, 5, 8, 3),
            "surface",
            r"\[2, 5, R\*R, 3\] with R from 1 to 64, got \[2, 5, 8",
        ),
        (torch.zeros(2, 5, 0, 3), "surface", r"with R from 1 to 64, got \[2, 5, 0, 3\]"),
        (torch.zeros(2, 5, 65 * 65, 3), "surface", r"with R from 1 to 64, got \[2, 5, 4225, 3\]"),
        (torch.zeros(2, 4, 4, 3), "surface", r"got \[2, 4, 4, 3\]"),
        (torch.zeros(2, 5, 4, 4), "surface", r"got \[2, 5, 4, 4\]"),
        (torch.zeros(2, 5, 2, 2, 3), "surface", r"got \[2, 5, 2, 2, 3\]"),
        (torch.zeros(3), "surface", r"got \[3\]"),
    ],
)
def test_bad_textures(face_textures: Any, texture: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_face_textures(face_textures, BATCH, texture)


@pytest.mark.parametrize("faces", [BATCH, PACKED, BATCH[:, :0]], ids=["batch", "packed", "empty"])
def test_good_textures(faces: Tensor) -> None:
    check_face_textures(faces.clone(), faces, "vertex")
    for resolution in (1, 2, MAX_TEXTURE_RESOLUTION):
        surface = faces.new_zeros(*faces.shape[:-2], resolution**2, 3)
        check_face_textures(surface, faces, "surface")
        assert texture_resolution(surface) == resolution


# ---- modes and numbers ---------------------------------------------------------------------------


def test_modes() -> None:
    for name, values in MODES.items():
        for value in values:
            check_modes(**{name: value})
        with pytest.raises(ValueError, match=f"{name} must be one of {', '.join(values)}.*got 'x'"):
            check_modes(**{name: "x"})
    with pytest.raises(ValueError, match=r"alpha must be one of product, .*got None"):
        check_modes(distance="hard", alpha=None)  # type: ignore[arg-type]


def test_numbers_of_the_family_have_defaults_and_go_through() -> None:
    assert parse_family("logistic", "product") == (2.0, 0.0, 0.0)
    assert parse_family("gamma_rev", "schweizer_sklar") == (2.0, 0.0, -2.0)
    assert parse_family("gamma", "yager", 0.5, -3, 4) == (0.5, -3.0, 4.0)
    for alpha, (default, low, high) in ALPHA_PARAMETERS.items():
        assert parse_family("cauchy", alpha)[2] == default
        for value in (low, high):
            assert parse_family("cauchy", alpha, None, None, value)[2] == value
        for value in (low - 1e-9, math.nextafter(high, math.inf), math.nan, True):
            with pytest.raises(ValueError, match=f"alpha_parameter of {alpha} must be from .* got"):
                parse_family("cauchy", alpha, None, None, value)


GOOD = {"sigma": 1e-5, "dist_eps": 1e-4, "gamma": 1e-4, "eps": 1e-3, "near": 1.0, "far": 100.0}


@pytest.mark.parametrize(
    ("name", "value", "requirement"),
    [
        *(("sigma", value, "positive and finite") for value in (0.0, -1e-5, math.inf, math.nan)),
        *(("gamma", value, "positive and finite") for value in (0, -1, math.inf, math.nan)),
        *(("dist_eps", value, "between 0 and 0.5, exclusive") for value in (0.0, 0.5, math.nan)),
        *(("eps", value, "finite") for value in (math.inf, -math.inf, math.nan)),
        *(("near", value, "positive and finite") for value in (0.0, -1.0, math.nan)),
        *(
            ("far", value, r"finite and greater than near \(1.0\)")
            for value in (1.0, 0.5, math.inf)
        ),
        *(("sigma", value, "positive and finite") for value in (None, "1e-5", True, [1e-5])),
        ("sigma", torch.tensor(0.0), "positive and finite"),
        ("gamma", torch.tensor([1e-5]), r"a number or a .* shape \[\] without a gradient"),
        ("near", torch.tensor(1.0), "positive and finite"),
    ],
    ids=str,
)
def test_bad_numbers(name: str, value: Any, requirement: str) -> None:
    check_scalars(**GOOD)
    with pytest.raises(ValueError, match=f"^{name} must be {requirement}, got "):
        check_scalars(**(GOOD | {name: value}))


# ---- pictures ------------------------------------------------------------------------------------


def test_good_image_sizes() -> None:
    assert parse_image_size(7) == (7, 7)
    assert parse_image_size((3, 1)) == (3, 1)
    assert parse_image_size([1, MAX_IMAGE_SIDE]) == (1, MAX_IMAGE_SIDE)  # type: ignore[arg-type]
    assert MAX_IMAGE_SIDE == 32768


@pytest.mark.parametrize(
    "image_size",
    [
        *(0, -4, MAX_IMAGE_SIDE + 1, (4, 0), (1 << 31, 4), (4,), (4, 5, 6), 4.0, (4.0, 4)),
        *("44", None, True, (True, 4), torch.tensor([4, 4])),
    ],
    ids=str,
)
def test_bad_image_sizes(image_size: Any) -> None:
    with pytest.raises(ValueError, match=r"image_size must be an int or \(height, width\).* got "):
        parse_image_size(image_size)


def test_good_backgrounds() -> None:
    faces = BATCH.double()
    numbers = parse_background((0, 0.5, 1), faces, 2, 4, 6)
    assert numbers.dtype == torch.float64
    assert numbers.tolist() == [0, 0.5, 1]
    for shape in ((3,), (2, 3, 4, 6)):
        tensor = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        assert parse_background(tensor, faces, 2, 4, 6) is tensor


@pytest.mark.parametrize(
    ("background", "message"),
    [
        *((value, "three finite numbers, .*, got ") for value in ((1.0, 2.0), 0.5, None, "abc")),
        *((value, "three finite numbers, .*, got ") for value in ((0, 0, math.nan), (0, 0, "x"))),
        (
            torch.zeros(3).double(),
            r"the dtype of face_vertices, torch\.float32, got torch\.float64",
        ),
        (torch.zeros(3, device="meta"), "the device of face_vertices, cpu, got meta"),
        (torch.zeros(4), r"shape \[3\] or \[2, 3, 4, 6\], got \[4\]"),
        (torch.zeros(3, 4, 6), r"shape \[3\] or \[2, 3, 4, 6\], got \[3, 4, 6\]"),
        (torch.zeros(1, 3, 4, 6), r"got \[1, 3, 4, 6\]"),
        (torch.zeros(2, 3, 6, 4), r"got \[2, 3, 6, 4\]"),
        (torch.zeros(2, 4, 6, 3), r"got \[2, 4, 6, 3\]"),
    ],
)
def test_bad_backgrounds(background: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^background must .*{message}"):
        parse_background(background, BATCH, 2, 4, 6)


# ---- what the host does without waiting for a device ---------------------------------------------


class Recorder(TorchDispatchMode):
    """Notes the names of the ops that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("values", [(0.25, 0.25, 0.25), (0.1, 0.2, 0.3)])
def test_a_background_of_numbers_copies_nothing_from_the_host(
    values: tuple[float, float, float],
) -> None:
    with Recorder() as recorder:
        background = parse_background(values, PACKED, 1, 4, 4)
    assert background.tolist() == pytest.approx(values)
    assert set(recorder.names) <= {"new_full", "full", "new_empty", "empty", "select", "fill_"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_offsets_of_faces_on_a_gpu_may_lie_on_the_cpu() -> None:
    check_face_vertices(PACKED.cuda(), offsets(0, 2, 5))
    check_face_vertices(PACKED.cuda(), offsets(0, 2, 5).cuda())


def test_offsets_of_faces_elsewhere_may_lie_on_the_cpu() -> None:
    check_face_vertices(PACKED.to("meta"), offsets(0, 2, 5))
