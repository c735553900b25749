"""The oracle's distributions and t-conorms against textbooks, and what both promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from renderer_cuda.reference_family import Family, coverage, t_conorm
from renderer_cuda.validation import ALPHA_PARAMETERS, MODES

DISTRIBUTIONS = MODES["distribution"]
T_CONORMS = [name for name in MODES["alpha"] if name not in ("sum", "hard")]


# ---- distributions -------------------------------------------------------------------------------


def levy_density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 / x) / (2 * math.pi * x**3).sqrt()


# Densities as tables of distributions have them, with dist_shape 2 and without a shift.
DENSITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda x: 1 / (2 + x.exp() + (-x).exp()),
    "uniform": lambda x: 0.5 * (x.abs() < 1).double(),
    "cubic_hermite": lambda x: 0.75 * (1 - x.square()).clamp(min=0),
    "wigner_semicircle": lambda x: 2 / math.pi * (1 - x.square()).clamp(min=0).sqrt(),
    "gaussian": lambda x: torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi),
    "laplace": lambda x: torch.exp(-x.abs()) / 2,
    "gudermannian": lambda x: 1 / (math.pi * torch.cosh(x)),
    "cauchy": lambda x: 1 / (math.pi * (1 + x.square())),
    "reciprocal": lambda x: 1 / (2 * (1 + x.abs()).square()),
    "gumbel_max": lambda x: torch.exp(-x - torch.exp(-x)),
    "gumbel_min": lambda x: torch.exp(x - torch.exp(x)),
    "exponential": lambda x: torch.exp(-x) * (x > 0),
    "gamma": lambda x: x * torch.exp(-x) * (x > 0),
    "levy": lambda x: levy_density(x.clamp(min=1e-3)) * (x > 0),
}
DENSITIES |= {
    f"{name}_rev": lambda x, density=DENSITIES[name]: density(-x)  # type: ignore[misc]
    for name in ("exponential", "gamma", "levy")
}


def points() -> Tensor:
    """Points of a grid that meets no kink of a distribution."""
    return torch.linspace(-8, 8, 333, dtype=torch.float64) + 1e-3


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_derivative_of_coverage_is_the_density(name: str) -> None:
    x = points().requires_grad_()
    below, above = coverage(name, x)
    expected = DENSITIES[name](x.detach())
    for part, sign in ((below, 1), (above, -1)):
        (slope,) = torch.autograd.grad(part.sum(), x, retain_graph=True)
        torch.testing.assert_close(slope, sign * expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_coverage_rises_from_zero_to_one(name: str) -> None:
    x = torch.tensor([-1e30, *points().tolist(), 1e30], dtype=torch.float64)
    below, above = coverage(name, x)
    torch.testing.assert_close(below + above, torch.ones_like(x))
    assert (below.diff() >= 0).all()
    assert below[0] < 1e-9
    assert below[-1] > 1 - 1e-9


def test_a_shift_moves_one_sided_distributions_over_the_outline() -> None:
    x = points()
    for name in ("exponential", "gamma", "levy"):
        assert not coverage(name, x)[0][x < 0].any()
        moved = coverage(name, x, shift=1.5)[0]
        torch.testing.assert_close(moved, coverage(name, x + 1.5)[0])
        assert moved[(x < -0.5) & (x > -0.9)].all()
        reverse = coverage(f"{name}_rev", x, shift=1.5)[0]
        torch.testing.assert_close(reverse, coverage(name, -x + 1.5)[1])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("dist_eps", [1e-10, 1e-4, 0.3])
def test_the_reach_is_where_coverage_falls_to_dist_eps(name: str, dist_eps: float) -> None:
    family = Family(name, True, "product", 2.0, 0.0, 0.0)
    reach = family.reach(dist_eps)
    beyond, within = (
        family.coverage(torch.tensor(-reach * factor, dtype=torch.float64))[0].item()
        for factor in (1 + 1e-9, 1 - 1e-9)
    )
    assert beyond <= dist_eps * (1 + 1e-12)
    assert within >= dist_eps * (1 - 1e-12) or reach == 0


# ---- t-conorms -----------------------------------------------------------------------------------


def by_formula(alpha: str, a: Tensor, b: Tensor, p: float) -> Tensor:
    """The t-conorm of two numbers, as textbooks have it."""
    u, v = 1 - a, 1 - b
    formulas: dict[str, Callable[[], Tensor]] = {
        "maximum": lambda: torch.maximum(a, b),
        "product": lambda: a + b - a * b,
        "einstein": lambda: (a + b) / (1 + a * b),
        "hamacher": lambda: 1 - u * v / (p + (1 - p) * (u + v - u * v)),
        "frank": lambda: 1 - torch.log1p((p**u - 1) * (p**v - 1) / (p - 1)) / math.log(p),
        "yager": lambda: (a**p + b**p).pow(1 / p).clamp(max=1),
        "aczel_alsina": lambda: 1 - torch.exp(-(((-u.log()) ** p + (-v.log()) ** p) ** (1 / p))),
        "dombi": lambda: 1 - 1 / (1 + ((a / u) ** p + (b / v) ** p) ** (1 / p)),
        "schweizer_sklar": lambda: 1 - (u**p + v**p - 1) ** (1 / p),
    }
    return formulas[alpha]()


def parameters(alpha: str) -> list[float]:
    if alpha not in ALPHA_PARAMETERS:
        return [0.0]
    default = ALPHA_PARAMETERS[alpha][0]
    return [default, *((-0.5, -3.0) if alpha == "schweizer_sklar" else (0.5, 3.0))]


CASES = [(alpha, p) for alpha in T_CONORMS for p in parameters(alpha)]


@pytest.mark.parametrize(("alpha", "p"), CASES)
def test_t_conorms_equal_the_formulas_of_two_numbers(alpha: str, p: float) -> None:
    a, b = torch.rand(2, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pair = torch.stack([a, b], -1)
    folded = t_conorm(alpha, pair, 1 - pair, p)
    torch.testing.assert_close(folded, by_formula(alpha, a, b, p), rtol=1e-9, atol=1e-12)
    # Associative: three numbers at once are two and then the third.
    three = torch.stack([a, b, a.roll(1)], -1)
    expected = by_formula(alpha, by_formula(alpha, a, b, p), a.roll(1), p)
    torch.testing.assert_close(
        t_conorm(alpha, three, 1 - three, p), expected, rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize(("alpha", "p"), CASES)
def test_t_conorms_keep_one_number_and_reach_one(alpha: str, p: float) -> None:
    alone = torch.tensor([[1e-9, 0.0], [0.4, 0.0], [0.0, 0.0], [1.0, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(t_conorm(alpha, alone, 1 - alone, p), alone[:, 0])


@pytest.mark.parametrize(("alpha", "p"), CASES)
def test_t_conorms_are_finite_for_thousands_of_faces(alpha: str, p: float) -> None:
    covered = torch.linspace(0, 1, 5000, dtype=torch.float64).expand(3, -1).clone()
    covered[1] *= 1e-12
    covered[2] = 1
    covered.requires_grad_()
    alphas = t_conorm(alpha, covered, 1 - covered, p)
    assert torch.isfinite(alphas).all()
    assert (alphas <= 1).all()
    assert alphas[2].item() == pytest.approx(1)
    (slope,) = torch.autograd.grad(alphas.sum(), covered)
    assert torch.isfinite(slope).all()
