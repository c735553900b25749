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
from recon.formats.meshes.reading.textured_mesh import CLAMP, MIRROR, REPEAT

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
    ("mode", "alpha"), [("OPAQUE", 1.0), ("BLEND", 0.25), ("MASK", 0.0), (None, 1.0)]
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
    with pytest.warns(UserWarning, match="texture 0 is not a"):
        made = paint(folder, textured(), image)
    assert made["face_texture"] is None
    assert made["face_rgba"].tolist() == [[1, 1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("material", "message"),
    [
        ({"pbrMetallicRoughness": {"baseColorFactor": [1, 1]}}, "needs 4 numbers"),
        ({"pbrMetallicRoughness": 1}, "an object is required"),
        (textured(7), "texture 7 does not exist, there are 2"),
        (textured(extensions=3), "an object `extensions` is required, got '3'"),
        (textured(extensions={"KHR_texture_transform": 1}), "an object KHR_texture_transform is"),
        (
            textured(extensions={"KHR_texture_transform": {"scale": "x"}}),
            "KHR_texture_transform is malformed",
        ),
        (
            textured(extensions={"KHR_texture_transform": {"rotation": float("inf")}}),
            "KHR_texture_transform must be finite",
        ),
    ],
)
def test_malformed_materials(folder, material: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paint(folder, material)


@pytest.mark.parametrize(
    ("angle", "scale", "offset"), [(0.3, (1, 1), (0, 0)), (-1.2, (2, 0.5), (0.3, 0.1))]
)
def test_texture_coordinates_are_scaled_then_rotated_then_shifted(
    folder, angle: float, scale: tuple[float, float], offset: tuple[float, float]
) -> None:
    """Counter-clockwise on an image whose rows go down: (1, 0) goes towards (0, -1)."""
    place = {"rotation": angle, "scale": scale, "offset": offset}
    made = paint(
        folder, textured(extensions={"KHR_texture_transform": place}), png("RGB", (9, 9, 9))
    )
    scaled = UVS * scale
    cos, sin = np.cos(angle), np.sin(angle)
    u = cos * scaled[..., 0] + sin * scaled[..., 1] + offset[0]
    v = -sin * scaled[..., 0] + cos * scaled[..., 1] + offset[1]
    assert made["uvs"] is not None
    wanted = np.stack([u, 1 - v], axis=-1)
    wanted -= np.floor(wanted.min(axis=1, keepdims=True))
    assert np.abs(made["uvs"] - wanted).max() < 1e-6


@pytest.mark.parametrize(
    ("sampler", "wraps"),
    [
        ({}, ()),
        ({"wrapS": 10497, "wrapT": 10497}, ()),
        ({"wrapS": 33071}, ((CLAMP, REPEAT),)),
        ({"wrapT": 33648}, ((REPEAT, MIRROR),)),
        ({"wrapT": "odd"}, ()),
    ],
)
def test_samplers_say_how_textures_go_on(folder, sampler: dict[str, Any], wraps) -> None:
    document = {
        "asset": {"version": "2.0"},
        "materials": [textured()],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [sampler],
        "images": [{"uri": "a.png"}],
    }
    files = {"m.gltf": json.dumps(document), "a.png": png("RGB", (1, 2, 3))}
    container = Container(folder(files), "m.gltf")
    made = paint_triangles(container, base_color(container, 0), np.ones((2, 4)), UVS)
    assert made["texture_wraps"] == wraps


def test_what_only_gives_off_light_has_the_colour_of_that(folder) -> None:
    dark = {"baseColorFactor": [0, 0, 0, 1]}
    lamp = {"pbrMetallicRoughness": dark, "emissiveFactor": [1, 0.2, 0]}
    assert paint(folder, lamp)["face_rgba"][0].tolist() == pytest.approx(
        [1, 0.48453, 0, 1], abs=1e-5
    )
    screen = {**lamp, "emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": 0}}
    made = paint(folder, screen, png("RGB", (10, 20, 30)))
    assert made["textures"][0][0, 0].tolist() == [10, 20, 30, 255]
    lit = {**lamp, "pbrMetallicRoughness": {"baseColorFactor": [0.2, 0, 0, 1]}}
    assert paint(folder, lit)["face_rgba"][0, 0] == pytest.approx(0.48453, abs=1e-5)


@pytest.mark.parametrize(("cutoff", "alphas"), [(None, [0, 255]), (0.9, [0, 0]), (0.1, [255, 255])])
def test_masks_are_holes_or_solid(folder, cutoff: float | None, alphas: list[int]) -> None:
    material = {**textured(), "alphaMode": "MASK"}
    if cutoff is not None:
        material["alphaCutoff"] = cutoff
    made = paint(folder, material, png("RGBA", (10, 20, 30, 77), (40, 50, 60, 200)))
    assert made["textures"][0][0, :, 3].tolist() == alphas


def test_missing_images_are_named_with_their_material(folder) -> None:
    document = {
        "asset": {"version": "2.0"},
        "materials": [{**textured(), "name": "skin"}, {**textured(1), "name": "hair"}],
        "textures": [{"source": 0}, {}],
        "images": [{"uri": "folder/gone%20one.png"}],
    }
    container = Container(folder({"m.gltf": json.dumps(document)}), "m.gltf")
    for row, words in ((0, r"no file folder/gone%20one\.png \(of material skin"), (1, "hair")):
        with pytest.warns(UserWarning, match=words):
            made = paint_triangles(container, base_color(container, row), np.ones((2, 4)), UVS)
        assert made["face_rgba"].tolist() == [[1, 1, 1, 1]] * 2
