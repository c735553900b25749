"""Views: an image with its mask, wherever that lies; the same image at every door."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.fitting.pose.files import read_camera_image
from recon.fitting.viewpoint.run import read_image
from recon.formats.cameras.frame import Frame
from recon.formats.stores import FolderStore
from recon.formats.views import find_mask, is_mask_name, read_masked_image, read_view
from recon.inference.input_images import take_image

CASES = Path(__file__).parent / "images"
BY_ANGLE = {"fov": np.array(40.0)}
CALIBRATED = {"K": np.array([[50.0, 0, 40], [0, 50, 60], [0, 0, 1]])}


def save(path: Path, inside: np.ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(inside * np.uint8(255)).convert(mode).save(path)


@pytest.mark.parametrize(
    "name",
    [
        "images/mask/a.png",
        "images/masks/a.jpg",
        "images/masks/a.jpg.png",
        "images/a_mask.png",
        "images/a_mask.jpeg",
        "mask/a.webp",
        "masks/a.jpg.png",
    ],
)
def test_masks_are_found_beside_their_images(tmp_path: Path, name: str) -> None:
    inside = np.zeros((20, 30), bool)
    inside[5:15, 8:20] = True
    save(tmp_path / "images" / "a.jpg", ~inside, "RGB")
    save(tmp_path / "images" / "b.jpg", ~inside, "RGB")
    save(tmp_path / name, inside)
    store = FolderStore(tmp_path)
    assert find_mask(store, "images/a.jpg") == name
    assert find_mask(store, "images/b.jpg") is None
    assert is_mask_name(name)
    assert not is_mask_name("images/a.jpg")
    view = read_view(store, Frame("images/a.jpg", None, {}, CALIBRATED))
    assert view.source == "mask"
    assert ((view.rgba[3] > 127) == inside).all()


def test_a_mask_is_estimated_only_when_that_is_asked_for(tmp_path: Path) -> None:
    inside = np.zeros((40, 60), bool)
    inside[10:30, 20:40] = True
    save(tmp_path / "a.png", ~inside, "RGB")
    frame = Frame("a.png", None, {}, BY_ANGLE)
    with pytest.raises(ValueError, match=r"add mask/a\.png beside it.*mask=plain"):
        read_view(FolderStore(tmp_path), frame)
    view = read_view(FolderStore(tmp_path), frame, "plain")
    assert view.source == "estimated"
    assert ((view.rgba[3] > 127) == inside).all()
    with pytest.raises(ValueError, match=r"a\.png has no transparent pixels.*mask=plain"):
        read_masked_image(tmp_path / "a.png")
    assert read_masked_image(tmp_path / "a.png", "plain").source == "estimated"


def test_a_turned_image_is_the_same_at_every_door(caplog: pytest.LogCaptureFixture) -> None:
    """Where an angle of view is the camera, images are as they are seen, masks too."""
    image, mask = CASES / "exif_6.jpg", CASES / "upright_mask.png"
    upright = np.asarray(Image.open(mask))
    whole = read_camera_image(image, mask, 40.0).whole
    assert whole.shape[1:] == upright.shape
    assert ((whole[3] > 127) == (upright > 127)).all()
    for rgba in (
        take_image(image, mask).rgba,
        take_image(Image.open(image), Image.open(mask)).rgba,
        take_image(image.read_bytes(), upright).rgba,
        (read_image(image, mask) * 255).round().byte().numpy(),
        read_view(FolderStore(CASES), Frame(image.name, mask.name, {}, BY_ANGLE)).rgba,
    ):
        assert (rgba == whole).all()
    assert not caplog.messages


def test_stored_pixels_are_kept_for_calibrated_cameras_with_a_note() -> None:
    frame = Frame("exif_6.jpg", "upright_mask.png", {}, CALIBRATED)
    view = read_view(FolderStore(CASES), frame)
    upright = read_view(FolderStore(CASES), Frame("exif_6.jpg", frame.mask, {}, BY_ANGLE))
    assert (np.rot90(view.rgba, -1, (1, 2)) == upright.rgba).all()
    assert "EXIF orientation is 6" in view.notes[0]
    intrinsics = [50.0, 50.0, 40.0, 60.0]
    stored = read_camera_image(CASES / "exif_6.jpg", CASES / frame.mask, 40.0, intrinsics)
    assert (stored.whole == view.rgba).all()


def test_sixteen_bits_and_one_faint_pixel_at_every_door(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("grey16.png", "alpha_one_pixel_254.png"):
        path = CASES / name
        by_path, by_pil = take_image(path), take_image(Image.open(path))
        assert by_path.mask == "estimated"
        assert "estimate" in by_path.notes[0]
        assert (by_path.rgba == by_pil.rgba).all()
        with caplog.at_level(logging.WARNING):
            fitted = read_masked_image(path, "plain")
        assert f"{name}: the mask is an estimate" in caplog.text
        assert (fitted.rgba == by_path.rgba).all()
        inside = by_path.rgba[3] > 127
        colors = by_path.rgba[:3].mean(0)
        assert colors[inside].mean() + 50 < colors[~inside].mean()  # dark on light
