from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon.formats.meshes.reading.off import read_off

SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"


@pytest.mark.parametrize(
    "content",
    [
        f"OFF\n4 1 0\n{SQUARE}4 0 1 2 3\n",
        f"OFF 4 2 0\n{SQUARE}3 0 1 2\n3  0 2 3\n",
        f"OFF4 2 0\n{SQUARE}3 0 1 2\n3 0 2 3\n",
        f"# a comment\nOFF # square\n\n4 1\n{SQUARE}\n4 0 1 2 3 # the face\n",
        f"off\r\n4 1 4\r\n{SQUARE}4 0 1 2 3",
    ],
)
def test_forms_of_one_square(folder, content: str) -> None:
    surface = read_off(folder({"m.off": content}), "m.off")
    assert surface.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert surface.face_rgba[0].tolist() == pytest.approx([0.7, 0.7, 0.7, 1])


@pytest.mark.parametrize(
    "content",
    [
        f"OFF 4 1 0 {SQUARE} 4 0 1 2 3".replace("\n", " "),
        "OFF\n4\n1\n0\n" + f"{SQUARE}4 0 1 2 3".replace(" ", "\n"),
        "OFF\n4 1\n" + f"{SQUARE}4 0 1 2 3".replace("\n", " "),
        f"4 1 0\n{SQUARE}4 0 1 2 3\n",  # without the keyword
        f"OFF\r4 1 0\r{SQUARE}4 0 1 2 3\r".replace("\n", "\r"),
        f"\ufeffOFF\n4 1 0\n{SQUARE}4 0 1 2 3\n",
        f"OFF\n5 1 0\n{SQUARE}-nan(ind) 0 0\n4 0 1 2 3\n",
    ],
)
def test_free_forms_of_one_square(folder, content: str) -> None:
    surface = read_off(folder({"m.off": content}), "m.off")
    assert surface.vertices[:4].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(("scale", "end"), [(255, ""), (1, ".0")])
def test_free_form_with_colours_of_vertices(folder, scale: int, end: str) -> None:
    color = f" {scale}{end} 0{end} 0{end} {scale}{end} "
    words = "".join(f"{line}{color}" for line in SQUARE.splitlines())
    surface = read_off(folder({"m.off": f"COFF 4 1 0 {words} 4 0 1 2 3"}), "m.off")
    assert surface.face_rgba.tolist() == [[1, 0, 0, 1]] * 2


@pytest.mark.parametrize("color", [(), (3,), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.5)])
def test_binary_files(folder, color: tuple[float, ...]) -> None:
    rows = np.array(SQUARE.split(), ">f4").tobytes()
    faces = (
        np.array([4, 0, 1, 2, 3, len(color)], ">i4").tobytes() + np.array(color, ">f4").tobytes()
    )
    content = b"OFF BINARY\n" + np.array([4, 1, 0], ">i4").tobytes() + rows + faces
    surface = read_off(folder({"m.off": content}), "m.off")
    assert surface.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    alpha = color[3] if len(color) == 4 else 1
    wanted = [0, 1, 0, alpha] if len(color) >= 3 else [0.7, 0.7, 0.7, 1]
    assert surface.face_rgba[0].tolist() == pytest.approx(wanted)
    for cut in range(12, len(content)):
        with pytest.raises(ValueError, match=r"three counts|claims 4 vertices|ends after 0 of 1"):
            read_off(folder({"m.off": content[:cut]}), "m.off")


def test_binary_colours_of_vertices(folder) -> None:
    positions = np.array(SQUARE.split(), np.float32).reshape(4, 3)
    rows = np.concatenate([positions, np.tile([0, 0, 1, 1], (4, 1))], axis=1).astype(">f4")
    faces = np.array([3, 0, 1, 2, 0], ">i4").tobytes()
    content = b"COFF BINARY\r\n" + np.array([4, 1, 0], ">i4").tobytes() + rows.tobytes() + faces
    surface = read_off(folder({"m.off": content}), "m.off")
    assert surface.face_rgba.tolist() == [[0, 0, 1, 1]]


def test_file_of_another_writer(folder) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1)
    surface = read_off(folder({"m.off": mesh.export(None, "off")}), "m.off")
    assert np.abs(surface.vertices - mesh.vertices).max() < 1e-9
    assert surface.faces.tolist() == mesh.faces.tolist()


@pytest.mark.parametrize(
    ("keyword", "before", "after"),
    [("COFF", "", ""), ("CNOFF", "0 0 1 ", ""), ("NCOFF", "0 0 1 ", ""), ("STCOFF", "", " 0.5 1")],
)
@pytest.mark.parametrize("color", ["255 0 51", "255 0 51 255", "1.0 0.0 0.2", "1.0 0.0 0.2 1.0"])
def test_colours_of_vertices(folder, keyword: str, before: str, after: str, color: str) -> None:
    rows = "".join(f"{line} {before}{color}{after}\n" for line in SQUARE.splitlines())
    surface = read_off(folder({"m.off": f"{keyword}\n4 1 0\n{rows}4 0 1 2 3\n"}), "m.off")
    assert surface.face_rgba.ravel().tolist() == pytest.approx([1, 0, 0.2, 1] * 2)


def test_colours_of_faces(folder) -> None:
    content = f"OFF\n4 2 0\n{SQUARE}4 0 1 2 3 255 0 0\n3 0 1 2 0 0 255 51\n"
    surface = read_off(folder({"m.off": content}), "m.off")
    wanted = [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0.2]]
    assert surface.face_rgba.ravel().tolist() == pytest.approx(np.ravel(wanted).tolist())


def test_rows_of_a_colour_map_are_not_colours(folder) -> None:
    content = f"OFF\n4 2 0\n{SQUARE}3 0 1 2 7\n3 0 2 3\n"
    surface = read_off(folder({"m.off": content}), "m.off")
    assert surface.face_rgba.ravel().tolist() == pytest.approx([0.7, 0.7, 0.7, 1] * 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not an OFF file"),
        ("ply\n", "not an OFF file"),
        ("OFFER\n1 1 0\n", "not an OFF file"),
        ("OFF BINARY\n", "must begin with three counts"),
        ("4OFF\n1 1 0\n0 0 0 1\n", "only OFF files with three coordinates .* got 4OFF"),
        ("OFF\n", "numbers of vertices and faces are required, got ''"),
        ("OFF\n-4 1 0\n", "numbers of vertices and faces are required, got '-4 1 0'"),
        (
            f"OFF\n4 2000000000 0\n{SQUARE}",
            "claims 4 vertices and 2000000000 faces, but 12 ",
        ),
        (f"OFF\n4 2 0\n{SQUARE}3 0 1 2\n", "ends after 1 of 2 faces"),
        (f"OFF\n4 1 0\n{SQUARE}2000000000 0 1 2\n", "a face claims 2000000000 corners"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1\n", "a face claims 3 corners: '3 0 1'"),
        (f"OFF\n4 1 0\n{SQUARE}-3 0 1 2\n", "a face claims -3 corners"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1 4\n", "names vertex 4 .* of 4 vertices"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1 -1\n", "names vertex -1"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1 x\n", "invalid literal"),
        (f"OFF\n4 1 0\n{SQUARE.replace('1 1 0', '1 1')}3 0 1 2\n", "needs 3 numbers, got '1 1'"),
        (f"OFF\n4 1 0\n{SQUARE.replace('1 1 0', '1 x 0')}3 0 1 2\n", "number is required, got 'x'"),
        (f"OFF\n4 1 0\n{SQUARE.replace('1 1 0', '1 nan 0')}3 0 1 2\n", "not a finite number"),
    ],
)
def test_malformed_files(folder, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_off(folder({"m.off": content}), "m.off")
