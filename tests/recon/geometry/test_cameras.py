from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recon.geometry.cameras import Cameras, as_image_size, shapenet_cameras


def make_cameras(
    azimuth: float = 0.0, elevation: float = 0.0, distance: float = 2.0, fov: float = 90.0
) -> Cameras:
    values = (azimuth, elevation, distance, fov)
    return Cameras.orbit(*(torch.tensor([value], dtype=torch.float64) for value in values))


def project(cameras: Cameras, *point: float, image_size: object = 64) -> list[float]:
    vertices = torch.tensor([[point]], dtype=torch.float64)
    return cameras.project(vertices, image_size)[0, 0].tolist()  # type: ignore[arg-type]


def look_at(cameras: Cameras, vertices: Tensor) -> Tensor:
    """View coordinates by the textbook construction from the eye and an up vector."""
    eye = cameras.eye()
    forward = torch.nn.functional.normalize(-eye, dim=1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=eye.dtype).expand_as(eye)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, forward, dim=1), dim=1)
    up = torch.linalg.cross(forward, right, dim=1)
    rotation = torch.stack((right, up, forward), dim=1)
    return (vertices - eye[:, None]) @ rotation.transpose(1, 2)


def test_eye_of_hand_computed_angles() -> None:
    root = math.sqrt(0.5)
    for azimuth, elevation, expected in (
        (0, 0, (0, 0, -2)),
        (90, 0, (2, 0, 0)),
        (180, 0, (0, 0, 2)),
        (-90, 0, (-2, 0, 0)),
        (0, 90, (0, 2, 0)),
        (45, 0, (2 * root, 0, -2 * root)),
        (0, 30, (0, 1, -math.sqrt(3))),
    ):
        eye = make_cameras(azimuth, elevation).eye()[0]
        assert eye.tolist() == pytest.approx(expected, abs=1e-12)


def test_at_azimuth_zero_world_x_is_right_world_y_is_up_and_small_z_is_near() -> None:
    # fov 90 at distance 2: the half height at depth d is d, so NDC is x / depth, y / depth.
    cameras = make_cameras()
    assert project(cameras, 1, 0, 0) == pytest.approx([0.5, 0, 2])
    assert project(cameras, 0, 1, 0) == pytest.approx([0, 0.5, 2])
    assert project(cameras, 1, 1, -1) == pytest.approx([1, 1, 1])
    assert project(cameras, 1, 1, 2) == pytest.approx([0.25, 0.25, 4])


def test_from_the_other_sides() -> None:
    assert project(make_cameras(90), 0, 0, 1) == pytest.approx([0.5, 0, 2])
    assert project(make_cameras(90), 1, 0, 0) == pytest.approx([0, 0, 1])
    assert project(make_cameras(180), 1, 0, 0) == pytest.approx([-0.5, 0, 2])
    assert project(make_cameras(-90), 0, 0, 1) == pytest.approx([-0.5, 0, 2])


@pytest.mark.parametrize("azimuth", [0.0, 37.0, -120.0])
def test_up_vector_at_the_poles_is_the_limit_of_nearby_cameras(azimuth: float) -> None:
    a = math.radians(azimuth)
    top = make_cameras(azimuth, 90.0).rotation[0]
    bottom = make_cameras(azimuth, -90.0).rotation[0]
    assert top[1].tolist() == pytest.approx([-math.sin(a), 0, math.cos(a)], abs=1e-12)
    assert bottom[1].tolist() == pytest.approx([math.sin(a), 0, -math.cos(a)], abs=1e-12)
    torch.testing.assert_close(make_cameras(azimuth, 89.9999).rotation[0], top, atol=1e-5, rtol=0)


@settings(max_examples=50, deadline=None)
@given(st.floats(-720, 720), st.floats(-89, 89), st.floats(0.5, 10), st.floats(1, 170))
def test_equals_look_at_and_is_a_rotation(a: float, e: float, d: float, fov: float) -> None:
    cameras = make_cameras(a, e, d, fov)
    axes = cameras.rotation[0]
    torch.testing.assert_close(axes @ axes.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(axes).item() == pytest.approx(1)
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(1, 20, 3, generator=generator, dtype=torch.float64)
    view = look_at(cameras, vertices)
    ndc = cameras.project(vertices, 32)
    torch.testing.assert_close(ndc[..., 2], view[..., 2], atol=1e-9, rtol=1e-9)
    expected = view[..., :2] / view[..., 2:] / math.tan(math.radians(fov) / 2)
    torch.testing.assert_close(ndc[..., :2], expected, atol=1e-6, rtol=1e-6)


def test_the_origin_is_in_the_middle_at_the_distance() -> None:
    assert project(make_cameras(33, 21, 2.732, 30), 0, 0, 0) == pytest.approx([0, 0, 2.732])


@pytest.mark.parametrize(
    ("image_size", "right", "top"),
    [(64, 1.0, 1.0), ((64, 128), 2.0, 1.0), ((128, 64), 1.0, 2.0), ((30, 20), 1.0, 1.5)],
)
def test_the_height_spans_fov_and_the_shorter_side_spans_one(
    image_size: object, right: float, top: float
) -> None:
    cameras = make_cameras(fov=90.0)
    # At depth 2 the upper edge of the image is at y = 2, whatever its shape.
    assert project(cameras, 0, 2, 0, image_size=image_size)[1] == pytest.approx(top)
    # and its right edge is where the pixels are square.
    height, width = as_image_size(image_size)  # type: ignore[arg-type]
    assert project(cameras, 2 * width / height, 0, 0, image_size=image_size)[0] == pytest.approx(
        right
    )


def test_projection_is_differentiable_in_all_camera_parameters_and_vertices() -> None:
    generator = torch.Generator().manual_seed(1)
    vertices = (
        torch.rand(2, 4, 3, generator=generator, dtype=torch.float64) - 0.5
    ).requires_grad_()
    parameters = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([20.0, -75.3], [31.0, 90.0], [2.7, 1.9], [30.0, 61.0])
    ]

    def function(vertices: Tensor, *parameters: Tensor) -> Tensor:
        return Cameras.orbit(*parameters).project(vertices, (32, 24))

    assert torch.autograd.gradcheck(function, (vertices, *parameters))


def test_a_vertex_in_the_plane_of_the_eye_stays_finite() -> None:
    camera = make_cameras(distance=2.0).to(dtype=torch.float32)
    vertices = torch.tensor([[[0.3, 0.2, -2.0], [0.1, 0.0, -2.5], [0.0, 0.0, 0.0]]])
    vertices.requires_grad_()
    ndc = camera.project(vertices, 16)
    assert ndc[0, :, 2].tolist() == pytest.approx([0, -0.5, 2])
    assert torch.isfinite(ndc).all()
    (gradient,) = torch.autograd.grad((ndc * torch.tensor([0.0, 0.0, 1.0])).sum(), vertices)
    assert torch.isfinite(gradient).all()


def test_shapenet_views() -> None:
    cameras = shapenet_cameras(range(24))
    azimuth, *others = cameras.orbit_parameters().unbind(1)
    turned = torch.tensor([-15.0 * view for view in range(24)])
    torch.testing.assert_close((azimuth - turned + 180) % 360, torch.full((24,), 180.0))
    for values, expected in zip(others, (30.0, 2.732, 30.0), strict=True):
        torch.testing.assert_close(values, torch.full((24,), expected))
    # View 6 has turned by -90 degrees, from -z to -x.
    horizontal = 2.732 * math.cos(math.pi / 6)
    assert cameras.eye()[6].tolist() == pytest.approx([-horizontal, 1.366, 0], abs=1e-5)
    torch.testing.assert_close(shapenet_cameras(torch.tensor([3])).rows(), cameras[3].rows())


def test_rows_round_trip_indexing_and_length() -> None:
    rows = shapenet_cameras(range(5)).rows()
    cameras = Cameras.from_rows(rows)
    assert len(cameras) == 5
    assert torch.equal(cameras.rows(), rows)
    assert torch.equal(cameras[-1].rows(), rows[-1:])
    assert torch.equal(cameras[1:3].rows(), rows[1:3])
    assert torch.equal(cameras[torch.tensor([4, 0, 4])].rows(), rows[[4, 0, 4]])
    assert torch.equal(cameras[[2, 2]].rows(), rows[[2, 2]])
    assert cameras.to(dtype=torch.float64).eye().dtype == torch.float64


def test_half_precision_is_projected_in_float32_under_autocast_too() -> None:
    cameras = shapenet_cameras([0])
    vertices = torch.rand(1, 5, 3) - 0.5
    expected = cameras.project(vertices, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cameras.project(vertices, 8), expected)
        assert cameras.project(vertices.bfloat16(), 8).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": 0.0}, "distance must be > 0"),
        ({"distance": -1.0}, "distance must be > 0"),
        ({"distance": math.inf}, "distance must be finite"),
        ({"azimuth": math.nan}, "azimuth must be finite"),
        ({"elevation": math.inf}, "elevation must be finite"),
        ({"fov": 0.0}, "fov must lie in"),
        ({"fov": 180.0}, "fov must lie in"),
    ],
)
def test_bad_values_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_cameras(**change)


def test_numbers_sequences_and_arrays_make_the_same_cameras_as_tensors() -> None:
    one = torch.ones(3)
    expected = Cameras.orbit(torch.tensor([10.0, 20, 30]), 20 * one, 2 * one, 40 * one).rows()
    for azimuth in ([10, 20, 30], (10.0, 20.0, 30.0), np.array([10, 20, 30])):
        assert torch.equal(Cameras.orbit(azimuth, 20, np.float64(2), 40.0).rows(), expected)
    assert torch.equal(Cameras.orbit(10, 20, distance=2, fov=40).rows(), expected[:1])
    # Numbers beside a tensor are of its type, and the gradient goes to it.
    azimuth = torch.tensor([10.0, 20, 30], dtype=torch.float64, requires_grad=True)
    cameras = Cameras.orbit(azimuth, torch.tensor(20.0, dtype=torch.float64), 2, 40)
    assert cameras.focal.dtype == torch.float64
    cameras.eye().sum().backward()
    assert azimuth.grad is not None
    assert len(cameras[np.int64(1)]) == 1


def test_sizes_are_of_any_integer_type() -> None:
    for size in (
        np.int64(7),
        np.int32(7),
        (np.uint8(7), 7),
        torch.tensor([7, 7]),
        np.array([7, 7]),
    ):
        assert as_image_size(size) == (7, 7)
        assert all(type(side) is int for side in as_image_size(size))


def test_bad_shapes_and_types_are_refused() -> None:
    good = torch.ones(2)
    with pytest.raises(
        ValueError, match=r"distance must be a floating-point tensor of shape \[2\]"
    ):
        Cameras.orbit(good, good, torch.ones(3), good)
    with pytest.raises(ValueError, match="fov must have dtype"):
        Cameras.orbit(good, good, good, good.double())
    with pytest.raises(ValueError, match="azimuth must be a floating-point"):
        Cameras.orbit(good.long(), good, good, good)
    with pytest.raises(ValueError, match=r"rows must have shape \[B, 16\]"):
        Cameras.from_rows(torch.ones(2, 4))
    with pytest.raises(ValueError, match="azimuth must be numbers, got 'left'"):
        Cameras.orbit("left", 0, 2, 30)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"azimuth must be a .* of shape \[1\]"):
        Cameras.orbit([[1, 2]], 0, 2, 30)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="fov must lie in"):
        Cameras.orbit(0, 0, 2, 0)
    with pytest.raises(ValueError, match="for 1 cameras"):
        make_cameras().project(torch.ones(2, 4, 3), 8)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rotation", 2 * torch.eye(3)[None], "rotation must have orthonormal rows"),
        ("rotation", torch.eye(3), r"rotation must be .* of shape \[3, 3, 3\]"),
        ("rotation", torch.full((1, 3, 3), math.nan), "rotation must be finite"),
        ("translation", torch.zeros(2, 3), r"translation must be .* of shape \[1, 3\]"),
        ("translation", torch.zeros(1, 3).long(), "translation must be a floating-point"),
        ("focal", torch.tensor([[1.0, 0.0]]), "focal must be > 0"),
        ("center", torch.tensor([[0.0, math.inf]]), "center must be finite"),
        ("center", torch.zeros(1, 2).double(), "center must have dtype"),
    ],
)
def test_bad_matrices_are_refused(name: str, value: Tensor, message: str) -> None:
    parts = {
        "rotation": torch.eye(3)[None],
        "translation": torch.zeros(1, 3),
        "focal": torch.ones(1, 2),
        "center": torch.zeros(1, 2),
    }
    Cameras(**parts)
    with pytest.raises(ValueError, match=message):
        Cameras(**{**parts, name: value})


@pytest.mark.parametrize("image_size", [0, (4,), (4, 0), (4, 4, 4), 1.5, (4, 2.0)])
def test_bad_image_sizes_are_refused(image_size: object) -> None:
    with pytest.raises(ValueError, match="image_size must be"):
        as_image_size(image_size)  # type: ignore[arg-type]


@pytest.mark.parametrize("views", [[24], [-1], torch.tensor([0.5]), torch.tensor(3)])
def test_bad_views_are_refused(views: object) -> None:
    with pytest.raises(ValueError, match="views must"):
        shapenet_cameras(views)  # type: ignore[arg-type]


def opencv_camera() -> tuple[Tensor, Tensor, Tensor]:
    """Intrinsics, rotation and translation of a camera at a place of no symmetry."""
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(1, 3, 3, generator=generator, dtype=torch.float64))[0]
    rotation = rotation * torch.linalg.det(rotation)
    intrinsics = torch.tensor([[[70.0, 0, 43.5], [0, 65.0, 20.25], [0, 0, 1]]]).double()
    return intrinsics, rotation, torch.tensor([[0.1, -0.2, 3.0]]).double()


@pytest.mark.parametrize("image_size", [(48, 80), (80, 48)])
def test_opencv_matrices_give_the_pixels_of_opencv(image_size: tuple[int, int]) -> None:
    intrinsics, rotation, translation = opencv_camera()
    generator = torch.Generator().manual_seed(4)
    vertices = torch.rand(1, 6, 3, generator=generator, dtype=torch.float64) - 0.5
    view = vertices @ rotation.transpose(1, 2) + translation[:, None]
    pixels = (view / view[..., 2:]) @ intrinsics.transpose(1, 2)
    cameras = Cameras.from_opencv(intrinsics, rotation, translation, image_size)
    ndc = cameras.project(vertices, image_size)
    height, width = image_size
    # The pixel (i, j) of an image has the NDC of its centre, see the rasterizer.
    columns = (ndc[..., 0] * min(image_size) + width - 1) / 2
    rows = (height - 1 - ndc[..., 1] * min(image_size)) / 2
    torch.testing.assert_close(torch.stack((columns, rows), -1), pixels[..., :2])
    torch.testing.assert_close(ndc[..., 2], view[..., 2])
    assert torch.linalg.det(cameras.rotation).item() == pytest.approx(-1)
    torch.testing.assert_close(cameras.eye(), -(translation[:, None] @ rotation).squeeze(1))


def test_an_orbit_camera_written_for_opencv_and_read_back_is_the_same() -> None:
    orbit = make_cameras(33.0, -20.0, 2.5, 40.0)
    flip = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    focal = 32 / math.tan(math.radians(20))
    intrinsics = torch.tensor([[focal, 0, 39.5], [0, focal, 31.5], [0, 0, 1]]).double()[None]
    cameras = Cameras.from_opencv(
        intrinsics, orbit.rotation * flip[:, None], orbit.translation * flip, (64, 80)
    )
    torch.testing.assert_close(cameras.rows(), orbit.rows(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("row", "column", "value"), [(0, 1, 0.5), (2, 2, 2.0), (1, 0, 1.0)])
def test_intrinsics_of_another_form_are_refused(row: int, column: int, value: float) -> None:
    intrinsics, rotation, translation = opencv_camera()
    intrinsics[0, row, column] = value
    with pytest.raises(ValueError, match="without skew"):
        Cameras.from_opencv(intrinsics, rotation, translation, 64)


@settings(max_examples=30, deadline=None)
@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(0.5, 10), st.floats(1, 170))
def test_orbit_parameters_are_those_of_the_orbit(a: float, e: float, d: float, fov: float) -> None:
    found = make_cameras(a, e, d, fov).orbit_parameters()[0].tolist()
    assert found == pytest.approx([a, e, d, fov], abs=1e-6)
