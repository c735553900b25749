"""The files of a reconstruction: meshes, a turntable, and an overlay on the input image."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from recon.files import SUFFIX, unsynced
from recon.formats.meshes import save_mesh
from recon.formats.resampling import PixelMap
from recon.inference.input_images import InputImage
from recon.inference.reconstruct import Reconstruction
from recon.rendering.renderer import SoftRenderer
from recon.runs.directory import read_json, write_json
from recon.runs.results import OtherResultError, refuse_other_result
from recon.visualization.animation import save_animation
from recon.visualization.draw import draw_mesh, save_png, to_pixels
from recon.visualization.turntable import turntable_cameras

RESULT = "result.json"
# Frames, pixels along a side and samples of a pixel's side: a hundred of them must be quick.
FRAMES, FRAME_SIDE, SAMPLES = 20, 128, 2
# Seconds of one turn.
TURN = 3.0
# Sides of overlays, the longer one in pixels.
OVERLAY_SIDE = 320
PREDICTED = (255, 120, 0)
MASKED = (0, 120, 255)
PALE = 0.4
# Softness of the silhouette on the overlay, squared NDC units: below a pixel.
_SIGMA = 1e-7


def find_result(folder: Path, made_from: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the result in a folder if it was made from the same, and None if there is none.

    Args:
        folder: The result folder of one image.
        made_from: Plain data that determine the result.

    Raises:
        OtherResultError: The folder holds another result; the message names the difference.
    """
    if not folder.exists():
        return None
    path = folder / RESULT
    if not path.is_file():
        raise OtherResultError(f"{folder} exists and holds no {RESULT}; choose another output")
    result = read_json(path)
    made = result.get("made_from") or {}
    if not isinstance(made, Mapping):
        raise OtherResultError(f"{path} is not the result of an image; choose another --output")
    before = dict(made)
    if "picture" in before:  # the key of earlier versions
        before["image"] = before.pop("picture")
    refuse_other_result(folder, before, made_from, output="--output", overwrite="--overwrite")
    return result


def save_reconstruction(
    folder: Path, made: Reconstruction, facts: Mapping[str, Any], turntable: bool = True
) -> list[Path]:
    """Writes a folder of one image, which appears under its name only when it is complete.

    Args:
        folder: The folder, which gets mesh.glb, mesh.obj, overlay.png, turntable.gif, result.json
            and, where the mask is an estimate, mask.png; an existing folder is replaced.
        made: The reconstruction that is written.
        facts: Plain data that result.json holds besides those of the reconstruction.
        turntable: Whether the animation is drawn, which takes most of the time.

    Returns:
        The files.

    Raises:
        OSError: A file could not be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}{SUFFIX}")
    shutil.rmtree(staging, ignore_errors=True)  # of a process which was killed
    staging.mkdir()
    try:
        with unsynced():  # which would take longer than all the rest
            _write(staging, made, facts, turntable)
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(folder.iterdir())


def _write(folder: Path, made: Reconstruction, facts: Mapping[str, Any], turntable: bool) -> None:
    mesh, colors = made.model_mesh()
    for suffix in (".glb", ".obj"):
        save_mesh(folder / f"mesh{suffix}", mesh, colors)
    save_png(folder / "overlay.png", Image.fromarray(draw_overlay(made)), optimize=False)
    if made.image.mask == "estimated":
        rgba = np.ascontiguousarray(made.image.rgba.transpose(1, 2, 0))
        save_png(folder / "mask.png", Image.fromarray(rgba), optimize=False)
    if turntable:
        images = draw_mesh(made.world, turntable_cameras(FRAMES), FRAME_SIDE, made.colors, SAMPLES)
        save_animation(folder / "turntable.gif", list(to_pixels(images)), TURN, TURN / FRAMES)
    write_json(folder / RESULT, {**facts, **_facts(made)})


def _facts(made: Reconstruction) -> dict[str, Any]:
    """Returns what is known of a reconstruction, as plain data."""
    azimuth, elevation, distance = made.camera.orbit_parameters()[0, :3].tolist()
    return {
        "mask": made.image.mask,
        "notes": list(made.image.notes),
        "fill": made.fill,
        "view": made.view,
        "outline_fit": made.fit,
        "outline_iou": made.iou,
        "azimuth": azimuth,
        "elevation": elevation,
        "distance": distance,
        "vertices": made.world.num_vertices,
        "faces": made.world.num_faces,
    }


def draw_overlay(made: Reconstruction) -> NDArray[np.uint8]:
    """Draws the predicted silhouette over the input: area and border in orange, the mask's in blue.

    The camera looks from the direction found for the image, see `recon.inference.viewpoint_search`.

    Returns:
        [H, W, 3], the longer side of `OVERLAY_SIDE` pixels.
    """
    height, width = made.image.rgba.shape[1:]
    zoom = OVERLAY_SIDE / max(height, width)
    size = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    shown, mask = _enlarged(made.image, size)
    # Pixel centres are at integers, so borders of the enlarged image lie at -0.5 as before.
    along = (size[1] / width, size[0] / height)
    enlarging = PixelMap(along, (along[0] / 2 - 0.5, along[1] / 2 - 0.5))
    back = made.cutout.pixels.inverse().then(enlarging)
    cut_height, cut_width = made.cutout.image.shape[1:]
    camera = back.cameras(made.camera, (cut_height, cut_width), size)
    drawn = SoftRenderer(size, sigma=_SIGMA).silhouette(
        made.world.vertices[None], made.world.faces, camera
    )
    inside = (drawn[0] > 0.5).numpy()
    shown[inside] = (0.65 * shown[inside] + 0.35 * np.array(PREDICTED)).astype(np.uint8)
    shown[_border(mask)] = MASKED
    shown[_border(inside)] = PREDICTED
    return shown


def _enlarged(
    image: InputImage, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns an image over white [H, W, 3], and where it is the object, at another size.

    What is outside of an estimated or given mask stays visible, in pale colours.
    """
    pixels = image.rgba.transpose(1, 2, 0).astype(np.float32)
    # What a transparent pixel is painted with is nobody's image.
    weight = np.maximum(pixels[..., 3:] / 255, 0.0 if image.mask == "alpha channel" else PALE)
    pale = pixels[..., :3] * weight + 255 * (1 - weight)
    layers = [Image.fromarray(array.astype(np.uint8)) for array in (pale, pixels[..., 3])]
    large, mask = (layer.resize(size[::-1], Image.Resampling.BICUBIC) for layer in layers)
    return np.array(large), np.asarray(mask) > 127


def _border(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return inside & ~ndimage.binary_erosion(inside, np.ones((3, 3)), iterations=2)
