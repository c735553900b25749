from __future__ import annotations

import hashlib
import io
import logging
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recon.preparation.sources.debian import COLUMNS, DebianSource, read_manifest, read_packages
from recon.preparation.sources.debian_packages import Package

# A bar 3 long to the front (here -z), 1 high (+y) and 2 wide, with a red and a blue half.
BAR = (
    "v -1 0 0\nv 1 0 0\nv 1 1 0\nv -1 1 0\nv -1 0 -3\nv 1 0 -3\nv 1 1 -3\nv -1 1 -3\n"
    "g back\nusemtl red\nf 1 2 3 4\nf 1 2 6 5\ng front\nusemtl blue\nf 5 6 7 8\nf 4 3 7 8\n"
)
GOOD = {
    "package": "toys",
    "path_inside": "usr/bar.obj",
    "synset_id": "03001627",
    "name": "Bar",
    "licence": "CC0-1.0",
    "group": "bar",
    "axes": "-z,+y",
    "opts": "",
    "tier": "1",
    "split": "train",
}


def table(path: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = ["\t".join(columns)]
    lines += ["\t".join({**GOOD, **row}.get(column, "?") for column in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path: Path):
    """Make a source of some rows over a package that is there already."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("models/bar.obj", BAR)
    files = tmp_path / "toys"
    (files / "usr").mkdir(parents=True)
    (files / "usr/bar.obj").write_text(BAR)
    (files / "usr/pack.pk3").write_bytes(packed.getvalue())
    (files / "usr/broken.obj").write_text("v 0 0 0\nf 1 2 3\n")
    packages = tmp_path / "packages.tsv"
    packages.write_text("package\tversion\tsize_bytes\tsha256\ntoys\t1.0\t10\tabc\n")

    def make(*rows: dict[str, str], tiers=(1,)) -> DebianSource:
        made = DebianSource(table(tmp_path / "m.tsv", *rows), packages, tmp_path / "cache", tiers)
        made._cache = SimpleNamespace(unpacked=lambda package: files)  # type: ignore[assignment]
        return made

    return make


def test_frame_is_front_x_up_y_and_normalised(source) -> None:
    made = source({})
    (entry,) = made.objects()
    surface = made.load(entry)
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    assert (high - low).tolist() == pytest.approx([1, 1 / 3, 2 / 3])
    assert (high + low).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    blue = np.unique(surface.faces[surface.face_rgba[:, 2] > 0.5])
    assert float(surface.vertices[blue, 0].mean()) > 0  # the front is at +X


@pytest.mark.parametrize(
    ("path", "options", "faces", "extent"),
    [
        ("usr/pack.pk3!models/bar.obj", "", 8, (1, 1 / 3, 2 / 3)),
        ("usr!bar.obj", "", 8, (1, 1 / 3, 2 / 3)),
        ("usr!bar.obj", "keep=^front$", 4, (1, 1 / 3, 2 / 3)),
        ("usr/bar.obj+usr/bar.obj@1:1:1,0,2,0", "", 16, (1, 1, 2 / 3)),
        ("usr/bar.obj@1:3:1,5.5,-1,0", "", 8, (1, 1, 2 / 3)),
        ("usr/bar.obj", "rot=0,1,0,-1,0,0,0,0,1", 8, (1, 2 / 3, 1 / 3)),
    ],
)
def test_containers_parts_and_options(source, path, options, faces, extent) -> None:
    made = source({"path_inside": path, "opts": options})
    surface = made.load(made.objects()[0])
    assert surface.num_faces == faces
    size = np.ptp(surface.vertices, axis=0)
    assert size.tolist() == pytest.approx(extent, abs=1e-6)


def test_broken_and_missing_models_are_the_objects_own_errors(source) -> None:
    paths = ("usr/broken.obj", "usr/gone.obj", "usr/gone.zip!x.obj", "usr/bar.obj!x.obj")
    made = source(*({"path_inside": path} for path in paths))
    messages = ("vertex 3 of 1", "gone.obj", "gone.zip", "not a readable zip")
    for entry, message in zip(made.objects(), messages, strict=True):
        with pytest.raises((ValueError, OSError), match=message):
            made.load(entry)


def test_identity_of_a_model(source) -> None:
    rows = [{}, {"path_inside": "usr!bar.obj", "opts": "keep=front"},
            {"path_inside": "usr!bar.obj", "opts": "keep=back"}]  # fmt: skip
    ids = [entry.id for entry in source(*rows).objects()]
    assert ids[0] == "bar-" + hashlib.sha1(b"toys!usr/bar.obj").hexdigest()[:8]
    assert ids[1] == "bar-" + hashlib.sha1(b"toys!usr!bar.obj#keep=front").hexdigest()[:8]
    assert len(set(ids)) == 3


def test_fingerprint_follows_the_mesh_and_configuration_the_labels_too(source) -> None:
    plain, renamed, turned = source({}), source({"name": "x"}), source({"axes": "+z,+y"})
    prints = [made.objects()[0].fingerprint for made in (plain, renamed, turned)]
    assert prints[0] == prints[1] != prints[2]
    assert plain.config() != renamed.config()
    assert plain.config() == source({}).config()


def test_tiers_choose_rows_and_splits_may_be_any_word(source) -> None:
    rows = ({"tier": "1"}, {"tier": "2", "path_inside": "usr!bar.obj", "split": "holdout"})
    assert [entry.split for entry in source(*rows, tiers=[2]).objects()] == ["holdout"]
    assert len(source(*rows, tiers=None).objects()) == 2
    with pytest.raises(ValueError, match=r"tier in \[3\]; its tiers are \[1, 2\]"):
        source(*rows, tiers=[3])


def test_source_travels_to_workers(source) -> None:
    made = source({"path_inside": "usr/pack.pk3!models/bar.obj"})
    (entry,) = made.objects()
    wanted = made.load(entry)
    made._cache = None
    assert np.array_equal(pickle.loads(pickle.dumps(made)).load(entry).vertices, wanted.vertices)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"synset_id": "123"}, "line 3: unknown category '123'"),
        ({"axes": "+z,+z"}, "line 3: axes must be two different"),
        ({"axes": "up"}, "line 3: axes must be two of"),
        ({"opts": "size=3"}, "line 3: opts has 'size=3'"),
        ({"opts": "skip=("}, "line 3: opts skip is not a regular expression"),
        ({"opts": "rot=1,2"}, "line 3: a rotation needs 9 numbers, got 2"),
        ({"tier": "one"}, "line 3: tier must be a whole number"),
        ({"split": " "}, "line 3: split must be a word"),
        ({"path_inside": "../../etc/x.obj"}, "line 3: .*leads out of the package"),
        ({"path_inside": "a!/etc/x.obj"}, "line 3: .*leads out of the package"),
        ({"path_inside": "a!"}, "line 3: path_inside names no file"),
        ({"package": "--help"}, "line 3: '--help' is not the name of a Debian package"),
        ({"path_inside": "usr/first.obj"}, "line 3: .*listed twice"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path: Path, row, message: str) -> None:
    path = table(tmp_path / "m.tsv", {"path_inside": "usr/first.obj"}, row)
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(path)
    assert "m.tsv" in str(caught.value)


def test_columns_must_be_the_known_ones(tmp_path: Path) -> None:
    path = table(tmp_path / "m.tsv", {}, columns=(*COLUMNS[:-1], "colour"))
    with pytest.raises(ValueError, match=r"missing \['split'\], unknown \['colour'\]"):
        read_manifest(path)


def test_order_of_columns_is_free(tmp_path: Path) -> None:
    (row,) = read_manifest(table(tmp_path / "m.tsv", {}, columns=COLUMNS[::-1]))
    assert (row.name, row.tier) == ("Bar", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have the tab-separated columns"),
        ("\t".join(COLUMNS).encode() + b"\ntoys\tx\n", "line 2: 10 columns required, got 2"),
        (b"\xff\xfe", "must have the tab-separated columns"),
    ],
)
def test_other_files_are_not_tables(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "m.tsv")


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.tsv"):
        read_manifest(tmp_path / "nothing.tsv")


def test_families_in_two_splits_are_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ({}, {"path_inside": "usr/other.obj", "split": "test"})
    with caplog.at_level(logging.WARNING):
        read_manifest(table(tmp_path / "m.tsv", *rows))
    assert "several splits: bar" in caplog.text


def test_tables_of_the_project_are_valid() -> None:
    folder = Path(__file__).parents[4] / "data"
    rows = read_manifest(folder / "debian_models.tsv")
    packages = read_packages(folder / "debian_packages.tsv")
    assert len(rows) == 506
    assert sum(row.tier == 1 for row in rows) == 287
    assert {row.package for row in rows} == set(packages)
    assert all(len(package.sha256) == 64 for package in packages.values())
    assert len({row.synset for row in rows if row.tier == 1}) == 13
    splits = {}
    assert all(splits.setdefault(row.group, row.split) == row.split for row in rows)


def test_unpinned_package_is_asked_for_without_a_version(source) -> None:
    made = source({"package": "other-toys"})
    asked: list[Package] = []
    made._cache.unpacked = lambda package: asked.append(package) or Path()
    made.objects()
    assert asked == [Package("other-toys")]
