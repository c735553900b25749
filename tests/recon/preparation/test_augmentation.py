from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import open_dataset, read_json
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.preparation.augmentation import AugmentedSource, MeshAugmentation
from recon.preparation.prepare import prepare
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.shapes import ShapesSource, make_shape
from recon.preparation.sources.solids import block

NOTHING = MeshAugmentation(scale=0, taper=0, bend=0, shear=0, mirror=0)


def tower() -> TexturedMesh:
    """Return a tower 1 high, 0.4 deep and 0.2 wide, of nine layers of corners."""
    layers = [block((0, y, 0), (0.4, 0.125, 0.2)) for y in np.linspace(-0.4375, 0.4375, 8)]
    vertices = np.concatenate([layer.vertices for layer in layers])
    faces = np.concatenate([layer.faces + 8 * k for k, layer in enumerate(layers)])
    return TexturedMesh(
        vertices, faces, np.ones((len(faces), 4), np.float32), np.zeros(len(faces), np.int64)
    )


def width_at(mesh: TexturedMesh, top: bool) -> float:
    y = mesh.vertices[:, 1]
    row = y == (y.max() if top else y.min())
    return float(np.ptp(mesh.vertices[row, 2]))


def test_without_any_deformation_a_copy_is_the_mesh() -> None:
    mesh = tower()
    copy = NOTHING.deform(mesh, "a", 0)
    assert copy.vertices == pytest.approx(mesh.vertices, abs=1e-12)
    assert np.array_equal(copy.faces, mesh.faces)


def test_copies_differ_by_object_number_and_seed_and_are_repeatable() -> None:
    augmentation, mesh = MeshAugmentation(), tower()
    first = augmentation.deform(mesh, "a", 0).vertices
    assert np.array_equal(first, augmentation.deform(mesh, "a", 0).vertices)
    others = [
        augmentation.deform(mesh, "b", 0),
        augmentation.deform(mesh, "a", 1),
        MeshAugmentation(seed=1).deform(mesh, "a", 0),
    ]
    for other in others:
        assert np.abs(other.vertices - first).max() > 0.005


@pytest.mark.parametrize("copy", range(8))
def test_a_copy_fits_its_cube_and_keeps_its_mirror_plane(copy: int) -> None:
    mesh = MeshAugmentation(bend=40, taper=0.5, shear=0.3).deform(tower(), "a", copy)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert (high - low).max() == pytest.approx(1)
    assert low + high == pytest.approx(np.zeros(3), abs=1e-12)
    mirrored = mesh.vertices * [1, 1, -1]
    apart = np.linalg.norm(mesh.vertices[:, None] - mirrored[None], axis=2)
    assert apart.min(axis=1).max() < 1e-9
    assert np.linalg.det(mesh.vertices[mesh.faces]).sum() > 0  # the outside stays outside


def test_each_deformation_does_what_it_says() -> None:
    mesh = tower()
    scaled = dataclasses.replace(NOTHING, scale=0.3).deform(mesh, "a", 0)
    assert np.ptp(scaled.vertices, axis=0)[2] != pytest.approx(0.2, abs=0.005)
    taper = dataclasses.replace(NOTHING, taper=0.5)
    tapered = [taper.deform(mesh, "a", copy) for copy in range(12)]
    shares = [width_at(one, True) / width_at(one, False) for one in tapered]
    assert min(shares) < 0.9  # narrower above
    assert max(shares) > 1.1  # or below
    assert any(share == pytest.approx(1) for share in shares)  # or towards the front
    assert all(1 / 3 - 1e-9 <= share <= 3 + 1e-9 for share in shares)
    shear = dataclasses.replace(NOTHING, shear=0.5)
    sheared = [shear.deform(mesh, "a", copy) for copy in range(6)]
    assert max(np.ptp(one.vertices[:, 0]) / np.ptp(one.vertices[:, 1]) for one in sheared) > 0.5
    assert all(width_at(one, True) == pytest.approx(width_at(one, False)) for one in sheared)


def test_a_bend_keeps_the_length_of_the_middle_line() -> None:
    bent = dataclasses.replace(NOTHING, bend=90)
    bows = []
    for copy in range(40):
        mesh = bent.deform(tower(), "a", copy)
        middles = mesh.vertices.reshape(8, 8, 3).mean(axis=1)  # of the layers
        steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
        assert np.ptp(steps) < 0.02
        bows.append(float(np.ptp(middles[:, 0])))
    assert min(bows) < 0.02  # bent along its depth
    assert max(bows) > 0.08  # or along its height


def test_mirrored_copies_exchange_left_and_right() -> None:
    mesh = dataclasses.replace(tower(), vertices=tower().vertices + np.array([0, 0, 0.3]))
    lopsided = TexturedMesh(
        np.concatenate([mesh.vertices, [[0.5, 0, -0.2], [0.5, 0.1, -0.2], [0.5, 0, -0.1]]]),
        np.concatenate([mesh.faces, [[64, 65, 66]]]),
        np.ones((len(mesh.faces) + 1, 4), np.float32),
        np.zeros(len(mesh.faces) + 1, np.int64),
    )
    same = NOTHING.deform(lopsided, "a", 0)
    other = dataclasses.replace(NOTHING, mirror=1).deform(lopsided, "a", 0)
    assert other.vertices == pytest.approx(same.vertices * [1, 1, -1], abs=1e-12)
    assert np.array_equal(other.faces, same.faces[:, ::-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"copies": 0}, "copies must be >= 1, got 0"),
        ({"scale": -0.1}, r"scale must be 0 to 1, got -0\.1"),
        ({"taper": 1.0}, r"taper must be 0 to 0\.9"),
        ({"bend": float("nan")}, "bend must be 0 to 90, got nan"),
        ({"mirror": 2}, "mirror must be 0 to 1, got 2"),
        ({"seed": -1}, "seed must be >= 0"),
    ],
)
def test_bad_numbers_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeshAugmentation(**arguments)


# ---- as a source ---------------------------------------------------------------------------------


def test_training_objects_alone_are_copied_within_family_and_split() -> None:
    meshes = ShapesSource(5, ["chair"])
    source = AugmentedSource(meshes, MeshAugmentation(copies=3))
    originals, entries = meshes.objects(), source.objects()
    assert entries[:5] == originals
    copies = entries[5:]
    train = [entry for entry in originals if entry.split == "train"]
    assert len(copies) == 3 * len(train)
    assert {entry.split for entry in copies} == {"train"}
    assert [entry.group for entry in copies] == [one.group for one in train for _ in range(3)]
    assert len({entry.fingerprint for entry in entries}) == len(entries)
    alone = AugmentedSource(meshes, MeshAugmentation(copies=3, originals=False))
    assert [entry.id for entry in alone.objects()] == [entry.id for entry in copies]


def test_copies_of_two_seeds_have_ids_of_their_own_so_that_their_files_mix() -> None:
    ids = [
        {entry.id for entry in AugmentedSource(ShapesSource(3, ["chair"]), copies).objects()}
        for copies in (MeshAugmentation(originals=False, seed=seed) for seed in (0, 1))
    ]
    assert not ids[0] & ids[1]


def test_originals_are_loaded_as_they_are_and_copies_deformed() -> None:
    source = AugmentedSource(ShapesSource(3, ["chair"]), MeshAugmentation(copies=1))
    entries = source.objects()
    chair = make_shape("chair", 0, 0)
    assert np.array_equal(source.load(entries[0]).vertices, chair.vertices)
    copy = source.load(entries[-1])
    assert entries[-1].id == "chair-0-00000-deformed-0-000"
    assert np.array_equal(
        copy.vertices, MeshAugmentation().deform(chair, entries[0].id, 0).vertices
    )
    assert np.array_equal(copy.face_rgba, chair.face_rgba)


def test_the_file_records_the_deformations(tmp_path: Path) -> None:
    renderer = ObjectRenderer(16, supersample=1, voxel_resolutions=(8,))
    meshes, augmentation = ShapesSource(3, ["chair"]), MeshAugmentation(copies=2, originals=False)
    source = RenderedSource(AugmentedSource(meshes, augmentation), renderer)
    prepare(source, tmp_path / "x.h5", workers=1)
    data = MultiViewDataset(tmp_path / "x.h5")
    assert set(data.splits) == {"train"}
    assert len(data) == 2
    with open_dataset(tmp_path / "x.h5") as file:
        recorded = read_json(file, "recipe")["source"]["augmentation"]
    assert recorded == augmentation.config()
    other = AugmentedSource(meshes, dataclasses.replace(augmentation, bend=3.0))
    with pytest.raises(ValueError, match=r"augmentation\.bend was 8\.0, is now 3\.0"):
        prepare(RenderedSource(other, renderer), tmp_path / "x.h5")


def test_a_source_without_training_objects_is_refused() -> None:
    source = AugmentedSource(ShapesSource(2, ["chair"], split="test"), MeshAugmentation())
    with pytest.raises(ValueError, match="needs training objects, and shapes has none"):
        source.objects()


class WithPoints(ShapesSource):
    """Shapes which say that they have points."""

    def truth_sizes(self) -> tuple[int, int]:
        return 100, 0

    def truth(self, entry: ObjectEntry) -> dict[str, np.ndarray]:
        raise NotImplementedError


def test_points_of_a_source_cannot_be_deformed() -> None:
    with pytest.raises(ValueError, match="cannot deform the points of the source shapes"):
        AugmentedSource(WithPoints(2), MeshAugmentation())
