"""A template takes the shape that its views show, and every part of the fit does its share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.shape.fitter import (
    ColoredMesh,
    Cube,
    ShapeStage,
    batch_of_step,
    depth_range,
    fit_shape,
    read_template,
)
from recon.fitting.shape.scores import score_silhouettes
from recon.fitting.shape.view_files import Views
from recon.formats.meshes import read_mesh, save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh, face_normals, gather_rows, icosphere
from recon.losses.color import overlap_color_l1_loss
from recon.rendering.renderer import SoftRenderer

CUBE = Cube()
COARSE = ShapeStage(steps=60, resolution=24, sigma=(3e-3, 1e-3), learning_rate=0.05, batch=4)
FINE = ShapeStage(
    steps=60,
    subdivide=1,
    resolution=96,
    sigma=(3e-4, 2e-5),
    loss="squared",
    learning_rate=0.03,
    batch=4,
    color=0.3,
)


def cameras(count: int = 8) -> Cameras:
    index = torch.arange(count, dtype=torch.float32)
    elevation = torch.where(index % 2 == 0, 35.0, -20.0)
    ones = torch.ones(count)
    return Cameras.orbit(index * 360 / count, elevation, 2.5 * ones, 30 * ones)


def ellipsoid_views(color: tuple[float, float, float] = (0.9, 0.2, 0.1)) -> Views:
    """A long ellipsoid off the middle, in one colour."""
    sphere = icosphere(2)
    vertices = sphere.vertices * torch.tensor([0.4, 0.12, 0.2]) + torch.tensor([0.03, 0.05, 0.0])
    seen = cameras()
    textures = torch.tensor(color).expand(len(seen), sphere.num_faces, 3)
    renderer = SoftRenderer(24, sigma=1e-6, anti_aliasing=4)
    rgba = renderer(vertices.expand(len(seen), -1, -1), sphere.faces, textures, seen)
    # Its colour is not premultiplied but mixed with black where samples miss the object.
    rgba = torch.cat(
        (textures[:, :1].transpose(1, 2)[..., None].expand(-1, -1, 24, 24), rgba[:, 3:]), 1
    )
    return Views(rgba.clamp(0, 1), seen)


def test_an_ellipsoid_and_its_colour_are_found() -> None:
    views = ellipsoid_views()
    seen, held = views[[0, 1, 3, 4, 5, 7]], views[[2, 6]]
    template = read_template("sphere", CUBE, subdivisions=1)
    before = score_silhouettes(template, held)
    fitted = fit_shape(seen, template, [COARSE, FINE], CUBE, colors=True)
    assert not fitted.interrupted
    shape = fitted.state
    assert len(shape.faces) == 4 * len(template.faces)
    assert score_silhouettes(shape, held).area.mean() > 0.94 > before.area.mean() + 0.1
    assert shape.colors is not None
    assert torch.allclose(shape.colors.mean(0), torch.tensor([0.9, 0.2, 0.1]), atol=0.03)
    assert [len(one.history["total"]) for one in fitted.fits] == [61, 61]
    assert "color" not in fitted.fits[0].history
    assert "color" in fitted.fits[1].history


def test_a_fit_repeats_and_depends_on_the_seed() -> None:
    views = ellipsoid_views()
    template = read_template("sphere", CUBE, subdivisions=1)

    def run(seed: int) -> Tensor:
        return fit_shape(
            views, template, [ShapeStage(5, resolution=24, batch=3)], CUBE, seed=seed
        ).state.vertices

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_a_fit_in_another_cube_is_the_same_fit() -> None:
    """Moved and scaled views give the moved and scaled shape."""
    views, far = ellipsoid_views(), Cube((1.0, -2.0, 0.5), 3.0)
    moved = Cameras(
        views.cameras.rotation,
        3 * views.cameras.translation - (views.cameras.rotation * torch.tensor(far.center)).sum(2),
        views.cameras.focal,
        views.cameras.center,
    )
    stage = ShapeStage(10, resolution=24, batch=None)
    one = fit_shape(views, read_template("sphere", CUBE, 1), [stage], CUBE).state
    other = fit_shape(
        Views(views.images, moved), read_template("sphere", far, 1), [stage], far
    ).state
    # The first steps of Adam follow the signs of gradients, so rounding is felt in some vertices.
    difference = (far.inward(other.vertices) - CUBE.inward(one.vertices)).abs()
    assert difference.mean() < 1e-3


def test_stages_continue_where_the_last_one_ended() -> None:
    views = ellipsoid_views()
    shapes: list[ColoredMesh] = []

    def keep(step: int, shape: Callable[[], ColoredMesh]) -> None:
        shapes.append(shape())

    stages = [ShapeStage(3, resolution=24), ShapeStage(2, resolution=24, subdivide=1)]
    fit_shape(views, read_template("sphere", CUBE, 1), stages, CUBE, on_step=keep)
    assert len(shapes) == 4 + 3
    last, first = shapes[3], shapes[4]
    assert torch.allclose(first.vertices[: len(last.vertices)], last.vertices, atol=1e-6)


def test_a_signal_leaves_the_shape_so_far() -> None:
    def interrupt(step: int, shape: Callable[[], ColoredMesh]) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with Interruption() as interruption:
        fitted = fit_shape(
            ellipsoid_views(),
            read_template("sphere", CUBE, 1),
            [ShapeStage(9, resolution=24), ShapeStage(9, resolution=24)],
            CUBE,
            on_step=interrupt,
            interruption=interruption,
        )
    assert fitted.interrupted
    assert [len(one.history["total"]) for one in fitted.fits] == [5]
    assert torch.isfinite(fitted.state.vertices).all()


def test_batches_show_every_view_once_a_round() -> None:
    rounds = [torch.cat([batch_of_step(12, 4, 3, 3 * r + s) for s in range(3)]) for r in range(2)]
    assert all(sorted(one.tolist()) == list(range(12)) for one in rounds)
    assert rounds[0].tolist() != rounds[1].tolist()
    assert batch_of_step(12, None, 0, 5).tolist() == list(range(12))
    assert batch_of_step(3, 9, 0, 5).tolist() == [0, 1, 2]


def test_templates_of_files_are_in_the_frame_of_models(tmp_path: Path) -> None:
    sphere = icosphere(1)
    mesh = Mesh(sphere.vertices * torch.tensor([0.4, 0.1, 0.2]), sphere.faces)
    save_mesh(tmp_path / "mesh.ply", mesh)
    shape = read_template(str(tmp_path / "mesh.ply"), CUBE)
    assert torch.equal(shape.vertices, world_vertices(mesh.vertices))
    assert torch.equal(shape.mesh().vertices, mesh.vertices)
    assert torch.equal(shape.mesh().faces, mesh.faces)
    # As the cameras see it, with the outside outside.
    seen = shape.mesh("cameras")
    assert torch.equal(seen.vertices, shape.vertices)
    normals = face_normals(seen.vertices[seen.faces])
    assert ((normals * seen.vertices[seen.faces].mean(1)).sum(1) > 0).all()
    save_mesh(tmp_path / "mesh.ply", Mesh(mesh.vertices * 2, mesh.faces))
    with pytest.raises(ValueError, match=r"mesh\.ply must lie inside .* 1\.6 times .* cube\.size"):
        read_template(str(tmp_path / "mesh.ply"), CUBE)
    assert len(read_template(str(tmp_path / "mesh.ply"), Cube(size=2.0)).vertices) == 42
    with pytest.raises(FileNotFoundError):
        read_template(str(tmp_path / "absent.ply"), CUBE)
    # One that was normalised to a side of 1 touches the walls, and gets room to move.
    save_mesh(tmp_path / "whole.ply", Mesh(sphere.vertices * 0.5, sphere.faces))
    whole = read_template(str(tmp_path / "whole.ply"), CUBE)
    assert torch.allclose(whole.vertices, 0.45 * world_vertices(sphere.vertices), atol=1e-6)
    assert read_mesh(tmp_path / "mesh.ply").num_vertices == 42


def test_templates_are_welded_and_their_parts_counted(tmp_path: Path, caplog) -> None:
    sphere = icosphere(1)
    small = Mesh(sphere.vertices * 0.2, sphere.faces)
    save_mesh(tmp_path / "loose.stl", small)  # three vertices of its own for every face
    shape = read_template(str(tmp_path / "loose.stl"), CUBE)
    assert (len(shape.vertices), len(shape.faces)) == (42, 80)
    assert not caplog.messages
    two = torch.cat((small.vertices, small.vertices + 0.2))
    save_mesh(tmp_path / "two.stl", Mesh(two, torch.cat((small.faces, small.faces + 42))))
    assert len(read_template(str(tmp_path / "two.stl"), CUBE).vertices) == 84
    assert len(caplog.messages) == 1
    assert "two.stl consists of 2 parts that share no vertex" in caplog.text


def test_subdivided_shapes_keep_colours() -> None:
    sphere = icosphere(0)
    shape = ColoredMesh(sphere.vertices, sphere.faces, sphere.vertices.abs()).subdivided(2)
    assert shape.colors is not None
    assert shape.colors.shape == shape.vertices.shape == (162, 3)


def test_the_range_of_depths_holds_the_cube() -> None:
    seen, cube = cameras(), Cube((0.1, 0.0, -0.2), 0.8)
    corners = torch.tensor(
        [[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    )
    depth = seen.project(cube.outward(corners).expand(len(seen), -1, -1), 24)[..., 2]
    near, far = depth_range(seen, cube)
    assert 0 < near <= depth.min()
    assert depth.max() <= far
    with pytest.raises(ValueError, match="behind every camera"):
        depth_range(seen[:1], Cube((0.0, 0.0, -50.0)))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"steps": 0}, "steps"),
        ({"batch": 0}, "batch"),
        ({"sigma": (1e-3, 0.0)}, "sigma"),
        ({"sigma": (1e-3,)}, "sigma"),
        ({"loss": "l2"}, "loss"),
        ({"laplacian": -1.0}, "weights"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_stages(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ShapeStage(**{"steps": 1, **settings})  # type: ignore[arg-type]


def test_other_bad_settings() -> None:
    with pytest.raises(ValueError, match="size > 0"):
        Cube(size=0.0)
    with pytest.raises(ValueError, match="radius"):
        read_template("sphere", CUBE, radius=0.6)
    with pytest.raises(ValueError, match="at least one stage"):
        fit_shape(ellipsoid_views(), read_template("sphere", CUBE, 1), [], CUBE)


def test_large_images_are_made_smaller_with_their_colours() -> None:
    from recon.fitting.shape.fitter import _smaller

    views = ellipsoid_views()
    small = _smaller(views, 6)
    assert small.image_size == (6, 6)
    area = views.masks.reshape(8, 6, 4, 6, 4).mean((2, 4))
    assert torch.allclose(small.masks, area, atol=1e-6)
    inside = small.masks > 0.01
    colors = small.images[:, :3].permute(0, 2, 3, 1)[inside]
    assert torch.allclose(colors, torch.tensor([0.9, 0.2, 0.1]).expand_as(colors), atol=1e-4)
    assert _smaller(views, 24) is views


def test_gradients_reach_colours_of_vertices() -> None:
    shape = read_template("sphere", CUBE, 1)
    colors = torch.full_like(shape.vertices, 0.5, requires_grad=True)
    textures = gather_rows(colors, shape.faces)[None]
    rgba = SoftRenderer(16, sigma=1e-4)(shape.vertices[None], shape.faces, textures, cameras(1))
    overlap_color_l1_loss(rgba, ellipsoid_views()[[0]].images[:, :, :16, :16]).backward()
    assert colors.grad is not None
    assert (colors.grad != 0).any(1).sum() > 10
