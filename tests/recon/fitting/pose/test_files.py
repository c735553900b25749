"""Images are cut out around their object with their camera; meshes come with colours."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.fitting.pose.files import read_camera_image, read_colored_mesh
from recon.formats.meshes import save_mesh
from recon.geometry.meshes import Mesh


def draw(
    path: Path, rows: slice = slice(20, 30), columns: slice = slice(40, 60), mode: str = "RGBA"
) -> Path:
    """A red rectangle on an image 60 pixels high and 80 wide."""
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[rows, columns] = (255, 0, 0, 255)
    Image.fromarray(rgba).convert(mode).save(path)
    return path


def tetrahedron() -> Mesh:
    vertices = torch.tensor([[5.0, 1, 1], [1, 3, 1], [1, 1, 2], [1, 1, 1]])
    return Mesh(vertices, torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]))


def test_a_square_is_cut_out_around_the_object(tmp_path: Path) -> None:
    image = read_camera_image(draw(tmp_path / "a.png"), None, 40.0, size=31, margin=1.5)
    assert image.image.shape == (4, 31, 31)
    assert image.whole.shape == (4, 60, 80)
    inside = image.image[3] > 0.5
    # 19 pixels apart times 1.5, and one, is 30 pixels; the object is 20 x 10 of them.
    assert int(inside.sum()) == pytest.approx(20 * 10 * (31 / 30) ** 2, rel=0.1)
    rows, columns = np.nonzero(inside.numpy())
    assert rows.mean() == pytest.approx(15, abs=0.6)
    assert columns.mean() == pytest.approx(15, abs=0.6)
    assert image.image[0][inside].min() == 1
    assert image.image[1:3][:, inside].max() == 0


def test_the_camera_of_the_cutting_sees_what_the_whole_one_sees(tmp_path: Path) -> None:
    image = read_camera_image(draw(tmp_path / "a.png"), None, 40.0, size=31)
    assert image.whole_intrinsics[0, 0] == pytest.approx(30 / np.tan(np.deg2rad(20)))
    assert image.whole_intrinsics[:2, 2].tolist() == [39.5, 29.5]
    # The middle of the rectangle in the whole image.
    ray = np.linalg.inv(image.whole_intrinsics) @ [49.5, 24.5, 1]
    np.testing.assert_allclose(image.intrinsics @ ray, [15, 15, 1], atol=0.6)
    point = torch.tensor(ray * 3, dtype=torch.float32)[None, None]
    x, y, depth = image.cameras(2).project(point.expand(2, 1, 3), 31)[1, 0].tolist()
    assert (x, y, depth) == (pytest.approx(0, abs=0.04), pytest.approx(0, abs=0.04), 3)


def test_objects_at_the_border_are_cut_out_too(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", slice(0, 10), slice(70, 80))
    image = read_camera_image(path, None, 40.0, size=45, margin=3.0)
    rows, columns = np.nonzero(image.image[3].numpy() > 0.5)
    assert rows.mean() == pytest.approx(22, abs=1)
    assert columns.mean() == pytest.approx(22, abs=1)


def test_given_intrinsics_count_instead_of_fov(tmp_path: Path) -> None:
    image = read_camera_image(draw(tmp_path / "a.png"), None, 500.0, [90.0, 91.0, 30.0, 20.0])
    assert image.whole_intrinsics.tolist() == [[90, 0, 30], [0, 91, 20], [0, 0, 1]]


def test_a_mask_replaces_the_alpha_of_the_draw(tmp_path: Path) -> None:
    whole = draw(tmp_path / "a.jpg", slice(None), slice(None), "RGB")
    mask = draw(tmp_path / "m.png", slice(20, 30), slice(40, 60), "L")
    Image.fromarray((np.asarray(Image.open(mask)) > 0).astype(np.uint8) * 255).save(mask)
    image = read_camera_image(whole, mask, 40.0)
    assert int((image.whole[3] > 0).sum()) == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fov": 180.0}, r"fov must lie in \(0, 180\)"),
        ({"fov": float("nan")}, r"fov must lie in \(0, 180\)"),
        ({"intrinsics": [1.0, 2.0, 3.0]}, "intrinsics must be"),
        ({"intrinsics": [1.0, -2.0, 3.0, 4.0]}, "intrinsics must be"),
        ({"size": 0}, "size and margin"),
        ({"margin": 0.5}, "size and margin"),
        ({"margin": float("inf")}, "size and margin"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    path = draw(tmp_path / "a.png")
    with pytest.raises(ValueError, match=message):
        read_camera_image(path, None, **({"fov": 40.0} | arguments))  # type: ignore[arg-type]


def test_bad_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.png"):
        read_camera_image(tmp_path / "absent.png", None, 40.0)
    plain = draw(tmp_path / "plain.png", mode="RGB")
    with pytest.raises(ValueError, match=r"plain.png has no transparent pixels.*mask=FILE"):
        read_camera_image(plain, None, 40.0)
    empty = draw(tmp_path / "empty.png", slice(0, 0))
    with pytest.raises(ValueError, match=r"empty.png: the .* is empty"):
        read_camera_image(empty, None, 40.0)
    with pytest.raises(ValueError, match=r"empty.png: the .* is empty"):
        read_camera_image(plain, empty, 40.0)
    with pytest.raises(FileNotFoundError, match=r"nowhere.png"):
        read_camera_image(plain, tmp_path / "nowhere.png", 40.0)
    Image.new("L", (3, 3), 255).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small.png must have the size of its image, 80 x 60"):
        read_camera_image(plain, tmp_path / "small.png", 40.0)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text.png is not a PNG"):
        read_camera_image(tmp_path / "text.png", None, 40.0)


def test_a_mesh_is_scaled_and_poses_lead_back_to_its_file(tmp_path: Path) -> None:
    mesh = tetrahedron()
    colors = torch.tensor([[0.0, 0, 0], [0.6, 0, 0], [0, 0.6, 0], [0, 0, 0.6]])
    save_mesh(tmp_path / "a.ply", mesh, colors)
    read = read_colored_mesh(tmp_path / "a.ply")
    assert read.side == 4
    assert read.center.tolist() == [3, 2, 1.5]
    assert float(read.mesh.vertices.abs().max()) == 0.5
    assert read.mesh.face_colors is not None
    means = colors[mesh.faces].mean(1)
    torch.testing.assert_close(read.mesh.face_colors, means, rtol=0, atol=0.01)
    rotation = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    translation = torch.tensor([0.1, 0.2, 3.0])
    turned, moved = read.file_pose(rotation, translation)
    posed = mesh.vertices[mesh.faces].flatten(0, 1) @ turned.T + moved
    scaled = read.mesh.vertices[read.mesh.faces].flatten(0, 1)
    expected = read.side * (scaled @ rotation.T + translation)
    torch.testing.assert_close(posed, expected)


def test_a_mesh_may_lie_in_an_archive(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.obj", tetrahedron())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.obj", "folder/a.obj")
    read = read_colored_mesh(f"{tmp_path / 'a.zip'}!folder/a.obj")
    assert read.mesh.num_faces == 4


def test_bad_meshes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.ply"):
        read_colored_mesh(tmp_path / "absent.ply")
    with pytest.raises(FileNotFoundError, match=r"no archive .*absent.zip"):
        read_colored_mesh(f"{tmp_path / 'absent.zip'}!a.obj")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ValueError, match=r"suffix '.xyz'"):
        read_colored_mesh(tmp_path / "a.xyz")
    (tmp_path / "nan.obj").write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match=r"nan.obj.* not a finite number"):
        read_colored_mesh(tmp_path / "nan.obj")
    (tmp_path / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match=r"flat.obj.* no visible faces"):
        read_colored_mesh(tmp_path / "flat.obj")
