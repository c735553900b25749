"""Small files after public reports of readers that get them wrong, and what is right.

The folder `cases` holds them; all meshes without a note are a cube of side 2 or a tetrahedron of
side 1. `modelnet_layout` is read in the tests of the source `folder`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from recon.formats.meshes import read_mesh, read_textured_mesh
from recon.formats.meshes.reading.materials import SAMPLES
from recon.formats.meshes.reading.textured_mesh import CLAMP, TexturedMesh
from recon.formats.stores import DiskStore

CASES = Path(__file__).parent / "cases"


def read(name: str) -> tuple[TexturedMesh, list[str]]:
    """A case, and what is said about it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        surface = read_textured_mesh(DiskStore(), str(CASES / name))
    return surface, [str(warning.message) for warning in caught]


def signed_volume(surface: TexturedMesh) -> float:
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def mean_color(surface: TexturedMesh) -> list[float]:
    return surface.face_rgba[:, :3].mean(axis=0).tolist()


@pytest.mark.parametrize(
    "name", ["absolute_path", "bom_obj", "utf8_texture", "no_usemtl", "tr1_meshlab"]
)
def test_cubes_whose_texture_counts(name: str) -> None:
    surface, notes = read(f"{name}/m.obj")
    assert (len(surface.vertices), surface.num_faces) == (8, 12)
    assert signed_volume(surface) == pytest.approx(8)
    assert surface.textured.all()
    assert (surface.face_rgba[:, 3] == 1).all()
    assert len(notes) == (1 if name == "tr1_meshlab" else 0)
    assert all("m.obj" in note and "Tr" in note for note in notes)


def test_options_of_maps_repeat_the_texture() -> None:
    surface, _ = read("scale_option/m.obj")
    assert surface.uvs is not None
    assert np.ptp(surface.uvs, axis=(0, 1)).tolist() == [4, 4]


def test_a_map_of_opacity_cuts_holes() -> None:
    surface, notes = read("map_d/m.obj")
    assert not notes
    (texture,) = surface.textures
    assert texture[..., 3].tolist() == [
        [255 if 2 <= row < 6 and 2 <= column < 6 else 0 for column in range(8)] for row in range(8)
    ]
    assert surface.cleaned().num_faces == 12  # in each the part that is left is seen


def test_gloss_in_an_alpha_channel_is_no_opacity() -> None:
    surface, notes = read("gloss_in_alpha.obj")
    assert surface.cleaned().num_faces == 128
    assert all((texture[..., 3] == 255).all() for texture in surface.textures)
    assert len(notes) == 1
    assert "gloss_in_alpha.png is not taken for opacity" in notes[0]


def test_missing_textures_are_named_with_their_material() -> None:
    surface, notes = read("missing_texture.obj")
    assert not surface.textured.any()
    assert len(notes) == 1
    assert "missing_texture.obj: no file nowhere.png (of material m" in notes[0]


def test_no_opacity_was_meant_by_zero_on_every_face() -> None:
    surface, notes = read("off_alpha0.off")
    assert surface.cleaned().num_faces == 2
    assert mean_color(surface) == [0, 1, 0]
    assert len(notes) == 1
    assert "off_alpha0.off: every face would be invisible by alpha of its colours" in notes[0]


def test_solid_may_begin_a_binary_file_of_any_length() -> None:
    surface, _ = read("solid_trailing.stl")
    assert surface.num_faces == 12
    assert signed_volume(surface) == pytest.approx(8)


def test_both_sides_of_coincident_faces_are_read() -> None:
    surface, _ = read("two_sided.obj")
    assert surface.num_faces == 8
    assert len(np.unique(surface.face_rgba, axis=0)) == 2


def test_strips_of_triangles() -> None:
    surface, _ = read("tristrips.ply")
    # Four corners and a -1 that ends the strip: two triangles, wound alike.
    assert surface.faces.tolist() == [[0, 1, 2], [3, 2, 1]]


def test_end_header_in_a_comment_is_a_comment() -> None:
    surface, _ = read("end_header_comment.ply")
    assert surface.num_faces == 2  # one quad


def test_a_mirroring_node_turns_faces_round() -> None:
    surface, _ = read("glb/negative_scale.glb")
    assert signed_volume(surface) == pytest.approx(8)


def test_instances_are_shown() -> None:
    surface, _ = read("glb/required_instancing.glb")
    assert surface.num_faces == 36
    assert signed_volume(surface) == pytest.approx(24)


def test_texels_under_the_cutoff_are_holes() -> None:
    surface, _ = read("glb/alpha_mask.glb")
    assert surface.face_rgba[:, 3].tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"alpha_mask\.glb: the model has no visible faces"):
        read_mesh(CASES / "glb/alpha_mask.glb")


def test_a_sampler_may_clamp() -> None:
    surface, _ = read("glb/wrap_clamp.glb")
    assert surface.texture_wraps == ((CLAMP, CLAMP),)
    assert surface.uvs is not None
    assert np.ptp(surface.uvs, axis=(0, 1)).tolist() == [2, 2]
    # A board of four squares, two of them white, whose borders go on over a square of side 2.
    for uvs, rgba in zip(surface.uvs, surface.face_rgba, strict=True):
        u, v = (SAMPLES @ uvs).T.clip(0, 1)
        assert rgba[0] == pytest.approx(((u < 0.5) == (1 - v < 0.5)).mean())


def test_joints_place_a_skinned_mesh() -> None:
    surface, _ = read("glb/gltf_skin.gltf")
    assert surface.vertices.tolist() == [[5, 0, 0], [6, 0, 0], [5, 1, 0], [6, 1, 0]]


def test_whole_numbers_may_be_written_as_decimal_ones() -> None:
    surface, _ = read("glb/gltf_integer_as_float.gltf")
    assert surface.num_faces == 2


def test_malformed_extensions_are_named() -> None:
    with pytest.raises(ValueError, match=r"bad_extension\.gltf: .*KHR_texture_transform.*'x'"):
        read("glb/gltf_bad_extension.gltf")
