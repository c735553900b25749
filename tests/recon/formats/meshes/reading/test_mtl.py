"""Material libraries: options of maps, opacities in every convention, names."""

from __future__ import annotations

import warnings

import pytest

from recon.formats.meshes.reading.materials import Material
from recon.formats.meshes.reading.mtl import parse_map, read_mtl
from recon.formats.meshes.reading.textured_mesh import CLAMP, REPEAT, MeshWarning


@pytest.mark.parametrize(
    ("words", "name", "options"),
    [
        ("t.png", "t.png", {}),
        ("my wood.png", "my wood.png", {}),
        ("-s 4 4 1 t.png", "t.png", {"-s": ["4", "4", "1"]}),
        ("-s 4 t.png", "t.png", {"-s": ["4"]}),
        ("-o 0.5 .5 -s 2 2 2 my wood.png", "my wood.png", {"-o": ["0.5", ".5"], "-s": ["2"] * 3}),
        ("-clamp on -blendu off t.png", "t.png", {"-clamp": ["on"], "-blendu": ["off"]}),
        ("-bm 0.5 -mm 0 1 t.png", "t.png", {"-bm": ["0.5"], "-mm": ["0", "1"]}),
        ("-imfchan m  t.png", "t.png", {"-imfchan": ["m"]}),
        ("-odd name.png", "-odd name.png", {}),
        ("-s 4 4 1", "", {"-s": ["4", "4", "1"]}),
        ("", "", {}),
    ],
)
def test_options_of_maps(words: str, name: str, options: dict[str, list[str]]) -> None:
    parsed = parse_map(words)
    assert (parsed.name, parsed.options) == (name, options)


def read(folder, text: str, images: tuple[str, ...] = ("t.png", "m.png", "a b.png")) -> Material:
    """The only material of a library, about which nothing is said."""
    store = folder({"m.mtl": f"newmtl m\n{text}", **dict.fromkeys(images, b"")})
    with warnings.catch_warnings():
        warnings.simplefilter("error", MeshWarning)
        return read_mtl(store, "m.mtl")["m"]


def test_places_of_textures(folder) -> None:
    material = read(folder, "map_Kd -s 2 3 1 -o 0.5 0.25 0 -clamp on -mm 0.1 0.5 a b.png")
    assert material.texture == "a b.png"
    assert material.transform == (((2, 0), (0, 3)), (0.5, 0.25))
    assert (material.wrap, material.gain) == ((CLAMP, CLAMP), (0.1, 0.5))
    assert read(folder, "map_Kd t.png # a comment").texture == "t.png"
    plain = read(folder, "map_Kd t.png -s 2 2 2")  # options after the name are left out
    assert (plain.texture, plain.wrap) == ("t.png", (REPEAT, REPEAT))


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("Kd 0.1 0.2 0.3", (0.1, 0.2, 0.3)),
        ("Kd 0.5", (0.5, 0.5, 0.5)),
        ("Kd 0.5 0 0 # red", (0.5, 0, 0)),
        ("Kd spectral file.rfl", (0.7, 0.7, 0.7)),
        ("", (0.7, 0.7, 0.7)),
        ("map_Kd t.png", (1, 1, 1)),
        ("Kd 0 0 0\nKe 1 0.5 0", (1, 0.5, 0)),
        ("Kd 0 0 0\nKe 0 0 0", (0, 0, 0)),
        ("Kd 0.5 0 0\nKe 1 1 1", (0.5, 0, 0)),
    ],
)
def test_colours(folder, text: str, color: tuple[float, float, float]) -> None:
    assert read(folder, text).color == color


def test_what_only_gives_off_light_has_its_texture(folder) -> None:
    assert read(folder, "Kd 0 0 0\nKe 1 1 1\nmap_Ke t.png").texture == "t.png"


@pytest.mark.parametrize(
    ("text", "alpha", "opacity", "mask"),
    [
        ("", 1, "guess", None),
        ("d 0.25", 0.25, "alpha", None),
        ("d -halo 0.25", 0.25, "alpha", None),
        ("Tr 0.75", 0.25, "alpha", None),
        ("d 0.5\nTr 0.5", 0.5, "alpha", None),
        ("d 1\nTr 1", 1, "guess", None),  # the two contradict each other: d counts
        ("d 0\nTr 0", 1, "guess", None),  # and what would hide the material does not
        ("map_d m.png", 1, "guess", "m.png"),
        ("d 0\nmap_d m.png", 1, "guess", "m.png"),
        ("map_d t.png", 1, "alpha", None),  # the texture's own alpha channel
        ("d nonsense", 1, "guess", None),
    ],
)
def test_opacity(folder, text: str, alpha: float, opacity: str, mask: str | None) -> None:
    material = read(folder, f"map_Kd t.png\n{text}")
    assert (material.alpha, material.opacity, material.mask) == (alpha, opacity, mask)


@pytest.mark.parametrize(
    ("values", "alphas"),
    [
        (["Tr 1"], [1]),
        (["Tr 1", "Tr 0.75"], [1, 0.75]),
        (["Tr 1", "Tr 0"], [0, 1]),
        (["Tr 0.75"], [0.25]),
        (["Tr 1", "d 1"], [0, 1]),
        (["Tr 1", ""], [0, 1]),
    ],
)
def test_tr_means_opacity_where_it_can_mean_nothing_else(folder, values, alphas) -> None:
    text = "".join(f"newmtl m{k}\n{value}\n" for k, value in enumerate(values))
    store = folder({"m.mtl": text})
    if max(alphas) == 1 and "Tr 0" not in values and all("Tr" in value for value in values):
        with pytest.warns(MeshWarning, match=r"m\.mtl: Tr of its materials is taken for opacity"):
            materials = read_mtl(store, "m.mtl")
    else:
        materials = read_mtl(store, "m.mtl")
    assert [material.alpha for material in materials.values()] == alphas


def test_missing_images_are_told_to_whom_paints(folder) -> None:
    material = read(folder, "map_Kd C:\\gone.png\nmap_d -s 2 2 2 lost.png")
    assert (material.texture, material.mask) == (None, None)
    assert material.missing == (
        "no file C:\\gone.png (of material m in m.mtl)",
        "no file lost.png (of material m in m.mtl)",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_three_ways(folder, end: str) -> None:
    text = end.join(["# comment", "newmtl a", "\tKd 1 0 0", "newmtl b c", "Kd\t0 1 0", ""])
    materials = read_mtl(folder({"m.mtl": "\ufeff" + text}), "m.mtl")
    assert {name: material.color for name, material in materials.items()} == {
        "a": (1, 0, 0),
        "b c": (0, 1, 0),
    }
