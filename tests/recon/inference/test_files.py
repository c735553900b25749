"""What a reconstruction leaves on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.formats.meshes import read_mesh
from recon.inference.files import (
    FRAME_SIDE,
    FRAMES,
    MASKED,
    OVERLAY_SIDE,
    PREDICTED,
    draw_overlay,
    find_result,
    save_reconstruction,
)
from recon.inference.input_images import take_image
from recon.inference.reconstruct import ImageReconstructor, Reconstruction
from recon.runs.results import OtherResultError
from recon.runs.trained_models import load_trained_model

FROM = {"image": "aa", "checkpoint": "bb"}


@pytest.fixture(scope="module")
def reconstructor(tiny_checkpoint: Path) -> ImageReconstructor:
    return ImageReconstructor(load_trained_model(tiny_checkpoint))


def scene(height: int = 60, width: int = 120, x: int = 85, y: int = 30) -> np.ndarray:
    """[H, W, 3]: a dark ball on white, right of the middle."""
    rows, columns = np.mgrid[:height, :width]
    inside = (columns - x) ** 2 + (rows - y) ** 2 < 15**2
    return np.where(inside[..., None], (30, 30, 60), (250, 250, 250)).astype(np.uint8)


@pytest.fixture(scope="module")
def made(reconstructor: ImageReconstructor) -> Reconstruction:
    return reconstructor([take_image(scene())])[0]


def test_a_folder_holds_meshes_images_and_facts(made: Reconstruction, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "ball"
    paths = save_reconstruction(folder, made, {"made_from": FROM})
    names = ["mask.png", "mesh.glb", "mesh.obj", "overlay.png", "result.json", "turntable.gif"]
    assert [path.name for path in paths] == names
    mesh, colors = made.model_mesh()
    assert colors is not None
    for suffix in ("glb", "obj"):
        read = read_mesh(folder / f"mesh.{suffix}")
        assert torch.allclose(read.vertices, mesh.vertices, atol=1e-6)
        assert torch.equal(read.faces, mesh.faces)
    first = (folder / "mesh.obj").read_text().splitlines()[0].split()
    assert [float(x) for x in first[4:]] == pytest.approx(colors[0].tolist(), abs=1e-5)
    with Image.open(folder / "turntable.gif") as gif:
        assert (gif.n_frames, gif.size) == (FRAMES, (FRAME_SIDE, FRAME_SIDE))
    with Image.open(folder / "mask.png") as mask:
        assert (np.asarray(mask)[..., 3] == made.image.rgba[3]).all()
    facts = json.loads((folder / "result.json").read_text())
    assert facts["mask"] == "estimated"
    assert "estimate" in facts["notes"][0]
    assert facts["outline_iou"] == made.iou
    assert not list(folder.parent.glob(".*"))


def test_a_mask_which_is_no_estimate_is_not_written(
    reconstructor: ImageReconstructor, tmp_path: Path
) -> None:
    image = take_image(scene(), scene()[..., 0] < 99)
    made = reconstructor([image])[0]
    paths = save_reconstruction(tmp_path / "a", made, {}, turntable=False)
    assert [path.name for path in paths] == ["mesh.glb", "mesh.obj", "overlay.png", "result.json"]


def test_texels_become_a_texture(made: Reconstruction, tmp_path: Path) -> None:
    texels = torch.rand(made.world.num_faces, 4, 3)
    save_reconstruction(tmp_path / "a", replace(made, colors=texels), {}, turntable=False)
    assert {"mesh.mtl", "mesh.png"} <= {path.name for path in (tmp_path / "a").iterdir()}


def test_the_overlay_lies_over_the_object(made: Reconstruction) -> None:
    overlay = draw_overlay(made)
    assert overlay.shape == (OVERLAY_SIDE // 2, OVERLAY_SIDE, 3)
    zoom = OVERLAY_SIDE / 120
    for color in (PREDICTED, MASKED):
        rows, columns = (overlay == color).all(-1).nonzero()
        assert columns.mean() == pytest.approx(85 * zoom, abs=4), color
        assert rows.mean() == pytest.approx(30 * zoom, abs=4), color
        assert np.ptp(columns) == pytest.approx(30 * zoom, abs=12), color
    assert (overlay[:, :100] >= 250).all()  # far from the object there is nothing of either


def test_the_same_is_found_again_and_another_is_refused(
    made: Reconstruction, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    assert find_result(folder, FROM) is None
    save_reconstruction(folder, made, {"made_from": FROM}, turntable=False)
    assert find_result(folder, FROM)["made_from"] == FROM
    with pytest.raises(OtherResultError, match=r"another result \(checkpoint differ\)"):
        find_result(folder, {**FROM, "checkpoint": "cc"})
    old = {"picture": "aa", "checkpoint": "bb"}  # as earlier versions wrote it
    (folder / "result.json").write_text(json.dumps({"made_from": old}))
    assert find_result(folder, FROM) == {"made_from": old}
    (folder / "result.json").write_text(json.dumps({"made_from": [1]}))
    with pytest.raises(OtherResultError, match=r"result\.json is not the result of an image"):
        find_result(folder, FROM)
    (folder / "result.json").unlink()
    with pytest.raises(OtherResultError, match=r"holds no result\.json"):
        find_result(folder, FROM)


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(
    made: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    save_reconstruction(folder, made, {"number": 1}, turntable=False)
    (folder / "more.txt").write_text("of a former one")

    def fail(*_: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr("recon.inference.files.write_json", fail)
        with pytest.raises(OSError, match="full"):
            save_reconstruction(folder, made, {"number": 2}, turntable=False)
    assert json.loads((folder / "result.json").read_text())["number"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    save_reconstruction(folder, made, {"number": 3}, turntable=False)
    assert json.loads((folder / "result.json").read_text())["number"] == 3
    assert not (folder / "more.txt").exists()
