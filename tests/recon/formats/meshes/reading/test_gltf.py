from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.formats.meshes.reading.gltf import read_gltf

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
CODES = {"uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class Scene:
    """A glTF document under construction."""

    def __init__(self) -> None:
        self.blob = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "buffers": [{"byteLength": 0}],
            "bufferViews": [],
            "accessors": [],
            "meshes": [],
            "nodes": [],
            "scenes": [{"nodes": []}],
        }

    def view(self, data: bytes) -> int:
        view = {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data)}
        self.blob += data + b"\0" * (-len(data) % 4)
        self.json["buffers"][0]["byteLength"] = len(self.blob)
        self.json["bufferViews"].append(view)
        return len(self.json["bufferViews"]) - 1

    def array(self, values: np.ndarray, normalized: bool = False) -> int:
        rows = values.reshape(len(values), -1)
        self.json["accessors"].append(
            {
                "bufferView": self.view(np.ascontiguousarray(rows).tobytes()),
                "componentType": CODES[values.dtype.name],
                "count": len(rows),
                "type": TYPES[rows.shape[1]],
                "normalized": normalized,
            }
        )
        return len(self.json["accessors"]) - 1

    def mesh(self, vertices: np.ndarray, node: dict[str, Any] | None = None, **more: Any) -> dict:
        """Add a mesh of one primitive with a root node that shows it; return the primitive."""
        primitive = {"attributes": {"POSITION": self.array(vertices)}, **more}
        self.json["meshes"].append({"name": "part", "primitives": [primitive]})
        self.json["nodes"].append({"mesh": len(self.json["meshes"]) - 1, **(node or {})})
        self.json["scenes"][0]["nodes"].append(len(self.json["nodes"]) - 1)
        return primitive

    def glb(self) -> bytes:
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.blob), b"BIN\0") + self.blob
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def picture(mode: str = "RGB", left: tuple[int, ...] = (0, 255, 0)) -> bytes:
    """Left half as given, right half blue."""
    blue = (0, 0, 255, 255)[: len(mode)]
    image = Image.new(mode, (8, 4), blue)
    image.paste(left, (0, 0, 4, 4))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_indices_strips_fans_and_plain_lists(folder) -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
    scene = Scene()
    scene.mesh(square, indices=scene.array(np.array([0, 1, 2, 2, 1, 3], np.uint16)))
    scene.mesh(square, mode=5)
    scene.mesh(square[[0, 1, 3, 2]], mode=6)
    scene.mesh(square[[0, 1, 2, 2, 1, 3]])
    scene.mesh(square, mode=1)  # lines
    scene.mesh(square, mode=0)  # points
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    corners = surface.vertices[surface.faces].reshape(4, 2, 3, 3)
    normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    assert normals.reshape(-1, 3).tolist() == [[0, 0, 1]] * 8
    assert surface.object_names == ("part",) * 4
    assert surface.face_rgba.tolist() == [[1, 1, 1, 1]] * 8  # the default material


def test_placements_multiply_down_the_tree(folder) -> None:
    scene = Scene()
    half = float(np.sqrt(0.5))
    scene.mesh(TRIANGLE, {"translation": [1, 0, 0], "scale": [2, 3, 4]})
    quarter = {"rotation": [0, 0, half, half], "children": [0]}  # x becomes y
    matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1]
    scene.json["nodes"] += [quarter, {"matrix": matrix, "children": [1]}]
    scene.json["scenes"] = [{"nodes": []}, {"nodes": [2]}]
    scene.json["scene"] = 1
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    wanted = [[0, 1, 5], [0, 3, 5], [-3, 1, 5]]
    assert np.abs(surface.vertices - wanted).max() < 1e-6
    del scene.json["scenes"]
    surface = read_gltf(folder({"n.glb": scene.glb()}), "n.glb")  # then all roots count
    assert np.abs(surface.vertices - wanted).max() < 1e-6


def test_a_mesh_may_be_shown_twice(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE)
    scene.json["nodes"].append({"mesh": 0, "translation": [0, 0, 1]})
    scene.json["scenes"][0]["nodes"].append(1)
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices[surface.faces][:, :, 2].tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("kind", ["float32", "uint8", "uint16"])
def test_vertex_colours_are_linear_light(folder, kind: str) -> None:
    scene = Scene()
    primitive = scene.mesh(TRIANGLE)
    top = 1 if kind == "float32" else np.iinfo(kind).max
    linear = np.tile([0.2 * top, 1.0 * top, 0], (3, 1)).astype(kind)
    primitive["attributes"]["COLOR_0"] = scene.array(linear, normalized=kind != "float32")
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    # IEC 61966-2-1 of 0.2 is 0.4845
    assert surface.face_rgba[0].tolist() == pytest.approx([0.4845, 1, 0, 1], abs=2e-3)


def test_external_buffers_and_data_uris(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE)
    scene.json["buffers"][0]["uri"] = "my%20data/m.bin"
    text = json.dumps(scene.json)
    surface = read_gltf(folder({"a/m.gltf": text, "a/my data/m.bin": scene.blob}), "a/m.gltf")
    assert surface.num_faces == 1
    data = "data:application/octet-stream;base64," + base64.b64encode(scene.blob).decode()
    scene.json["buffers"][0]["uri"] = data
    assert read_gltf(folder({"m.gltf": json.dumps(scene.json)}), "m.gltf").num_faces == 1
    for uri in ("../m.bin", "/etc/hostname", "http://example.org/m.bin"):
        scene.json["buffers"][0]["uri"] = uri
        with pytest.raises(FileNotFoundError, match="has no file"):
            read_gltf(folder({"a/n.gltf": json.dumps(scene.json)}), "a/n.gltf")


def test_interleaved_rows(folder) -> None:
    scene = Scene()
    primitive = scene.mesh(TRIANGLE)
    rows = np.concatenate([np.full((3, 2), 9, np.float32), TRIANGLE + 1], axis=1)
    scene.json["bufferViews"].append(
        {"buffer": 0, "byteOffset": len(scene.blob), "byteLength": 60, "byteStride": 20}
    )
    scene.blob += rows.tobytes()
    accessor = scene.json["accessors"][primitive["attributes"]["POSITION"]]
    accessor |= {"bufferView": 1, "byteOffset": 8}
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == (TRIANGLE + 1).tolist()


def test_file_of_another_writer(folder) -> None:
    ball = trimesh.creation.icosphere(subdivisions=1)
    uvs = np.tile([0.1, 0.2], (len(ball.vertices), 1))
    texture = Image.open(io.BytesIO(picture()))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=texture)
    ball.visual = trimesh.visual.TextureVisuals(uv=uvs, material=material)
    scene = trimesh.Scene()
    turn = trimesh.transformations.rotation_matrix(1, [1, 2, 3], point=[1, 0, 0])
    scene.add_geometry(ball, transform=turn)
    surface = read_gltf(folder({"m.glb": scene.export(None, "glb")}), "m.glb")
    wanted = trimesh.transform_points(ball.vertices, turn)
    assert np.abs(surface.vertices - wanted).max() < 1e-6
    assert surface.faces.tolist() == ball.faces.tolist()
    assert np.unique(surface.face_rgba, axis=0).tolist() == [[0, 1, 0, 1]]
    assert surface.textures[0].shape == (4, 8, 4)
    assert np.abs(surface.uvs - [0.1, 0.2]).max() < 1e-6  # v upwards again


def broken(change) -> bytes:
    scene = Scene()
    scene.mesh(TRIANGLE, indices=scene.array(np.array([0, 1, 2], np.uint32)))
    change(scene.json)
    return scene.glb()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j["accessors"][1].update(count=2**31 // 16), "claims 134217728 rows"),
        (lambda j: j["accessors"][1].update(count=-1), "whole number >= 0, got -1"),
        (lambda j: j["accessors"][1].update(byteOffset=8), "claims 3 rows .* from byte 8"),
        (lambda j: j["accessors"][1].update(componentType=1), "has VEC3 of 1"),
        (
            lambda j: (j["accessors"][1].pop("bufferView"), j["accessors"][1].update(count=10**9)),
            "accessor 1 claims 1000000000 rows without any data",
        ),
        (lambda j: j["accessors"][1].pop("type"), "malformed glTF: KeyError 'type'"),
        (lambda j: j["accessors"][0].update(type="VEC3"), "has VEC3 of 5125"),
        (lambda j: j["bufferViews"][1].update(byteLength=2**40), "claims bytes 12 to"),
        (lambda j: j["bufferViews"][1].update(buffer=1), "buffer 1 does not exist, there are 1"),
        (lambda j: j["meshes"][0]["primitives"][0].update(indices=-1), "accessor -1 does not"),
        (lambda j: j["meshes"][0].pop("primitives"), "malformed glTF: KeyError 'primitives'"),
        (lambda j: j["nodes"][0].update(mesh=7), "mesh 7 does not exist"),
        (lambda j: j["nodes"][0].update(mesh=[7]), "malformed glTF: TypeError"),
        (lambda j: j["nodes"][0].update(children=[0]), "node 0 has several parents"),
        (lambda j: j["nodes"][0].update(children={}), "a list is required"),
        (lambda j: j["nodes"][0].update(scale=["x", 1, 1]), "could not convert"),
        (lambda j: j["scenes"][0].update(nodes=[3]), "node 3 does not exist"),
        (lambda j: j["scenes"][0].update(nodes=[]), "has no triangles"),
        (lambda j: j.update(asset={"version": "1.0"}), "only glTF 2 .* '1.0'"),
        (
            lambda j: j.update(extensionsRequired=["KHR_draco_mesh_compression"]),
            "KHR_draco",
        ),
        (lambda j: j.update(nodes=5), "a list is required, got '5'"),
    ],
)
def test_malformed_documents(folder, change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_gltf(folder({"m.glb": broken(change)}), "m.glb")


def test_faces_of_missing_vertices(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE, indices=scene.array(np.array([0, 1, 3], np.uint32)))
    with pytest.raises(ValueError, match="names vertex 3 of 3"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    scene = Scene()
    scene.mesh(TRIANGLE, indices=scene.array(np.array([0, 1], np.uint32)))
    with pytest.raises(ValueError, match="2 corners do not make whole triangles"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


def test_positions_that_are_no_numbers(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE * np.float32("nan"))
    with pytest.raises(ValueError, match="not a finite number"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


def test_scenes_that_repeat_a_mesh_too_often(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.formats.meshes.reading.gltf.MAX_FACES", 3)
    scene = Scene()
    scene.mesh(TRIANGLE)
    scene.json["nodes"] *= 4
    scene.json["scenes"][0]["nodes"] = [0, 1, 2, 3]
    with pytest.raises(ValueError, match="more than 3 triangles"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    scene.json["nodes"] = [{"mesh": 0}]
    scene.json["scenes"][0]["nodes"] = [0]
    scene.json["meshes"][0]["primitives"] *= 4
    with pytest.raises(ValueError, match="more than 3 triangles"):
        read_gltf(folder({"n.glb": scene.glb()}), "n.glb")


def sparse(scene: Scene, accessor: int, rows: list[int], values: np.ndarray) -> None:
    """Substitute rows of an accessor."""
    scene.json["accessors"][accessor]["sparse"] = {
        "count": len(rows),
        "indices": {
            "bufferView": scene.view(np.array(rows, np.uint16).tobytes()),
            "componentType": 5123,
        },
        "values": {"bufferView": scene.view(values.astype(np.float32).tobytes())},
    }


def test_sparse_accessors_substitute_rows(folder) -> None:
    scene = Scene()
    primitive = scene.mesh(TRIANGLE)
    sparse(scene, primitive["attributes"]["POSITION"], [1], np.array([[5, 0, 0]]))
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == [[0, 0, 0], [5, 0, 0], [0, 1, 0]]


def test_accessors_without_data_are_zeros_but_for_sparse_rows(folder) -> None:
    scene = Scene()
    primitive = scene.mesh(TRIANGLE)
    position = primitive["attributes"]["POSITION"]
    del scene.json["accessors"][position]["bufferView"]
    sparse(scene, position, [1, 2], TRIANGLE[1:])
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == TRIANGLE.tolist()
    scene.json["accessors"][position]["sparse"]["indices"]["byteOffset"] = 2
    with pytest.raises(ValueError, match="the sparse part of accessor 0 claims 2 rows"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    sparse(scene, position, [3], TRIANGLE[:1])
    with pytest.raises(ValueError, match="the sparse part of accessor 0 names row 3 of 3"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


@pytest.mark.parametrize(("weights", "moved"), [(None, 0), ([0.5, 0], 1), ([0.5, 1], 4)])
@pytest.mark.parametrize("of_node", [False, True])
def test_morph_targets_have_the_weights_of_the_file(folder, weights, moved, of_node) -> None:
    scene = Scene()
    up = np.array([[0, 0, 2], [0, 0, 0], [0, 0, 0]], np.float32)
    targets = [{"POSITION": scene.array(up)}, {"POSITION": scene.array(up * 1.5)}]
    scene.mesh(TRIANGLE, targets=targets)
    if weights is not None:
        scene.json["nodes" if of_node else "meshes"][0]["weights"] = weights
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices[0].tolist() == [0, 0, moved]


def skinned(bound: list[list[int]], weights: list[list[float]], **skin: Any) -> Scene:
    """A triangle with a skin of three joints, on a node that stands elsewhere."""
    scene = Scene()
    primitive = scene.mesh(TRIANGLE, {"skin": 0, "translation": [100, 0, 0]})
    primitive["attributes"]["JOINTS_0"] = scene.array(np.array(bound, np.uint16))
    primitive["attributes"]["WEIGHTS_0"] = scene.array(np.array(weights, np.float32))
    scene.json["nodes"] += [
        {"translation": [0, 0, 5], "children": [2, 3]},
        {"translation": [0, 1, 0]},
        {"scale": [-1, 1, 1]},
    ]
    scene.json["scenes"][0]["nodes"].append(1)
    scene.json["skins"] = [{"joints": [1, 2, 3], **skin}]
    return scene


def test_skins_are_in_the_rest_pose_of_their_joints(folder) -> None:
    bound = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 9, 0]]
    scene = skinned(bound, [[1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == [[0, 0, 5], [1, 1, 5], [0, 1.5, 5]]
    assert surface.faces.tolist() == [[0, 1, 2]]


def test_mirroring_joints_turn_faces_and_weights_are_normalised(folder) -> None:
    scene = skinned([[2, 0, 0, 0]] * 3, [[2, 0, 0, 0]] * 3)
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == [[0, 0, 5], [-1, 0, 5], [0, 1, 5]]
    assert surface.faces.tolist() == [[2, 1, 0]]


def test_inverse_bind_matrices(folder) -> None:
    scene = skinned([[0, 0, 0, 0]] * 3, [[1, 0, 0, 0]] * 3)
    inverse = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    inverse[:, 3, 2] = -5  # stored column by column: a shift along z
    TYPES[16] = "MAT4"
    scene.json["skins"][0]["inverseBindMatrices"] = scene.array(inverse)
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    assert surface.vertices.tolist() == TRIANGLE.tolist()


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (skinned([[3, 0, 0, 0]] * 3, [[1, 0, 0, 0]] * 3), "JOINTS_0 names joint 3 of 3"),
        (skinned([[0, 0, 0, 0]] * 2, [[1, 0, 0, 0]] * 2), "JOINTS_0 and WEIGHTS_0 need 3 rows"),
        (skinned([[0] * 4] * 3, [[-1, 0, 0, 0]] * 3), "WEIGHTS_0 must be finite and >= 0"),
        (skinned([[0] * 4] * 3, [[1] * 4] * 3, joints=[9]), "node 9 does not exist"),
        (skinned([[0] * 4] * 3, [[1] * 4] * 3, joints=[]), "at least one array"),
    ],
)
def test_malformed_skins(folder, scene: Scene, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


def test_instances_stand_in_the_frame_of_their_node(folder) -> None:
    scene = Scene()
    half = float(np.sqrt(0.5))
    rows = {
        "TRANSLATION": np.array([[0, 0, 0], [0, 0, 1]], np.float32),
        "ROTATION": np.array([[0, 0, 0, 1], [0, 0, half, half]], np.float32),
        "SCALE": np.array([[1, 1, 1], [-2, 1, 1]], np.float32),
    }
    attributes = {word: scene.array(values) for word, values in rows.items()}
    extensions = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    scene.mesh(TRIANGLE, {"translation": [10, 0, 0], "extensions": extensions})
    surface = read_gltf(folder({"m.glb": scene.glb()}), "m.glb")
    wanted = [[10, 0, 0], [11, 0, 0], [10, 1, 0], [10, 0, 1], [10, -2, 1], [9, 0, 1]]
    assert surface.vertices == pytest.approx(np.array(wanted), abs=1e-6)
    assert surface.faces.tolist() == [[0, 1, 2], [5, 4, 3]]
    attributes["SCALE"] = scene.array(TRIANGLE)
    with pytest.raises(ValueError, match="instances of node 0 need attributes of one length"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


@pytest.mark.parametrize("required", ["KHR_materials_unlit", "KHR_mesh_quantization"])
def test_required_extensions_that_change_no_colour_are_accepted(folder, required: str) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE)
    scene.json["extensionsRequired"] = [required]
    assert read_gltf(folder({"m.glb": scene.glb()}), "m.glb").num_faces == 1


@pytest.mark.parametrize("required", ["EXT_meshopt_compression", "MY_own_extension"])
def test_other_required_extensions_are_refused_by_name(folder, required: str) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE)
    scene.json["extensionsRequired"] = [required]
    with pytest.raises(ValueError, match=f"requires the extension {required}, which cannot"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


def test_compressed_parts_are_refused_whether_required_or_not(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE, extensions={"KHR_draco_mesh_compression": {}})
    with pytest.raises(ValueError, match="KHR_draco_mesh_compression cannot be read"):
        read_gltf(folder({"m.glb": scene.glb()}), "m.glb")


def test_whole_numbers_with_a_point_and_a_mark_before_the_text(folder) -> None:
    scene = Scene()
    scene.mesh(TRIANGLE, mode=4.0)
    scene.json["buffers"][0]["uri"] = "C:\\\\gone\\\\my data.bin"
    text = json.dumps(scene.json).replace('"count": 3', '"count": 3.0')
    assert '"count": 3.0' in text
    store = folder({"m.gltf": b"\xef\xbb\xbf" + text.encode(), "my data.bin": scene.blob})
    assert read_gltf(store, "m.gltf").vertices.tolist() == TRIANGLE.tolist()
