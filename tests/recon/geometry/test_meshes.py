from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from recon.geometry.meshes import (
    Mesh,
    count_components,
    edges,
    face_normals,
    face_pairs_of_edges,
    gather_rows,
    icosphere,
    scatter_rows,
    subdivide,
    vertex_normals,
    welded,
)

TETRAHEDRON = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Mesh -----------------------------------------------------------------------------------------


def test_mesh_counts_and_colors() -> None:
    mesh = Mesh(torch.zeros(4, 3), TETRAHEDRON, torch.full((4, 3), 0.5))
    assert (mesh.num_vertices, mesh.num_faces) == (4, 4)
    assert mesh.to("cpu").face_colors is not None


@pytest.mark.parametrize(
    ("vertices", "faces", "colors", "message"),
    [
        (torch.zeros(4, 2), TETRAHEDRON, None, r"vertices must be a tensor of shape \[N, 3\]"),
        (torch.zeros(4, 3).double(), TETRAHEDRON, None, "vertices must have dtype"),
        (torch.zeros(4, 3), TETRAHEDRON.int(), None, "faces must have dtype"),
        (torch.zeros(3, 3), TETRAHEDRON, None, r"indices in \[0, 2\], got 0 to 3"),
        (torch.zeros(4, 3), TETRAHEDRON - 1, None, "got -1 to 2"),
        (torch.zeros(4, 3), TETRAHEDRON[:0], None, "faces must have at least one row"),
        (torch.full((4, 3), torch.nan), TETRAHEDRON, None, "vertices must be finite"),
        (torch.zeros(4, 3), TETRAHEDRON, torch.zeros(3, 3), "one row per face"),
        (torch.zeros(4, 3), TETRAHEDRON, torch.full((4, 3), 2.0), r"lie in \[0, 1\]"),
        (torch.zeros(4, 3), TETRAHEDRON, torch.full((4, 3), torch.nan), r"lie in \[0, 1\]"),
    ],
)
def test_bad_meshes_are_refused(
    vertices: Tensor, faces: Tensor, colors: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Mesh(vertices, faces, colors)


# --- Gathering ------------------------------------------------------------------------------------


def test_gather_and_scatter_pass_gradcheck_twice() -> None:
    index = torch.tensor([2, 0, 0, 3, 2])
    values, rows = random(4, 2).requires_grad_(), random(5, 2).requires_grad_()
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x: gather_rows(x, index), (values,))
        assert check(lambda x: scatter_rows(x, index, 4), (rows,))


def test_scatter_is_the_transpose_of_gather() -> None:
    index = torch.tensor([1, 1, 4, 0])
    values, rows = random(5, 3), random(4, 3, seed=1)
    left = (gather_rows(values, index) * rows).sum()
    torch.testing.assert_close(left, (values * scatter_rows(rows, index, 5)).sum())


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_gradient_of_gather_is_the_same_bits_every_time() -> None:
    # Few rows and many indices, where the gradient of plain indexing differs from run to run.
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, 12, (300_000,), generator=generator)
    weight = torch.randn(300_000, 3, generator=generator).exp()
    values = torch.zeros(12, 3, requires_grad=True)

    def gradient() -> Tensor:
        return torch.autograd.grad((gather_rows(values, index) * weight).sum(), values)[0]

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(10))


def test_bad_gathers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dtype torch.int64, got torch.int32"):
        gather_rows(torch.zeros(4, 3), TETRAHEDRON.int())
    with pytest.raises(ValueError, match=r"values must have shape \[N, C\]"):
        gather_rows(torch.zeros(1, 4, 3), TETRAHEDRON)
    with pytest.raises(ValueError, match=r"rows must have shape \[M, C\]"):
        scatter_rows(torch.zeros(4, 3), torch.zeros(3, dtype=torch.int64), 4)


# --- Normals --------------------------------------------------------------------------------------


def test_face_normals_of_a_hand_made_triangle_and_of_a_tiny_one() -> None:
    triangle = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    for scale in (1.0, 1e-6):
        torch.testing.assert_close(face_normals(triangle * scale), torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(face_normals(triangle.flip(0)), torch.tensor([0.0, 0.0, -1.0]))


def test_face_normals_are_differentiable_and_safe_without_area() -> None:
    assert torch.autograd.gradcheck(face_normals, (random(3, 3, 3).requires_grad_(),))
    flat = torch.ones(1, 3, 3, requires_grad=True)
    normals = face_normals(flat)
    assert torch.equal(normals, torch.zeros(1, 3))
    assert torch.equal(torch.autograd.grad(normals.sum(), flat)[0], torch.zeros(1, 3, 3))


# --- Topology -------------------------------------------------------------------------------------


def test_edges_and_pairs_of_a_tetrahedron() -> None:
    assert edges(TETRAHEDRON).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    pairs, quads = face_pairs_of_edges(TETRAHEDRON)
    assert len(pairs) == 6
    assert quads[0].tolist() == [0, 1, 2, 3]
    assert pairs[0].tolist() == [0, 1]


@pytest.mark.parametrize("subdivisions", [0, 1, 2])
def test_every_edge_of_a_sphere_joins_two_faces(subdivisions: int) -> None:
    faces = icosphere(subdivisions).faces
    pairs, quads = face_pairs_of_edges(faces)
    assert torch.equal(quads[:, :2], edges(faces))
    assert (pairs[:, 0] < pairs[:, 1]).all()
    for (f, g), (v0, v1, v2, v3) in zip(pairs.tolist(), quads.tolist(), strict=True):
        assert set(faces[f].tolist()) == {v0, v1, v2}
        assert set(faces[g].tolist()) == {v0, v1, v3}


def test_boundary_nonmanifold_and_degenerate_edges_have_no_pair() -> None:
    strip = torch.tensor([[0, 1, 2], [2, 1, 3]])
    assert face_pairs_of_edges(strip)[1].tolist() == [[1, 2, 0, 3]]
    fin = torch.cat((strip, torch.tensor([[1, 2, 4]])))
    assert len(face_pairs_of_edges(fin)[0]) == 0
    degenerate = torch.tensor([[0, 0, 1]])
    assert edges(degenerate).tolist() == [[0, 1]]
    assert len(face_pairs_of_edges(degenerate)[0]) == 0


# --- Icosphere ------------------------------------------------------------------------------------


@pytest.mark.parametrize("subdivisions", [0, 1, 2, 3, 4])
def test_icosphere_is_a_closed_outward_sphere_of_the_stated_size(subdivisions: int) -> None:
    mesh = icosphere(subdivisions)
    assert mesh.num_vertices == 10 * 4**subdivisions + 2
    assert mesh.num_faces == 20 * 4**subdivisions
    torch.testing.assert_close(mesh.vertices.norm(dim=1), torch.ones(mesh.num_vertices))
    # Euler: V - E + F = 2, and every edge belongs to exactly two faces, in opposite directions.
    assert mesh.num_vertices - len(edges(mesh.faces)) + mesh.num_faces == 2
    assert len(face_pairs_of_edges(mesh.faces)[0]) == len(edges(mesh.faces))
    directed = torch.cat([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    assert len(torch.unique(directed, dim=0)) == len(directed)
    corners = mesh.vertices[mesh.faces]
    assert ((face_normals(corners) * corners.mean(1)).sum(1) > 0.7).all()
    assert len(torch.unique(mesh.vertices, dim=0)) == mesh.num_vertices


def test_subdivision_keeps_surface_winding_and_old_vertices() -> None:
    mesh = icosphere(1)
    vertices, faces = subdivide(mesh.vertices, mesh.faces)
    assert torch.equal(vertices[: mesh.num_vertices], mesh.vertices)
    assert len(vertices) == mesh.num_vertices + len(edges(mesh.faces))
    assert faces.shape == (4 * mesh.num_faces, 3)
    old, new = face_normals(mesh.vertices[mesh.faces]), face_normals(vertices[faces])
    assert torch.allclose(new, old.repeat_interleave(4, dim=0), atol=1e-5)
    scalars, _ = subdivide(mesh.vertices[:, :1], mesh.faces)
    assert torch.equal(scalars, vertices[:, :1])


def test_icosphere_is_deterministic_symmetric_and_nearly_uniform() -> None:
    mesh = icosphere(3)
    again = icosphere(3)
    assert torch.equal(mesh.vertices, again.vertices)
    assert torch.equal(mesh.faces, again.faces)
    mirrored = torch.unique(mesh.vertices * torch.tensor([-1.0, 1.0, 1.0]) + 0.0, dim=0)
    torch.testing.assert_close(mirrored, torch.unique(mesh.vertices + 0.0, dim=0), atol=0, rtol=0)
    ends = mesh.vertices[edges(mesh.faces)]
    lengths = (ends[:, 0] - ends[:, 1]).norm(dim=1)
    assert lengths.max() / lengths.min() < 1.3


@pytest.mark.parametrize("subdivisions", [-1, 8])
def test_icosphere_refuses_bad_subdivisions(subdivisions: int) -> None:
    with pytest.raises(ValueError, match="subdivisions must lie in"):
        icosphere(subdivisions)


def test_normals_of_vertices_are_means_by_area() -> None:
    sphere = icosphere(2)
    vertices = torch.stack((sphere.vertices, 3 * sphere.vertices.flip(1)))
    normals = vertex_normals(vertices, sphere.faces)
    torch.testing.assert_close(normals[0], sphere.vertices, atol=0.03, rtol=0)
    torch.testing.assert_close(normals[1], -sphere.vertices.flip(1), atol=0.03, rtol=0)
    # Two faces at a fold, one twice as large as the other; vertex 4 has none.
    fold = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2], [9, 9, 9]]])
    normals = vertex_normals(fold, torch.tensor([[0, 1, 2], [0, 3, 1]]))[0]
    torch.testing.assert_close(normals[0], torch.tensor([0.0, 2, 1]) / 5**0.5)
    assert normals[2].tolist() == [0, 0, 1]
    assert normals[4].tolist() == [0, 0, 0]


def test_normals_of_vertices_have_gradients() -> None:
    vertices = random(2, 6, 3, seed=1).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [2, 1, 3], [3, 4, 0]])
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), (vertices,))


# --- Welding --------------------------------------------------------------------------------------


def test_loose_triangles_are_welded_to_the_mesh_they_were() -> None:
    mesh = icosphere(2)
    loose = Mesh(mesh.vertices[mesh.faces].flatten(0, 1), torch.arange(960).reshape(-1, 3))
    assert count_components(loose.faces) == 320
    whole = welded(loose)
    assert (whole.num_vertices, count_components(whole.faces)) == (162, 1)
    assert torch.equal(whole.vertices[whole.faces], mesh.vertices[mesh.faces])


def test_welding_keeps_order_colours_and_merges_both_zeros() -> None:
    colors = torch.rand(320, 3)
    sphere = icosphere(2)
    mesh = Mesh(sphere.vertices, sphere.faces, colors)
    same = welded(mesh)
    assert torch.equal(same.vertices, mesh.vertices)
    assert torch.equal(same.faces, mesh.faces)
    rows = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, 0, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 3, 1], [3, 2, 1]])
    whole = welded(Mesh(rows, faces, torch.eye(3)))
    assert whole.faces.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert whole.face_colors is not None
    assert torch.equal(whole.face_colors, torch.eye(3)[[0, 2]])


def test_vertices_of_no_face_are_no_components() -> None:
    assert count_components(torch.tensor([[0, 1, 2], [5, 6, 7], [7, 8, 9]])) == 2
