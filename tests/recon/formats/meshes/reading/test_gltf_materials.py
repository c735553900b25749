from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recon.formats.meshes.reading.gltf_container import Container
from recon.formats.meshes.reading.gltf_materials import base_color, paint_triangles, to_srgb
from recon.formats.meshes.reading.materials import Paint

UVS = np.tile([[0.1, 0.1], [0.2, 0.1], [0.1, 0.2]], (2, 1, 1))


def png(mode: str, *columns: tuple[int, ...]) -> bytes:
    image = Image.new(mode, (len(columns), 1))
    image.putdata(columns)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def paint(folder, material: dict[str, Any], image: bytes = b"", linear=None, uvs=UVS) -> Paint:
    document = {
        "asset": {"version": "2.0"},
        "materials": [material],
        "textures": [{"source": 0}, {"extensions": {"EXT_texture_webp": {"source": 0}}}],
        "images": [{"uri": "a.png"}],
    }
    container = Container(folder({"m.gltf": json.dumps(document), "a.png": image}), "m.gltf")
    linear = np.ones((2, 4)) if linear is None else linear
    return paint_triangles(container, base_color(container, 0), linear, uvs)


def textured(index: int = 0, **more: Any) -> dict[str, Any]:
    return {"pbrMetallicRoughness": {"baseColorTexture": {"index": index, **more}}}


def test_srgb_curve() -> None:
    values = np.array([[0, 0.001, 0.2, 0.2], [1, 2, -1, 0.5], [np.nan, 0.5, 0.0031308, 1]])
    wanted = [[0, 0.01292, 0.48453, 0.2], [1, 1, 0, 0.5], [1, 0.73536, 0.04045, 1]]
    assert np.abs(to_srgb(values) - wanted).max() < 1e-5


@pytest.mark.parametrize(
    ("mode", "alpha"), [("OPAQUE", 1.0), ("BLEND", 0.25), ("MASK", 0.25), (None, 1.0)]
)
def test_factors_are_linear_and_opacity_counts_only_when_asked(folder, mode, alpha) -> None:
    material: dict[str, Any] = {"pbrMetallicRoughness": {"baseColorFactor": [0.2, 1, 0, 0.5]}}
    if mode:
        material["alphaMode"] = mode
    linear = np.array([[1, 1, 1, 0.5], [1, 0.2, 1, 0.5]])
    rgba = paint(folder, material, linear=linear, uvs=None)["face_rgba"]
    assert rgba[0].tolist() == pytest.approx([0.48453, 1, 0, alpha], abs=1e-5)
    assert rgba[1].tolist() == pytest.approx([0.48453, 0.48453, 0, alpha], abs=1e-5)


def test_textures_are_srgb_and_multiplied_by_the_factor(folder) -> None:
    material = textured()
    material["pbrMetallicRoughness"]["baseColorFactor"] = [1, 0.2, 1, 1]
    made = paint(folder, material, png("RGB", (100, 200, 50)))
    wanted = np.array([100, 200 * 0.48453, 50, 255])
    assert made["textures"][0][0, 0].tolist() == pytest.approx(wanted, abs=0.51)
    assert made["face_rgba"][0] * 255 == pytest.approx(wanted, abs=0.51)
    assert made["uvs"] is not None
    assert np.abs(made["uvs"][..., 1] - (1 - UVS[..., 1])).max() < 1e-6  # v upwards


def test_opaque_materials_ignore_the_opacity_of_texels(folder) -> None:
    image = png("RGBA", (10, 20, 30, 0), (40, 50, 60, 128))
    opaque = paint(folder, textured(), image)
    assert opaque["textures"][0].tolist() == [[[10, 20, 30, 255], [40, 50, 60, 255]]]
    clear = paint(folder, {**textured(), "alphaMode": "BLEND"}, image)
    assert clear["textures"][0][..., 3].tolist() == [[0, 128]]
    assert clear["face_rgba"][0, 3] == 0


def test_extensions(folder) -> None:
    old = {"diffuseFactor": [0.2, 1, 0, 1], "diffuseTexture": {"index": 1}}
    made = paint(
        folder,
        {"extensions": {"KHR_materials_pbrSpecularGlossiness": old}},
        png("RGB", (255, 255, 255)),
    )
    assert made["face_rgba"][0].tolist() == pytest.approx([0.48453, 1, 0, 1], abs=1e-5)
    place = {"offset": [0.5, 0.25], "scale": [2, 0.5], "texCoord": 1}
    moved = textured(extensions={"KHR_texture_transform": place})
    made = paint(folder, moved, png("RGB", (1, 2, 3)))
    wanted = UVS * [2, 0.5] + [0.5, 0.25]
    assert made["uvs"] is not None
    assert np.abs(made["uvs"][..., 0] - wanted[..., 0]).max() < 1e-6
    assert np.abs(made["uvs"][..., 1] - (1 - wanted[..., 1])).max() < 1e-6


@pytest.mark.parametrize("image", [b"", b"no image"])
def test_unreadable_textures_leave_the_factor(folder, image: bytes) -> None:
    with pytest.warns(UserWarning, match="unreadable"):
        made = paint(folder, textured(), image)
    assert made["face_texture"] is None
    assert made["face_rgba"].tolist() == [[1, 1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("material", "message"),
    [
        ({"pbrMetallicRoughness": {"baseColorFactor": [1, 1]}}, "needs 4 numbers"),
        ({"pbrMetallicRoughness": 1}, "an object is required"),
        (textured(7), "texture 7 does not exist, there are 2"),
    ],
)
def test_malformed_materials(folder, material: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paint(folder, material)
