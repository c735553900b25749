"""The scenes have the faces they promise, and pairs are counted as a render shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.geometry.meshes import edges
from renderer_cuda import soft_silhouette

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_cases

    return benchmark_cases


def rendered_pairs(face_vertices: torch.Tensor, image_size: int, sigma: float) -> int:
    """Counts pairs by brute force: each face alone in an image, where it shows it has a part."""
    alone = face_vertices.double().reshape(-1, 1, 3, 3)
    return int((soft_silhouette(alone, image_size, sigma=sigma) > 0).sum())


@pytest.mark.parametrize("sigma", [1e-8, 1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("image_size", [13, 32])
def test_counts_the_pairs_a_render_shows(cases, image_size: int, sigma: float) -> None:  # type: ignore[no-untyped-def]
    case = cases.Case("silhouette", 2, image_size, 80, sigma)
    faces = cases.make_faces(case)
    assert cases.count_pairs(faces, image_size, sigma) == rendered_pairs(faces, image_size, sigma)


def test_counts_faces_partly_or_wholly_outside_the_image_and_bad_ones(cases) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(1)
    faces = torch.randn(1, 200, 3, 3, generator=generator) * 1.5
    faces[..., 2] = 2.0
    faces[0, 0, 0, 0] = float("nan")
    faces[0, 1, :, 2] = -1.0
    faces[0, 2] = faces[0, 2, :1]
    faces[0, 3, :, 0] += 1e6
    expected = rendered_pairs(faces, 16, 1e-3)
    assert expected > 1000
    assert cases.count_pairs(faces, 16, 1e-3) == expected


@pytest.mark.parametrize("at_once", [1, 100, 10_000])
def test_the_count_does_not_depend_on_how_it_is_cut(cases, monkeypatch, at_once: int) -> None:  # type: ignore[no-untyped-def]
    faces = cases.make_faces(cases.Case("rgb", 2, 24, 80))
    expected = cases.count_pairs(faces, 24, 1e-4)
    monkeypatch.setattr(cases, "CANDIDATES_AT_ONCE", at_once)
    assert cases.count_pairs(faces, 24, 1e-4) == expected


def test_counts_nothing_where_nothing_is_drawn(cases) -> None:  # type: ignore[no-untyped-def]
    assert cases.count_pairs(torch.zeros(2, 3, 3, 3), 8, 1e-4) == 0
    assert cases.count_pairs(torch.zeros(2, 0, 3, 3), 8, 1e-4) == 0


def test_the_sphere_of_the_training_scene_has_the_pairs_the_targets_speak_of(cases) -> None:  # type: ignore[no-untyped-def]
    """The targets for 64x64 silhouettes are stated for 18.6 thousand pairs per image."""
    case = cases.CASES[0]
    faces = cases.make_faces(case)[::8]
    assert cases.count_pairs(faces, 64, case.sigma) / len(faces) == pytest.approx(18_600, rel=0.02)


@pytest.mark.parametrize("faces", [80, 1280, 5856])
def test_spheres_are_closed_and_wound_to_face_outward(cases, faces: int) -> None:  # type: ignore[no-untyped-def]
    mesh = cases.sphere(faces)
    assert mesh.num_faces == faces
    assert 2 * len(edges(mesh.faces)) == 3 * faces  # closed: each edge has two faces
    assert mesh.num_vertices - len(edges(mesh.faces)) + faces == 2
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    outward = (torch.linalg.cross(b - a, c - a, dim=-1) * (a + b + c)).sum(-1)
    assert bool((outward > 0).all())
    torch.testing.assert_close(mesh.vertices.norm(dim=-1), torch.ones(mesh.num_vertices))


def test_refuses_a_number_of_faces_no_sphere_has(cases) -> None:  # type: ignore[no-untyped-def]
    for faces in (0, 21, 5855):
        with pytest.raises(ValueError, match="faces must be"):
            cases.sphere(faces)


def test_every_case_can_be_made_and_is_counted(cases) -> None:  # type: ignore[no-untyped-def]
    every = (*cases.CASES, *cases.QUICK_CASES, *cases.MEMORY_CASES)
    for case in every:
        assert case.faces in (80, 320, *cases.ICOSPHERES, *cases.UV_SPHERES)
        assert (case.kind, "forward") in cases.WORK
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
