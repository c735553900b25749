"""Random scenes, written in every format as other programs may write them, are read as they are.

What is written here is written by hand, so that writer and reader share no mistake.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from recon.formats.meshes import read_mesh, read_textured_mesh, save_mesh
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import DiskStore
from recon.geometry.meshes import Mesh

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
# Names of files and materials: letters of several scripts, spaces, and what shells dislike.
NAMES = st.text(st.sampled_from("aZ0_-.()[]'&= éøß椅"), min_size=1, max_size=12).map(
    lambda name: f"n{name.strip()}x"
)
OPACITIES = ("d {0:.6f}", "Tr {1:.6f}", "d {0:.6f}\nTr {1:.6f}", "d -halo {0:.6f}")
KINDS = ("obj", "ply", "off", "stl", "glb", "gltf", "ac", "3ds", "md2", "md3")
EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True, eq=False)
class Scene:
    """Triangles with a colour and an opacity each; colours are shares of 255."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    rgba: NDArray[np.float64]

    @property
    def corners(self) -> NDArray[np.float32]:
        return self.vertices[self.faces]


@st.composite
def scenes(draw: st.DrawFn, alpha: bool = True) -> Scene:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count, faces = draw(st.integers(3, 12)), draw(st.integers(1, 8))
    vertices = rng.uniform(-10, 10, (count, 3)) * 10.0 ** draw(st.integers(-4, 4))
    rows = np.array([rng.permutation(count)[:3] for _ in range(faces)])
    rgba = rng.integers(30, 256, (faces, 4)) / 255
    if not alpha:
        rgba[:, 3] = 1
    return Scene(vertices.astype(np.float32), rows.astype(np.int64), rgba)


def read_file(name: str, files: dict[str, bytes]) -> TexturedMesh:
    """Write files into a folder and read one of them; nothing may be said about it."""
    with tempfile.TemporaryDirectory() as folder:
        for leaf, content in files.items():
            (Path(folder) / leaf).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_textured_mesh(DiskStore(), f"{folder}/{name}")


def check(surface: TexturedMesh, scene: Scene, tolerance: float = 1e-6) -> None:
    """The same triangles in the same order, with the same colours."""
    corners = surface.vertices[surface.faces].astype(np.float32)
    np.testing.assert_array_equal(corners, scene.corners)
    np.testing.assert_allclose(surface.face_rgba, scene.rgba, atol=tolerance)


def numbers(values: NDArray[np.floating] | list[float]) -> str:
    return " ".join(f"{value:.9g}" for value in np.asarray(values).tolist())


@EXAMPLES
@given(
    scene=scenes(),
    end=ENDS,
    encoding=ENCODINGS,
    names=st.lists(NAMES, min_size=8, max_size=8, unique_by=str.casefold),
    library=NAMES,
    opacity=st.sampled_from(
        ["d {0:.6f}", "Tr {1:.6f}", "d {0:.6f}\nTr {1:.6f}", "d -halo {0:.6f}"]
    ),
    relative=st.booleans(),
    comment=st.sampled_from(["", "# a comment", "  # \x85\u2028 "]),
)
def test_obj(scene, end, encoding, names, library, opacity, relative, comment) -> None:
    materials, lines = ["# materials"], [comment, f"mtllib C:\\somewhere\\{library}.mtl"]
    for row, color in enumerate(scene.rgba):
        materials += [f"newmtl {names[row]}", f"Kd {numbers(color[:3])}"]
        # A second material keeps `Tr` what it says: transparency.
        materials += opacity.format(color[3], 1 - color[3]).split("\n")
    materials += ["newmtl another", "Tr 0"]
    lines += [f"v {numbers(vertex)}" for vertex in scene.vertices]
    count = len(scene.vertices)
    for row, face in enumerate(scene.faces.tolist()):
        lines.append(f"usemtl {names[row]}")
        corners = [k - count if relative else k + 1 for k in face]
        lines.append(f"f {corners[0]}// {corners[1]} \\{end}{corners[2]}" if row else
                     f"f {corners[0]} {corners[1]} {corners[2]} # the first")  # fmt: skip
    files = {"m.obj": lines, f"{library}.mtl": materials}
    encoded = {name: end.join([*text, ""]).encode(encoding) for name, text in files.items()}
    check(read_file("m.obj", encoded), scene)


@EXAMPLES
@given(
    scene=scenes(alpha=False),
    image=NAMES,
    folder=st.sampled_from(["", "C:\\Users\\me\\", "/home/me/", "gone/"]),
    scale=st.sampled_from([(1.0, 1.0), (4.0, 2.0), (0.5, -1.0)]),
    offset=st.sampled_from([(0.0, 0.0), (0.25, 0.75)]),
    options=st.sampled_from(["", "-blendu on -mm 0 1 ", "-texres 64 "]),
)
def test_options_of_textures(scene, image, folder, scale, offset, options) -> None:
    rng = np.random.default_rng(len(scene.vertices))
    pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    places = (f"-s {numbers([*scale, 1])} " if scale != (1, 1) else "") + (
        f"-o {numbers([*offset, 0])} " if any(offset) else ""
    )
    uvs = rng.uniform(-1, 2, (len(scene.faces), 3, 2))
    lines = ["mtllib m.mtl", *(f"v {numbers(vertex)}" for vertex in scene.vertices), "usemtl m"]
    lines += [f"vt {u:.9g} {v:.9g}" for u, v in uvs.reshape(-1, 2)]
    for row, face in enumerate(scene.faces.tolist()):
        lines.append("f " + " ".join(f"{k + 1}/{3 * row + c + 1}" for c, k in enumerate(face)))
    mtl = f"newmtl m\nKd 1 1 1\nmap_Kd {places}{options}{folder}{image}.png\n"
    files = {"m.obj": "\n".join(lines).encode(), "m.mtl": mtl.encode()}
    surface = read_file("m.obj", {**files, f"{image}.png": stream.getvalue()})
    assert surface.uvs is not None
    wanted = uvs * scale + offset
    shift = surface.uvs - wanted
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-5)  # whole repetitions apart
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-5)
    assert surface.textured.all()
    np.testing.assert_array_equal(surface.textures[0][..., :3], pixels)


@EXAMPLES
@given(
    scene=scenes(),
    form=st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]),
    end=ENDS,
    marked=st.booleans(),
    comment=NAMES,
    swapped=st.booleans(),
)
def test_ply(scene, form, end, marked, comment, swapped) -> None:
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[form]
    channels = ["red", "green", "blue", "alpha"]
    axes = ["z", "y", "x"] if swapped else ["x", "y", "z"]
    header = ["ply", f"format {form} 1.0", f"comment {comment} end_header",
              f"element vertex {len(scene.vertices)}", *(f"property float {a}" for a in axes),
              f"element face {len(scene.faces)}", "property list uchar int vertex_indices",
              *(f"property uchar {channel}" for channel in channels), "end_header", ""]  # fmt: skip
    vertices = scene.vertices[:, ::-1] if swapped else scene.vertices
    colors = np.rint(scene.rgba * 255).astype(int).tolist()
    faces = [[3, *face, *color] for face, color in zip(scene.faces.tolist(), colors, strict=True)]
    if not order:
        rows = [numbers(vertex) for vertex in vertices] + [" ".join(map(str, f)) for f in faces]
        data = end.join([*rows, ""]).encode()
    else:
        data = b"".join(struct.pack(order + "3f", *vertex) for vertex in vertices)
        data += b"".join(struct.pack(order + "B3i4B", *face) for face in faces)
    mark = b"\xef\xbb\xbf" if marked else b""
    check(read_file("m.ply", {"m.ply": mark + end.join(header).encode() + data}), scene)


@EXAMPLES
@given(
    scene=scenes(),
    end=ENDS,
    encoding=ENCODINGS,
    whole=st.booleans(),
    comment=st.sampled_from(["", "# a comment", "   "]),
    glued=st.booleans(),
)
def test_off(scene, end, encoding, whole, comment, glued) -> None:
    counts = f"{len(scene.vertices)} {len(scene.faces)} 0"
    rows = [f"OFF{counts}"] if glued else ["OFF", comment, counts]
    rows += [f"{numbers(vertex)} {comment}" for vertex in scene.vertices]
    for face, color in zip(scene.faces.tolist(), scene.rgba, strict=True):
        channels = [f"{round(255 * c)}" if whole else f"{c:.9f}" for c in color]
        rows.append(" ".join(["3", *map(str, face), *channels]))
    check(read_file("m.off", {"m.off": end.join([*rows, ""]).encode(encoding)}), scene)


@EXAMPLES
@given(scene=scenes(), end=ENDS, text=st.booleans(), more=st.integers(0, 3), name=NAMES)
def test_stl(scene, end, text, more, name) -> None:
    rows = [f"solid {name}"]
    for corners in scene.corners:
        rows += ["facet normal -nan(ind) 0 0", " outer loop"]
        rows += [f"  vertex {numbers(corner)}" for corner in corners]
        rows += [" endloop", "endfacet"]
    data = end.join([*rows, f"endsolid {name}", ""]).encode()
    if not text:
        data = f"solid {name}".encode().ljust(80)[:80] + struct.pack("<I", len(scene.faces))
        data += b"".join(
            np.zeros(3, "<f4").tobytes() + corners.astype("<f4").tobytes() + b"\0\0"
            for corners in scene.corners
        )
        data += b"\0" * more
    grey = Scene(scene.vertices, scene.faces, np.tile([0.7, 0.7, 0.7, 1], (len(scene.faces), 1)))
    check(read_file("m.stl", {"m.stl": data}), grey)


def linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@EXAMPLES
@given(
    scene=scenes(),
    scale=st.tuples(*[st.sampled_from([-2.0, -1.0, 1.0, 0.5])] * 3),
    shift=st.tuples(*[st.sampled_from([0.0, 8.0])] * 3),
    floats=st.booleans(),
    binary=st.booleans(),
    buffer=NAMES,
)
def test_gltf(scene, scale, shift, floats, binary, buffer) -> None:
    positions = scene.vertices.astype("<f4").tobytes()
    blob = positions + scene.faces.astype("<u2").tobytes()
    count = len(positions)
    primitives, accessors = [], [
        {"bufferView": 0, "componentType": 5126, "count": len(scene.vertices), "type": "VEC3"}
    ]  # fmt: skip
    for row, _ in enumerate(scene.faces):
        indices = {"bufferView": 1, "byteOffset": 6 * row, "componentType": 5123, "count": 3}
        accessors.append({**indices, "type": "SCALAR"})
        primitives.append({"attributes": {"POSITION": 0}, "indices": row + 1, "material": row})
    factors = np.concatenate([linear(scene.rgba[:, :3]), scene.rgba[:, 3:]], axis=1).tolist()
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": count},
            {"buffer": 0, "byteOffset": count, "byteLength": len(blob) - count},
        ],
        "accessors": accessors,
        "materials": [
            {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": factor}}
            for factor in factors
        ],
        "meshes": [{"primitives": primitives}],
        "nodes": [{"mesh": 0, "scale": scale}, {"translation": shift, "children": [0]}],
        "scenes": [{"nodes": [1]}],
    }
    if not binary:
        document["buffers"][0]["uri"] = f"{buffer}.bin"  # type: ignore[index]
    text = json.dumps(document)
    if floats:  # whole numbers as some exporters write them
        text = text.replace('"mesh": 0', '"mesh": 0.0').replace('"count": 3', '"count": 3.0')
    files = {"m.gltf": text.encode("utf-8-sig"), f"{buffer}.bin": blob}
    if binary:
        padded, rest = (
            text.encode() + b" " * (-len(text.encode()) % 4),
            blob + b"\0" * (-len(blob) % 4),
        )
        chunks = struct.pack("<I4s", len(padded), b"JSON") + padded
        chunks += struct.pack("<I4s", len(rest), b"BIN\0") + rest
        files = {"m.glb": struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks}
    surface = read_file(next(iter(files)), files)
    moved = scene.vertices.astype(np.float64)[scene.faces] * scale + shift
    if np.prod(scale) < 0:  # faces keep their outer sides
        moved = moved[:, ::-1]
    corners = surface.vertices[surface.faces]
    np.testing.assert_allclose(corners, moved, rtol=1e-12, atol=1e-12 * np.abs(moved).max())
    np.testing.assert_allclose(surface.face_rgba, scene.rgba, atol=1e-5)


@EXAMPLES
@given(
    scene=scenes(),
    end=ENDS,
    encoding=ENCODINGS,
    mirrored=st.booleans(),
    shift=st.sampled_from([0.0, 0.5]),
    name=NAMES.map(lambda name: name.replace('"', "")),
)
def test_ac3d(scene, end, encoding, mirrored, shift, name) -> None:
    rows = ["AC3Db"]
    for color in scene.rgba:
        rgb = f"rgb {numbers(color[:3])}  amb 0 0 0  emis 0 0 0  spec 0 0 0  shi 1"
        rows.append(f'MATERIAL "{name}" {rgb}  trans {1 - color[3]:.9g}')
    rows += ["OBJECT world", "kids 1", "OBJECT poly", f'name "{name}"']
    rows += ["rot -1 0 0 0 1 0 0 0 1"] * mirrored + [f"loc {shift} 0 0"]
    rows += [f"numvert {len(scene.vertices)}", *(numbers(vertex) for vertex in scene.vertices)]
    rows.append(f"numsurf {len(scene.faces)}")
    for row, face in enumerate(scene.faces.tolist()):
        rows += ["SURF 0x20", f"mat {row}", "refs 3", *(f"{k} 0 0" for k in face)]
    surface = read_file("m.ac", {"m.ac": end.join([*rows, "kids 0", ""]).encode(encoding)})
    assert surface.object_names == (name,)
    moved = scene.vertices.astype(np.float64)[scene.faces]
    if mirrored:
        moved = (moved * [-1, 1, 1])[:, ::-1]
    # Nine digits of single precision are parsed as double.
    moved += np.array([shift, 0, 0])
    np.testing.assert_allclose(surface.vertices[surface.faces], moved, rtol=1e-7)
    np.testing.assert_allclose(surface.face_rgba, scene.rgba, atol=1e-6)


@EXAMPLES
@given(
    scene=scenes(alpha=False),
    suffix=st.sampled_from([".obj", ".ply", ".glb", ".off", ".stl"]),
    name=NAMES,
    colored=st.booleans(),
    arrays=st.booleans(),
)
def test_what_is_written_here_is_read_here(scene, suffix, name, colored, arrays) -> None:
    loose = scene.corners.reshape(-1, 3)  # every face its own corners, so its own colour
    faces = np.arange(len(loose)).reshape(-1, 3)
    rgb = np.repeat(scene.rgba[:, :3], 3, axis=0).astype(np.float32)
    colors = rgb if colored and suffix in (".obj", ".ply", ".glb") else None
    a, b, c = scene.corners.astype(np.float64).transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}{suffix}"
        mesh = (loose, faces) if arrays else Mesh(torch.from_numpy(loose), torch.from_numpy(faces))
        save_mesh(path, mesh, colors)
        read = read_mesh(path)
    kept = area > 0
    assert read.num_faces == kept.sum()
    assert torch.equal(read.vertices[read.faces], torch.from_numpy(scene.corners[kept]))
    if colors is not None:
        assert read.face_colors is not None
        np.testing.assert_allclose(read.face_colors, scene.rgba[kept, :3], atol=1e-5)


@pytest.mark.parametrize(
    "kind", ["obj", "ply", "off", "stl", "glb", "gltf", "ac", "3ds", "md2", "md3"]
)
@EXAMPLES
@given(data=st.binary(max_size=200))
def test_noise_is_refused_by_name(kind: str, data: bytes) -> None:
    heads = {"ply": b"ply\n", "off": b"OFF\n", "glb": b"glTF", "ac": b"AC3Db\n", "3ds": b"MM"}
    heads |= {"md2": b"IDP2", "md3": b"IDP3", "stl": b"solid"}
    for content in (data, heads.get(kind, b"") + data):
        try:
            surface = read_file(f"m.{kind}", {f"m.{kind}": content})
        except (ValueError, Warning) as error:
            assert f"m.{kind}" in str(error)  # noqa: PT017
        else:
            assert isinstance(surface, TexturedMesh)
