"""What a run of joint fitting writes says what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.fitting.articulation.figure import SHAPE_NAMES, figure_limits, make_figure
from recon.fitting.articulation.fitter import ArticulationFitter, middle_stance
from recon.fitting.articulation.run import (
    ArticulationRun,
    colored_image,
    orbit_of,
    save_image,
    sheet,
    side_cameras,
)
from recon.fitting.articulation.scores import random_cases
from recon.fitting.stages import SoftStage
from recon.formats.meshes import read_mesh, read_surface
from recon.formats.stores import FolderStore
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.runs.directory import read_json

BODY, LIMITS = make_figure(), figure_limits()
STAGE = SoftStage(2, 24, (1e-3, 1e-3), (0.3, 0.3), (0.05, 0.05))


def make_run(folder: Path, known: bool = True) -> ArticulationRun:
    case = random_cases(BODY, 1, 24, 0)
    return ArticulationRun(
        folder,
        BODY,
        LIMITS,
        SHAPE_NAMES,
        case.images[0],
        case.cameras,
        {"seed": 0},
        2,
        case if known else None,
    )


def test_a_run_writes_what_it_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "new" / "folder")
    fitted = run.fit(ArticulationFitter(STAGE, STAGE), move=True, reshape=True)
    result = run.write(fitted)
    assert read_json(run.folder / "result.json") == result
    angles = torch.deg2rad(torch.tensor(list(result["joints"].values())))
    assert torch.allclose(angles, fitted.stance.angles[0], atol=1e-6)
    assert result["interrupted"] is False
    assert set(result["shapes"]) == set(SHAPE_NAMES)
    # The mesh of the file, turned back into the world, is the mesh in its stance.
    corners = fitted.stance.vertices(BODY)[0][BODY.mesh.faces]
    written = read_mesh(run.folder / "mesh.obj")
    again = world_vertices(written.vertices)[written.faces.flip(1)]
    assert torch.allclose(again.double(), corners.double(), atol=1e-5)
    surface = read_surface(FolderStore(run.folder), "mesh.glb")
    assert BODY.mesh.face_colors is not None
    colors = torch.from_numpy(surface.mesh().face_colors.numpy())  # type: ignore[union-attr]
    assert torch.allclose(colors, BODY.mesh.face_colors, atol=0.02)
    # The image can be read again as it was.
    pixels = np.asarray(Image.open(run.folder / "input.png"))
    assert np.array_equal(pixels, (run.image * 255).round().byte().permute(1, 2, 0).numpy())
    again = make_run(tmp_path / "other", known=False)
    assert "truth" not in again.write(fitted)
    assert not (again.folder / "input.png").exists()


def test_the_truth_has_no_error(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert run.truth is not None
    errors = run._errors(run.truth.truth)["errors"]
    assert max(row["degrees_after"] for row in errors.values()) < 1e-3
    assert max(row["degrees_before"] for row in errors.values()) > 10


def test_the_view_from_the_side_is_a_quarter_turn_on() -> None:
    one = torch.ones(1)
    front, side = (Cameras.orbit(a * one, 10 * one, 3 * one, 30 * one) for a in (20.0, 110.0))
    assert torch.allclose(side_cameras(front).rotation, side.rotation, atol=1e-6)
    told = orbit_of(side)
    assert [*told] == ["azimuth", "elevation", "distance"]
    assert list(told.values()) == pytest.approx([110, 10, 3], abs=1e-4)
    stance = middle_stance(BODY, LIMITS)
    images = [
        colored_image(BODY, stance, side_cameras(front), (32, 40)),
        colored_image(BODY, stance, side, (32, 40)),
    ]
    assert images[0].shape == (1, 4, 32, 40)
    assert torch.allclose(*images, atol=0.02)


def test_a_sheet_has_a_place_for_every_image(tmp_path: Path) -> None:
    cells = [np.full((8, 10, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    drawn = np.asarray(sheet(["a", "b"], [cells[:2], cells[2:]]))
    assert drawn.shape == (16 + 2 * 8, 20, 3)
    assert [drawn[-12, 2, 0], drawn[-12, 12, 0], drawn[-2, 2, 0], drawn[-2, 12, 0]] == [
        10,
        20,
        30,
        40,
    ]
    with pytest.raises(OSError, match="absent"):
        save_image(tmp_path / "absent" / "picture.png", torch.zeros(4, 2, 2))
