"""The experiment that fits shapes to colours alone runs as its users run it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.geometry.meshes import icosphere

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "benchmarks"))
import color_only


def test_every_method_is_fitted_before_every_background(
    shapes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--objects", "2", "--views", "2", "--steps", "2", "--subdivisions", "1"]
    color_only.main([str(shapes_file), "--output", str(tmp_path), *small, "--seeds", "5"])
    with open(tmp_path / "color_only.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["background"], row["method"]) for row in rows] == [
        (background, method)
        for background in ("plain", "textured")
        for method in color_only.METHODS
    ]
    assert all(0 < float(row["voxel IoU %"]) < 100 for row in rows)
    assert "silhouette IoU %" in capsys.readouterr().out
    rows_of_images = 2 + len(color_only.METHODS)
    with Image.open(tmp_path / "textured-5.png") as image:
        assert image.size == (2 * 2 * 64, rows_of_images * 2 * 64)


def test_layers_find_the_shape_from_colors_alone(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    scene = color_only.make_scene(data, [0], 4, "textured", seed=1)
    faces = icosphere(1).faces
    scores = [
        color_only.judge(
            scene, color_only.fit(scene, color_only.METHODS["over"], steps, 1, 0), faces
        )
        for steps in (0, 60)
    ]
    (_, before, psnr_before), (_, after, psnr_after) = scores
    assert after > before + 0.1
    assert psnr_after > psnr_before + 3


def test_the_fit_sees_no_mask(shapes_file: Path) -> None:
    # The same photographs over the same background give the same fit, whatever the masks are.
    data = MultiViewDataset(shapes_file, "test")
    scene = color_only.make_scene(data, [0], 2, "plain", seed=1)
    opaque = torch.cat([scene.photographs, torch.ones_like(scene.images[:, :, 3:])], 2)
    other = color_only.Scene(
        opaque,
        scene.cameras,
        scene.backgrounds,
        scene.other_images,
        scene.other_cameras,
        scene.voxels,
    )
    one, two = (color_only.fit(s, color_only.METHODS["over"], 3, 1, 0) for s in (scene, other))
    assert torch.equal(one.vertices, two.vertices)


def test_views_that_are_judged_are_not_fitted(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    scene = color_only.make_scene(data, [0, 1], 6, "plain", seed=0)
    assert scene.images.shape[:2] == (2, 6)
    assert scene.other_images.shape[:2] == (2, 18)
    fitted = set(map(tuple, scene.cameras[0].tolist()))
    assert not fitted & set(map(tuple, scene.other_cameras[0].tolist()))
    again = color_only.make_scene(data, [0, 1], 6, "textured", seed=0)
    assert not torch.equal(again.backgrounds[0, 0], again.backgrounds[0, 1])
    assert torch.equal(scene.backgrounds[0, 0], scene.backgrounds[1, 5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objects", "9"], "--objects must be at most 3, the categories, got 9"),
        (["--views", "24"], "--views must be less than the 24 views of the data, got 24"),
    ],
)
def test_bad_numbers_are_refused(
    arguments: list[str], message: str, shapes_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        color_only.main([str(shapes_file), "--output", str(tmp_path), *arguments])
