"""Files that a mesh file names, wherever the machine that wrote it had them."""

from __future__ import annotations

import pytest

from recon.formats.meshes.reading.companions import find_companion


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("wood.png", "m/wood.png"),
        ("WOOD.PNG", "m/wood.png"),
        ("../other/stone.png", "other/stone.png"),
        (r"..\\other\\stone.png", "other/stone.png"),
        (r"C:\\Users\\me\\wood.png", "m/wood.png"),
        ("/home/me/wood.png", "m/wood.png"),
        (r"\\\\server\\share\\wood.png", "m/wood.png"),
        ("gone/wood.png", "m/wood.png"),
        ('"two words.png"', "m/textures/two words.png"),
        ("two%20words.png", "m/textures/two words.png"),
        ("gru\u0308n.png", "m/gr\u00fcn.png"),
        ("stone.png", None),
        ("", None),
        ("folder/", None),
    ],
)
def test_names_as_they_are_written(folder, written: str, found: str | None) -> None:
    names = ["m/m.obj", "m/wood.png", "m/textures/two words.png", "m/gr\u00fcn.png"]
    store = folder(dict.fromkeys([*names, "other/stone.png"], b""))
    assert find_companion(store, "m/m.obj", written.replace("\\\\", "\\")) == found


def test_other_folders_may_be_looked_into(folder) -> None:
    store = folder({"models/m.3ds": b"", "textures/a.tga": b""})
    assert find_companion(store, "models/m.3ds", "a.tga") is None
    assert find_companion(store, "models/m.3ds", "a.tga", ["../textures"]) == "textures/a.tga"
