from __future__ import annotations

import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import unpack_voxels, voxelize_mesh
from recon.preparation.sources.interface import ImageSource
from recon.preparation.sources.nmr import NmrSource
from tests.recon.preparation.known_object import (
    COLOR,
    corners,
    faces,
    public_images,
    rendered,
    voxels,
    worst_iou,
)

CHAIR, CAR = "03001627", "02958343"
CONFIGS = Path(__file__).resolve().parents[4] / "configs"


def stored_voxels() -> np.ndarray:
    """The known object as the files store it: [y, x, -z] of the world, which is (-z, y, -x)."""
    world = np.flip(voxels(32).transpose(2, 1, 0), (0, 2))
    return np.flip(world.transpose(1, 0, 2), 2)


def write(
    folder: Path, synset: str = CHAIR, split: str = "train", count: int = 3, compressed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """A pair of files; the first object is the known one, the others differ from it and another."""
    images = np.repeat(public_images(64).transpose(0, 3, 1, 2)[None], count, 0)
    grids = np.repeat(stored_voxels()[None], count, 0)
    for k in range(1, count):
        images[k, :, :3] //= k + 1
        grids[k, k] ^= True
    save = np.savez_compressed if compressed else np.savez
    save(folder / f"{synset}_{split}_images.npz", images)
    save(folder / f"{synset}_{split}_voxels.npz", grids)
    return images, grids


def test_images_cameras_and_voxels_agree_in_the_world(tmp_path: Path) -> None:
    write(tmp_path)
    source = NmrSource(tmp_path)
    entry = source.objects()[0]
    arrays = source.arrays(entry)
    source.layout().check(arrays)
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, (64, 64)), seen) > 0.94
    # A mirrored or turned world would not agree.
    turned = world_vertices(torch.from_numpy(corners().reshape(-1, 3)))
    for wrong in ([-1, 1, 1], [1, 1, -1], [-1, 1, -1]):
        assert worst_iou(rendered(cameras, (64, 64), turned * torch.tensor(wrong)), seen) < 0.75
    assert (arrays["images"][:, :3, seen[0]][0] == np.array(COLOR)[:, None]).all()
    read = unpack_voxels(arrays["voxels_32"], 32)
    mesh = voxelize_mesh(turned[None].float(), faces(), 32)[0]
    assert int(read.sum()) > 0.5 * int(mesh.sum())  # centres inside against surfaces touched
    assert int((read & mesh).sum()) == int(read.sum())
    for flipped in (read.flip(0), read.flip(2), read.transpose(0, 2)):
        assert int((flipped & mesh).sum()) < 0.9 * int(read.sum())


@pytest.mark.parametrize("compressed", [True, False])
def test_objects_are_read_in_any_order_in_any_process(tmp_path: Path, compressed: bool) -> None:
    written = {CHAIR: write(tmp_path, compressed=compressed), CAR: write(tmp_path, CAR, "val", 2)}
    source = NmrSource(tmp_path)
    assert isinstance(source, ImageSource)
    items = source.objects()
    assert [entry.id for entry in items] == [
        *(f"{CAR}_val_{k:05d}" for k in range(2)),
        *(f"{CHAIR}_train_{k:05d}" for k in range(3)),
    ]
    assert [entry.split for entry in items] == ["val"] * 2 + ["train"] * 3
    source.arrays(items[3])  # an open file must not travel
    copy = pickle.loads(pickle.dumps(source))
    for reader, order in ((source, (0, 4, 2, 3, 1)), (copy, (2, 0, 1))):
        for index in order:
            entry = items[index]
            images, grids = (array[int(entry.id[-5:])] for array in written[entry.synset])
            arrays = reader.arrays(entry)
            assert (arrays["images"] == images).all()
            read = unpack_voxels(arrays["voxels_32"], 32).numpy()
            assert (read[3, 5, 7], read.sum()) == (grids[5, 3, 24], grids.sum())
    assert source.config() == copy.config() == NmrSource(tmp_path).config()


def test_categories_are_chosen_by_name_and_the_first_array_counts(tmp_path: Path) -> None:
    write(tmp_path)
    images, grids = write(tmp_path, CAR)
    np.savez(tmp_path / f"{CAR}_train_images.npz", images=images, other=np.zeros(3))
    np.savez(tmp_path / f"{CAR}_train_voxels.npz", grids.astype(np.uint8))
    source = NmrSource(tmp_path, ["car"])
    assert {entry.synset for entry in source.objects()} == {CAR}
    assert (source.arrays(source.objects()[1])["images"] == images[1]).all()
    with pytest.raises(ValueError, match=r"no files of 02691156; it has those of 02958343, 0300"):
        NmrSource(tmp_path, ["airplane"]).objects()


@pytest.mark.parametrize("kind", ["white", "black", "inverted"])
def test_colours_laid_over_a_background_are_noticed_and_said_once(
    tmp_path: Path, kind: str, caplog
) -> None:
    images, _ = write(tmp_path, count=1)
    color, alpha = images[:, :, :3] / 255, images[:, :, 3:] / 255
    laid = color * alpha + (kind != "black") * (1 - alpha)
    images[:, :, :3] = (255 * (1 - laid if kind == "inverted" else laid)).astype(np.uint8)
    np.savez(tmp_path / f"{CHAIR}_train_images.npz", images)
    caplog.set_level("INFO")
    # "inverted" is never guessed, it must be asked for.
    source = NmrSource(tmp_path, colors="inverted" if kind == "inverted" else "auto")
    arrays = source.arrays(source.objects()[0])
    told = f"colours of images are taken as {kind} in 1 ({CHAIR}_train_images.npz)"
    assert caplog.text.count(told) == (kind != "inverted")
    opaque = arrays["images"][0, 3] == 255
    found = arrays["images"][0, :3, opaque].astype(int)
    assert np.abs(found - np.array(COLOR)).max() <= 1
    assert not arrays["images"][:, :3][np.repeat(arrays["images"][:, 3:] == 0, 3, 1)].any()
    as_it_is = NmrSource(tmp_path, colors="straight")
    kept = as_it_is.arrays(as_it_is.objects()[0])["images"]
    assert (kept[0, :3, opaque] == images[0, 0, :3, opaque]).all()


def test_premultiplied_colours_are_not_taken_for_inverted(tmp_path: Path) -> None:
    images, _ = write(tmp_path, count=1)
    red = np.array([200, 30, 30])[:, None, None]
    alpha = images[:, :, 3:].astype(int)
    images[:, :, :3] = red * alpha // 255
    np.savez(tmp_path / f"{CHAIR}_train_images.npz", images)
    source = NmrSource(tmp_path)
    found = source.arrays(source.objects()[0])["images"]
    inside = found[:, 3] > 127
    assert np.abs(found[:, :3].transpose(0, 2, 3, 1)[inside].astype(int) - red[:, 0, 0]).max() <= 2


def test_renderings_without_voxels(tmp_path: Path, caplog) -> None:
    images, _ = write(tmp_path)
    (tmp_path / f"{CHAIR}_train_voxels.npz").unlink()
    caplog.set_level("INFO")
    source = NmrSource(tmp_path)
    assert source.layout().voxel_resolutions == ()
    arrays = pickle.loads(pickle.dumps(source)).arrays(source.objects()[2])
    source.layout().check(arrays)
    assert (arrays["images"] == images[2]).all()
    assert "has no voxels: objects are judged by their silhouettes" in caplog.text


def test_a_huge_file_takes_little_memory(tmp_path: Path) -> None:
    """Both claims and content are 160 MB of images."""
    count = 400
    for kind, shape, dtype in (
        ("images", (count, 24, 4, 64, 64), "|u1"),
        ("voxels", (count, 32, 32, 32), "|b1"),
    ):
        path = tmp_path / f"{CHAIR}_test_{kind}.npz"
        claims = {"descr": dtype, "fortran_order": False, "shape": shape}
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("arr_0.npy", "w") as stream,
        ):
            np.lib.format.write_array_header_1_0(stream, claims)
            for _ in range(count):
                stream.write(bytes(int(np.prod(shape[1:]))))
    tracemalloc.start()
    source = NmrSource(tmp_path)
    items = source.objects()
    assert len(items) == count
    for index in (0, 1, count - 1):
        source.arrays(items[index])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Passing over rows reads 16 MB at a time, zipfile's own piece.
    assert peak < 60_000_000


def test_a_header_which_lies_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        zipfile.ZipFile(tmp_path / f"{CHAIR}_train_images.npz", "w") as archive,
        archive.open("arr_0.npy", "w") as stream,
    ):
        claims = {"descr": "|u1", "fortran_order": False, "shape": (5461, 24, 4, 64, 64)}
        np.lib.format.write_array_header_1_0(stream, claims)
        stream.write(bytes(1000))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"train_images\.npz: arr_0\.npy claims .* 2147352576 by"):
        NmrSource(tmp_path).objects()
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "array", "message"),
    [
        ("images", np.zeros((3, 23, 4, 64, 64), np.uint8), r"must be \[N, 24, 4, S, S\]"),
        ("images", np.zeros((3, 24, 4, 64, 32), np.uint8), r"must be \[N, 24, 4, S, S\]"),
        ("images", np.zeros((3, 24, 4, 8, 8), np.float32), "must be uint8, got float32"),
        ("images", np.zeros((2, 24, 4, 8, 8), np.uint8), "has 2 objects, but .*voxels.npz has 3"),
        ("images", np.array([{}] * 3, object), "must hold numbers, got object"),
        ("voxels", np.zeros((3, 32, 32, 31), bool), r"voxels must be bool \[N, 32, 32, 32\]"),
        ("voxels", np.zeros((3, 32, 32, 32), np.float32), "voxels must be bool"),
        ("voxels", np.zeros((4, 32, 32, 32), bool), "has 3 objects, but .* has 4"),
    ],
)
def test_other_arrays_are_refused_by_name(tmp_path: Path, kind: str, array, message: str) -> None:
    write(tmp_path)
    np.savez(tmp_path / f"{CHAIR}_train_{kind}.npz", array)
    with pytest.raises(ValueError, match=rf"{CHAIR}_train_\w+\.npz.*{message}"):
        NmrSource(tmp_path).objects()


def test_missing_linked_and_truncated_files_are_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ValueError, match=r"has no files SYNSET_SPLIT_images\.npz"):
        NmrSource(root).objects()
    write(root)
    path = root / f"{CHAIR}_train_voxels.npz"
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match=r"train_voxels\.npz: File is not a zip file"):
        NmrSource(root).objects()
    path.unlink()
    write(root, CAR)
    with pytest.raises(FileNotFoundError, match=r"train_voxels\.npz is missing; its partner"):
        NmrSource(root).objects()
    (tmp_path / "outside.npz").write_bytes(content)
    path.symlink_to(tmp_path / "outside.npz")
    with pytest.raises(ValueError, match=r"train_voxels\.npz is a link which leads out"):
        NmrSource(root).objects()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        NmrSource(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="colors must be auto"):
        NmrSource(root, colors="blue")


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, count=8)
    path = tmp_path / f"{CHAIR}_train_images.npz"
    data = bytearray(path.read_bytes())
    data[-400] ^= 255  # among the last objects
    path.write_bytes(bytes(data))
    source = NmrSource(tmp_path)
    items = source.objects()
    source.arrays(items[0])
    with pytest.raises(ValueError, match=r"train_images\.npz, row 7: "):
        source.arrays(items[7])
    source.arrays(items[1])


def test_files_of_two_sizes_do_not_go_together(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, CAR)
    np.savez(tmp_path / f"{CAR}_train_images.npz", np.zeros((3, 24, 4, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"has images 64 wide, .*02958343.* 8"):
        NmrSource(tmp_path).objects()


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    write(tmp_path)
    before = NmrSource(tmp_path).objects()
    assert len({entry.fingerprint for entry in before}) == 3
    write(tmp_path, compressed=False)
    after = NmrSource(tmp_path).objects()
    assert all(a.fingerprint != b.fingerprint for a, b in zip(before, after, strict=True))


def test_the_configuration_is_built(tmp_path: Path) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose(
            "prepare_data", ["source=nmr", f"source.folder={tmp_path}", "source.categories=[car]"]
        )
    assert isinstance(instantiate(cfg.source), NmrSource)
