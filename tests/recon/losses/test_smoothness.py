from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import pytest
import torch
from torch import Tensor

from recon.geometry.meshes import face_pairs_of_edges, icosphere
from recon.losses.smoothness import FlattenLoss, LaplacianLoss, NeighbourMeans

CUBE_VERTICES = torch.tensor(
    [[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)], dtype=torch.float64
)
CUBE_FACES = torch.tensor(
    [
        face
        for a, b, c, d in (
            (0, 1, 3, 2),
            (4, 6, 7, 5),
            (0, 4, 5, 1),
            (2, 3, 7, 6),
            (0, 2, 6, 4),
            (1, 5, 7, 3),
        )
        for face in ((a, b, c), (a, c, d))
    ]
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jittered_sphere(subdivisions: int = 1, batch: int = 2, size: float = 0.2) -> Tensor:
    sphere = icosphere(subdivisions).vertices.double()
    return sphere + size * (random(batch, *sphere.shape) - 0.5)


# --- Laplacian ------------------------------------------------------------------------------------


def dense_laplacian(faces: Tensor, num_vertices: int) -> Tensor:
    adjacency = torch.zeros(num_vertices, num_vertices, dtype=torch.float64)
    for face in faces.tolist():
        for i, j in combinations(face, 2):
            adjacency[i, j] = adjacency[j, i] = 1
    degree = adjacency.sum(1, keepdim=True)
    return torch.diag((degree[:, 0] > 0).double()) - adjacency / degree.clamp(min=1)


def test_laplacian_of_the_regular_icosahedron() -> None:
    # The five neighbours of a unit vertex v average to v / sqrt(5).
    mesh = icosphere(0)
    loss = LaplacianLoss(mesh.faces, 12)(mesh.vertices[None].double())
    assert loss.item() == pytest.approx(12 * (1 - 1 / math.sqrt(5)) ** 2, rel=1e-6)


def test_laplacian_equals_a_dense_matrix() -> None:
    mesh = icosphere(1)
    vertices = jittered_sphere(1, batch=3)
    matrix = dense_laplacian(mesh.faces, mesh.num_vertices)
    module = LaplacianLoss(mesh.faces, mesh.num_vertices)
    means = module.neighbour_means(vertices.transpose(0, 1).flatten(1))
    differences = vertices - means.unflatten(1, (3, 3)).transpose(0, 1)
    torch.testing.assert_close(differences, matrix @ vertices)
    expected = (matrix @ vertices).square().sum((1, 2)).mean()
    torch.testing.assert_close(module(vertices), expected)


def test_laplacian_is_a_sum_over_vertices_and_a_mean_over_the_batch() -> None:
    mesh = icosphere(1)
    vertices = jittered_sphere(1, batch=1)
    once = LaplacianLoss(mesh.faces, 42)(vertices)
    torch.testing.assert_close(LaplacianLoss(mesh.faces, 42)(vertices.expand(4, -1, -1)), once)
    two_faces = torch.cat((mesh.faces, mesh.faces + 42))
    torch.testing.assert_close(LaplacianLoss(two_faces, 84)(vertices.repeat(1, 2, 1)), 2 * once)
    torch.testing.assert_close(LaplacianLoss(mesh.faces, 42)(3 * vertices + 7), 9 * once)


def test_laplacian_ignores_vertices_without_neighbours() -> None:
    # The first, one between others, and the last.
    module = LaplacianLoss(torch.tensor([[1, 2, 4]]), 6)
    vertices = random(2, 6, 3).requires_grad_()
    loss = module(vertices)
    (gradient,) = torch.autograd.grad(loss, vertices)
    alone = [0, 3, 5]
    assert torch.equal(gradient[:, alone], torch.zeros(2, 3, 3, dtype=torch.float64))
    assert gradient[:, [1, 2, 4]].abs().min() > 0
    triangle = LaplacianLoss(torch.tensor([[0, 1, 2]]), 3)
    torch.testing.assert_close(loss, triangle(vertices[:, [1, 2, 4]]))


def test_laplacian_passes_gradcheck_twice() -> None:
    module = LaplacianLoss(icosphere(0).faces, 12)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(module, (jittered_sphere(0).requires_grad_(),))


def test_means_of_neighbours_add_in_the_order_of_their_indices() -> None:
    # In float32 the order of a sum shows in its value.
    means = NeighbourMeans(torch.tensor([[0, 3], [0, 2], [0, 1]]), 4)
    values = torch.tensor([[0.0], [1e8], [1.0], [-1e8]])
    assert means(values)[0].item() == 0
    assert means.neighbours.tolist() == [3, 2, 1, 0, 0, 0]


def test_pairs_of_a_graph_are_checked() -> None:
    with pytest.raises(ValueError, match=r"pairs must be \[E, 2\] int64, got \[2, 3\]"):
        NeighbourMeans(torch.zeros(2, 3, dtype=torch.int64), 4)
    with pytest.raises(ValueError, match=r"pairs must name nodes in \[0, 3\), got 3"):
        NeighbourMeans(torch.tensor([[0, 3]]), 3)
    nothing = NeighbourMeans(torch.zeros(0, 2, dtype=torch.int64), 3)
    assert torch.equal(nothing(torch.arange(6.0).view(3, 2)), torch.arange(6.0).view(3, 2))


# --- Flatten --------------------------------------------------------------------------------------


def test_flatten_of_a_cube_and_of_the_icosahedron() -> None:
    # Cube: 12 edges at a right angle give (0 + 1)^2 each, 6 diagonals are flat.
    assert FlattenLoss(CUBE_FACES)(CUBE_VERTICES[None]).item() == pytest.approx(12, rel=1e-5)
    # Icosahedron: 30 edges, cos of the dihedral angle -sqrt(5) / 3.
    mesh = icosphere(0)
    expected = 30 * (1 - math.sqrt(5) / 3) ** 2
    loss = FlattenLoss(mesh.faces)(mesh.vertices[None].double())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_flatten_of_a_plane_is_zero_and_has_no_gradient() -> None:
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)).double()
    flat = torch.cat((grid, 0.3 * grid[:, :1] - 0.7 * grid[:, 1:]), dim=1) + 0.1
    corner = torch.tensor([4 * i + j for i in range(3) for j in range(3)])[:, None]
    faces = torch.cat((corner + torch.tensor([0, 4, 1]), corner + torch.tensor([1, 4, 5])))
    flat = flat[None].requires_grad_()
    loss = FlattenLoss(faces)(flat)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert torch.autograd.grad(loss, flat)[0].abs().max() < 1e-5


@pytest.mark.parametrize("angle", [30.0, 90.0, 150.0, 180.0])
def test_flatten_of_a_hinge(angle: float) -> None:
    theta = math.radians(angle)
    # v2 and v3 lie at different places along the edge, which must not matter.
    wing = [0.2, 0.5 * math.cos(theta), 0.5 * math.sin(theta)]
    vertices = torch.tensor([[[0, 0, 0], [1, 0, 0], [0.7, 0.8, 0], wing]], dtype=torch.float64)
    module = FlattenLoss(torch.tensor([[0, 1, 2], [0, 3, 1]]))
    assert module.cosines(vertices).item() == pytest.approx(math.cos(theta), abs=1e-5)
    assert module(vertices).item() == pytest.approx((math.cos(theta) + 1) ** 2, abs=1e-5)


def test_flatten_equals_normals_of_face_pairs_found_by_search() -> None:
    mesh = icosphere(1)
    vertices = jittered_sphere(1, batch=1)
    total = 0.0
    corners = vertices[0][mesh.faces]
    normals = torch.linalg.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=1
    )
    normals = torch.nn.functional.normalize(normals, dim=1)
    for f, g in combinations(range(mesh.num_faces), 2):
        if len(set(mesh.faces[f].tolist()) & set(mesh.faces[g].tolist())) == 2:
            total += (1 - float(normals[f] @ normals[g])) ** 2
    assert FlattenLoss(mesh.faces)(vertices).item() == pytest.approx(total, rel=1e-4)


def test_flatten_is_a_mean_over_the_batch_and_passes_gradcheck() -> None:
    module = FlattenLoss(icosphere(0).faces)
    vertices = jittered_sphere(0)
    mean = (module(vertices[:1]) + module(vertices[1:])) / 2
    torch.testing.assert_close(module(vertices), mean)
    assert torch.autograd.gradcheck(module, (vertices.requires_grad_(),))


def plain_flatten(faces: Tensor, vertices: Tensor) -> Tensor:
    """The loss by the formula of its docstring, of which autograd makes the gradient."""
    corners = vertices[:, face_pairs_of_edges(faces)[1]]
    start, end, *opposite = corners.unbind(2)
    along = end - start

    def dot(left: Tensor, right: Tensor) -> Tensor:
        return (left * right).sum(2, keepdim=True)

    def height(corner: Tensor) -> Tensor:
        side = corner - start
        return side - dot(side, along) / (dot(along, along) + 1e-6) * along

    one, other = map(height, opposite)
    lengths = ((dot(one, one) + 1e-6) * (dot(other, other) + 1e-6)).sqrt()
    return (dot(one, other) / lengths + 1).square().sum((1, 2)).mean()


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_flatten_and_its_gradient_are_those_of_the_formula(size: float, dtype: torch.dtype) -> None:
    # Down to triangles that the epsilon damps.
    mesh = icosphere(1)
    exact = (size * jittered_sphere(1, size=0.5)).requires_grad_()
    expected = plain_flatten(mesh.faces, exact)
    vertices = exact.detach().to(dtype).requires_grad_()
    loss = FlattenLoss(mesh.faces)(vertices)
    rounding = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4}
    gradients = [
        torch.autograd.grad(value, x)[0] for value, x in ((expected, exact), (loss, vertices))
    ]
    largest = gradients[0].abs().max()
    expected_gradient, gradient = (each.double() / largest for each in gradients)
    rounding.setdefault("atol", 1e-4)
    torch.testing.assert_close(loss.double(), expected, **rounding)
    torch.testing.assert_close(gradient, expected_gradient, **rounding)


def test_flatten_leaves_vertices_of_no_face_alone_and_takes_meshes_without_inner_edges() -> None:
    mesh = icosphere(0)
    vertices = torch.cat((jittered_sphere(0), random(2, 3, 3)), dim=1).requires_grad_()
    module = FlattenLoss(mesh.faces)
    (gradient,) = torch.autograd.grad(module(vertices), vertices)
    assert torch.equal(gradient[:, 12:], torch.zeros(2, 3, 3, dtype=torch.float64))
    (expected,) = torch.autograd.grad(module(vertices[:, :12]), vertices)
    assert torch.equal(gradient, expected)
    alone = vertices[:, :3].detach().requires_grad_()
    loss = FlattenLoss(torch.tensor([[0, 1, 2]]))(alone)
    assert loss.item() == 0
    assert torch.equal(torch.autograd.grad(loss, alone)[0], torch.zeros_like(alone))


def test_flatten_refuses_a_second_derivative() -> None:
    vertices = jittered_sphere(0).requires_grad_()
    loss = FlattenLoss(icosphere(0).faces)(vertices)
    (gradient,) = torch.autograd.grad(loss, vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("collapse", ["all", "line", "edge", "needle"])
def test_flatten_has_a_bounded_gradient_at_degenerate_triangles(collapse: str) -> None:
    mesh = icosphere(1)
    vertices = mesh.vertices.clone()
    if collapse == "all":
        vertices[:] = 0.3
    elif collapse == "line":
        vertices[:, 1:] = 0
    elif collapse == "edge":
        vertices[mesh.faces[0, 0]] = vertices[mesh.faces[0, 1]]
    else:
        vertices *= torch.tensor([1.0, 1e-7, 1e-7])
    vertices = vertices[None].requires_grad_()
    loss = FlattenLoss(mesh.faces)(vertices)
    (gradient,) = torch.autograd.grad(loss, vertices)
    assert torch.isfinite(loss)
    # At most about 1 / sqrt(eps) = 1e3 per edge and end, and 12 edges touch a vertex.
    assert gradient.abs().max() < 5e4


# --- All ------------------------------------------------------------------------------------------


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["laplacian", "flatten"])
def test_regularisers_give_the_same_bits_every_time(name: str) -> None:
    mesh = icosphere(3)
    module = FlattenLoss(mesh.faces) if name == "flatten" else LaplacianLoss(mesh.faces, 642)
    vertices = jittered_sphere(3, batch=16).float().requires_grad_()

    def evaluate() -> tuple[Tensor, Tensor]:
        loss = module(vertices)
        return loss, torch.autograd.grad(loss, vertices)[0]

    first = evaluate()
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(evaluate(), first, strict=True))


def test_regularisers_keep_nothing_in_checkpoints_and_widen_half_precision() -> None:
    mesh = icosphere(0)
    for module in (LaplacianLoss(mesh.faces, 12), FlattenLoss(mesh.faces)):
        assert module.state_dict() == {}
        assert module(mesh.vertices[None].bfloat16()).dtype == torch.float32


def test_regularisers_refuse_bad_input() -> None:
    faces = icosphere(0).faces
    with pytest.raises(ValueError, match="faces must index 11 vertices, got 11"):
        LaplacianLoss(faces, 11)
    with pytest.raises(ValueError, match=r"shape \[B, 12, 3\], got \(1, 13, 3\)"):
        LaplacianLoss(faces, 12)(torch.zeros(1, 13, 3))
    with pytest.raises(ValueError, match=r"at least 12, got \(1, 11, 3\)"):
        FlattenLoss(faces)(torch.zeros(1, 11, 3))
    with pytest.raises(ValueError, match=r"shape \[B, V, 3\], got \(12, 3\)"):
        FlattenLoss(faces)(torch.zeros(12, 3))
    for bad in (faces.int(), faces[:, :2], faces[:0]):
        with pytest.raises(ValueError, match=r"faces must be \[F, 3\] int64"):
            FlattenLoss(bad)
    with pytest.raises(ValueError, match="indices >= 0, got -1"):
        LaplacianLoss(faces - 1, 12)
