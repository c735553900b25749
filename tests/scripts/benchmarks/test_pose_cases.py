"""The problems of the benchmark of poses are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.command_line import Interruption
from recon.formats.meshes import save_mesh
from recon.geometry.meshes import Mesh, face_normals
from recon.geometry.rotations import rotation_distance

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import pose_cases

    return pose_cases


def test_the_cube_has_six_colours_on_closed_sides(cases) -> None:  # type: ignore[no-untyped-def]
    cube = cases.cube()
    corners = cube.vertices[cube.faces]
    assert cube.num_faces == 12
    assert len(cube.face_colors.unique(dim=0)) == 6
    # Normals point outwards, and the volume is that of half side 1.
    assert ((face_normals(corners) * corners.mean(1)).sum(1) > 0.5).all()
    volume = torch.linalg.det(corners).sum() / 6
    assert float(volume.abs()) == pytest.approx(8)
    for first in range(0, 12, 2):
        assert torch.equal(face_normals(corners)[first], face_normals(corners)[first + 1])
        assert torch.equal(cube.face_colors[first], cube.face_colors[first + 1])


def test_other_objects_are_as_large_and_centred(cases, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mesh = Mesh(torch.tensor([[5.0, 1, 1], [1, 3, 1], [1, 1, 2]]), torch.tensor([[0, 1, 2]]))
    save_mesh(tmp_path / "a.ply", mesh)
    for name in ("figure", str(tmp_path / "a.ply")):
        vertices = cases.read_object(name).vertices
        low, high = vertices.amin(0), vertices.amax(0)
        torch.testing.assert_close(low, -high)
        assert float(high.max()) == pytest.approx(2)
    assert cases.object_label("folder/archive.zip!folder/a.obj") == "a"
    with pytest.raises(FileNotFoundError, match="sphere"):
        cases.read_object("sphere")


def test_problems_start_so_far_from_the_truth_and_are_seeded(cases) -> None:  # type: ignore[no-untyped-def]
    cube = cases.cube()
    one, same, other = (cases.make_problems(cube, 23, 50.0, seed, 24) for seed in (1, 1, 2))
    angles = rotation_distance(one.start.rotation, one.truth.rotation)
    torch.testing.assert_close(angles, torch.full((23,), 50.0), rtol=0, atol=1e-2)
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.truth.rotation, other.truth.rotation)
    assert not one.start.translation.any()
    assert ((one.images[:, 3] > 0).flatten(1).sum(1) > 20).all()
    moved = cases.make_problems(cube, 23, 50.0, 1, 24, shift=0.3)
    assert float(moved.start.translation.std()) == pytest.approx(0.3, rel=0.3)
    parts = list(one.parts())
    assert [len(part.images) for part in parts] == [20, 3]
    assert torch.equal(parts[1].images, one.images[20:])
    assert torch.equal(parts[1].start.rotation, one.start.rotation[20:])


def test_every_method_of_one_start_comes_closer(  # type: ignore[no-untyped-def]
    cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = cases.make_problems(cases.cube(), 4, 15.0, 3, 24)
    before = rotation_distance(problems.start.rotation, problems.truth.rotation).mean()
    wide = (1e-2, 1e-3), (1e-1, 1e-2), (0.05, 0.02), 25
    found = {"rgb": cases.fit_rgb(problems, *wide)}
    short = cases.PoseFitter(
        cases.replace(cases.COARSE, steps=15, image_size=20),
        cases.replace(cases.FINE, steps=15),
        darkest=0.5,
    )
    found["channels"] = cases.fit_channels(problems, short).state
    found["multi"] = cases.fit_many(problems, short, starts=2, seed=0)
    for name, poses in found.items():
        after = rotation_distance(poses.rotation, problems.truth.rotation)
        assert float(after.median()) < 0.7 * float(before), name


def test_of_many_starts_the_least_loss_counts(cases) -> None:  # type: ignore[no-untyped-def]
    problems = cases.make_problems(cases.cube(), 3, 80.0, 3, 20)
    still = cases.PoseFitter(
        cases.replace(cases.COARSE, steps=0), cases.replace(cases.FINE, steps=0), darkest=0.5
    )
    one = cases.fit_channels(problems, still).loss
    best = cases.fit_many(problems, still, starts=12, seed=0)
    many = cases.fit_channels(problems, still, start=best).loss
    assert (many <= one).all()
    assert (many < one).any()


def test_a_signal_ends_a_method(cases) -> None:  # type: ignore[no-untyped-def]
    problems = cases.make_problems(cases.cube(), 2, 20.0, 3, 20)
    interruption = Interruption()
    interruption.signum = 2
    for method in cases.make_methods(["fixed", "channels", "multi"]).values():
        assert torch.isfinite(method(problems, interruption).rotation).all()


def test_unknown_methods_are_named(cases) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"must be of fixed, .*; got magic"):
        cases.make_methods(["fixed", "magic"])
