from __future__ import annotations

import dataclasses
import errno
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon.datasets.storage.compression import compression_of
from recon.datasets.storage.hdf5 import (
    open_dataset,
    read_json,
    read_layout,
    read_texts,
    write_dataset,
)
from recon.datasets.storage.layout import Layout
from recon.datasets.storage.shards import open_shards


def test_written_fields_come_back(data_file: Path, layout, labels, samples) -> None:
    with open_dataset(data_file) as file:
        assert file["images"].chunks == (1, 1, 4, 6, 8)
        for name in ("images", "cameras", "voxels_4"):
            stored = np.stack([sample[name] for sample in samples])
            assert np.array_equal(file[name][:], stored)
        assert read_texts(file, "names") == [label.name for label in labels]
        assert read_layout(file) == layout
        assert read_json(file, "recipe") == {"a": 1}
        assert read_json(file, "failures") == {"x": "broken"}


def test_maps_and_points_are_stored_and_read(tmp_path: Path, header, labels, samples) -> None:
    layout = Layout((6, 8), 3, (4, 8), ("depth", "normals", "shading"), 10, 7)
    rng = np.random.default_rng(1)
    full = [
        {
            name: sample.get(name, rng.integers(0, 100, shape).astype(dtype))
            for name, (shape, dtype) in layout.fields().items()
        }
        for sample in samples
    ]
    write_dataset(tmp_path / "x.h5", header, layout, labels, full)
    with open_dataset(tmp_path / "x.h5") as file:
        found = read_layout(file)
        assert dataclasses.replace(found, maps=tuple(sorted(found.maps))) == layout
        for name in layout.fields():
            assert np.array_equal(file[name][:], np.stack([sample[name] for sample in full]))
        assert file["depth"].chunks == (1, 1, 6, 8)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        open_dataset(tmp_path / "nothing.h5")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_file_is_named(data_file: Path, share: float) -> None:
    content = data_file.read_bytes()
    data_file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"data\.h5 is (truncated|damaged)"):
        open_dataset(data_file)


@pytest.mark.parametrize("content", [b"", b"hello" * 1000])
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.h5 is not an HDF5 file"):
        open_dataset(tmp_path / "x.h5")


def _delete(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


def _attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def _replace(name: str, value: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return edit


def _add(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.__setitem__(name, value)


def _link(name: str) -> Callable[[h5py.File], None]:
    return _replace(name, h5py.ExternalLink("elsewhere.h5", "/images"))


def _external(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        size = math.prod(shape) * dtype.itemsize
        del file[name]
        file.create_dataset(name, shape, dtype, external=[("/etc/passwd", 0, size)])

    return edit


def _virtual(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource("elsewhere.h5", "x", shape, dtype)
        del file[name]
        file.create_virtual_dataset(name, layout)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_attribute("schema", "other"), "schema must be 'recon.multiview', got 'other'"),
        (_attribute("schema_version", 1), "schema_version must be 2, got .*1; make the file again"),
        (lambda file: file.attrs.__delitem__("schema"), "schema must be .* got None"),
        (lambda file: file.attrs.__delitem__("command"), "command is missing"),
        (_delete("images"), "field images is missing"),
        (_delete("licences"), "field licences is missing"),
        (_replace("cameras", np.zeros((12, 3, 5), np.float32)), r"cameras must have .*\(3, 16\)"),
        (_replace("cameras", np.zeros((12, 3, 16))), "must be float32 .* got float64"),
        (_replace("voxels_4", np.zeros((11, 8), np.uint8)), r"voxels_4 must be .*\(12, 8\)"),
        (_replace("voxels_4", np.zeros((12, 9), np.uint8)), r"voxels_4 must have .*\(8,\)"),
        (_replace("images", np.zeros((12,), np.uint8)), "field images must have"),
        (_replace("images", np.zeros((12, 0, 4, 6, 8), np.uint8)), "must be >= 1"),
        (_replace("names", ["x"]), r"names must be text \(12,\)"),
        (_replace("names", np.zeros(12)), "names must be text .* got float64"),
        (_add("points", np.zeros((12, 5, 3), np.float16)), "field occupancies is missing"),
        (_attribute("command", "rm"), "attributes differ from their checksum"),
        (_add("names2", h5py.SoftLink("/names")), "names2 is a link to another place or file"),
        (_link("images"), "images is a link to another place or file, which is refused"),
        (_external("cameras"), "data of field cameras lie in another file, which is refused"),
        (_virtual("voxels_4"), "data of field voxels_4 lie in another file, which is refused"),
        (_external("checksums/images"), "data of field images lie in another file"),
        (_add("depth", np.zeros((12, 3, 6, 7), np.float32)), r"depth must have .*\(3, 6, 8\)"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(data_file: Path, edit, message: str) -> None:
    with h5py.File(data_file, "r+") as file:
        edit(file)
    with pytest.raises(ValueError, match=message) as caught:
        open_dataset(data_file)
    assert str(data_file) in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [(0, np.nan, "rotation must be finite"), (0, 7, "orthonormal"), (12, -1, "focal must be > 0")],
)
@pytest.mark.parametrize("checked", [False, True])
def test_cameras_that_are_none_are_refused_on_opening(
    data_file: Path, column: int, value: float, message: str, checked: bool
) -> None:
    with h5py.File(data_file, "r+") as file:
        file["cameras"][5, 1, column] = value
        if not checked:  # as files of earlier versions
            del file["checksums"]
    expected = "differs from its checksums" if checked else message
    with pytest.raises(ValueError, match=rf"data\.h5: field cameras.*{expected}") as caught:
        open_shards(data_file)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("surplus", [-1, 1])
def test_wrong_number_of_objects_leaves_no_file(
    tmp_path: Path, header, layout, labels, samples, surplus: int
) -> None:
    given = samples[:-1] if surplus < 0 else [*samples, samples[0]]
    with pytest.raises(ValueError, match="12 labels need 12 objects"):
        write_dataset(tmp_path / "x.h5", header, layout, labels, given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "array", "message"),
    [
        ("cameras", np.zeros((3, 4)), "object 4: cameras must be float32"),
        ("depth", np.zeros((3, 6, 8), np.float32), "object 4: fields must be"),
    ],
)
def test_wrong_array_is_named_and_leaves_no_file(
    tmp_path: Path, header, layout, labels, samples, field: str, array, message: str
) -> None:
    samples[4] = {**samples[4], field: array}
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "x.h5", header, layout, labels, samples)
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_comes_twice_is_named(tmp_path: Path, header, layout, labels, samples) -> None:
    labels[3] = dataclasses.replace(labels[3], id=labels[1].id)
    with pytest.raises(ValueError, match="ids must differ, got 'object-1' twice"):
        write_dataset(tmp_path / "x.h5", header, layout, labels, samples)


def test_a_compressed_file_has_the_same_content(
    tmp_path: Path, data_file: Path, header, layout, labels, samples
) -> None:
    flat = [{**sample, "images": sample["images"] // 250} for sample in samples]
    for name in ("none", "lzf"):
        write_dataset(tmp_path / name, header, layout, labels, flat, compression=name)
    with open_dataset(tmp_path / "none") as plain, open_dataset(tmp_path / "lzf") as packed:
        for name in layout.fields():
            assert np.array_equal(plain[name][:], packed[name][:])
        assert packed["images"].chunks == plain["images"].chunks == (1, 1, 4, 6, 8)
        assert compression_of(packed["images"]) == compression_of(packed["voxels_4"]) == "lzf"
        assert compression_of(plain["images"]) == compression_of(packed["cameras"]) == "none"
        size = packed["images"].id.get_storage_size()
        assert size < 0.6 * plain["images"].id.get_storage_size()


def test_unknown_compression_begins_no_file(tmp_path: Path, header, layout, labels) -> None:
    with pytest.raises(ValueError, match="compression must be one of"):
        write_dataset(tmp_path / "x.h5", header, layout, labels, [], compression="zip")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_a_compressed_file_is_named(
    tmp_path: Path, header, layout, labels, samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**9, 10**3])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=next(free)))
    with pytest.raises(OSError, match=r"cannot write .*x\.h5: .*MB needed, 0\.0 MB free"):
        write_dataset(tmp_path / "x.h5", header, layout, labels, samples, compression="lzf")
    assert list(tmp_path.iterdir()) == []


def _full(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["posix_fallocate", "fsync"])
def test_full_disk_is_named_and_leaves_the_old_file(
    data_file: Path, header, layout, labels, samples, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = data_file.read_bytes()
    monkeypatch.setattr(os, call, _full)
    with pytest.raises(OSError, match=r"cannot write .*data\.h5.*No space left"):
        write_dataset(data_file, header, layout, labels, samples)
    assert data_file.read_bytes() == before
    assert list(data_file.parent.iterdir()) == [data_file]


def test_a_file_too_big_for_the_disk_is_not_begun(tmp_path: Path, header, labels) -> None:
    huge = Layout((10**4, 10**4), 10**9)
    with pytest.raises(OSError, match="MB needed"):
        write_dataset(tmp_path / "x.h5", header, huge, labels, [])
    assert list(tmp_path.iterdir()) == []
