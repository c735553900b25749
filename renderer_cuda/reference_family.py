"""The oracle's distributions and t-conorms: the family of soft rasterizers of GenDR.

Petersen et al., "GenDR: A Generalized Differentiable Renderer", CVPR 2022 (arXiv 2204.13845). Each
distribution is written as D and 1 - D, so that neither is lost beside the other; t-conorms are sums
of additive generators (Klement, Mesiar and Pap, "Triangular Norms", 2000), taken in
logarithms where they are powers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

# Exponents x are cut to this, like those of the kernels: their squares stay finite.
MAX_EXPONENT = 1e30


@dataclass(frozen=True)
class Family:
    """Which soft rasterizer: how a distance becomes coverage, and coverages become alpha.

    Args:
        distribution: The name of the distribution.
        squared: Whether x is the signed square of the distance over sigma.
        alpha: The name of the t-conorm.
        shape: The shape of the distribution.
        shift: The shift of the distribution.
        parameter: The parameter of the t-conorm.
    """

    distribution: str
    squared: bool
    alpha: str
    shape: float
    shift: float
    parameter: float

    def coverage(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coverages D(x) and 1 - D(x)."""
        return coverage(self.distribution, x, self.shape, self.shift)

    def reach(self, dist_eps: float) -> float:
        """Return the r >= 0 at which D(-r) falls to dist_eps, 0 where it never exceeds it."""
        if self.distribution == "logistic":
            return math.log(1 / dist_eps - 1)

        def reaches(distance: float) -> bool:
            return self.coverage(torch.tensor(-distance, dtype=torch.float64))[0].item() > dist_eps

        return _last(reaches, 1e-30, MAX_EXPONENT)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition that holds up to some number ends, by bisection of its logarithm."""
    if not holds(low):
        return 0.0
    if holds(high):
        return high
    for _ in range(80):
        middle = math.sqrt(low) * math.sqrt(high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


# ---- distributions -------------------------------------------------------------------------------


def coverage(
    distribution: str, x: Tensor, shape: float = 2.0, shift: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return D(x) and 1 - D(x) of a distribution, for x of any shape, float64."""
    x = x.clamp(-MAX_EXPONENT, MAX_EXPONENT)
    if distribution == "gumbel_min":
        return coverage("gumbel_max", -x)[::-1]
    if distribution.endswith("_rev"):
        return coverage(distribution.removesuffix("_rev"), -x, shape, shift)[::-1]
    if distribution in _ONE_SIDED:
        return _one_sided(distribution, x + shift, shape)
    return _CUMULATIVES[distribution](x)


def _both_sides(upper_tail: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return D and 1 - D of a symmetric distribution from its upper tail 1 - D(x)."""
    return upper_tail(-x), upper_tail(x)


def _logistic(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(x), torch.sigmoid(-x)


def _uniform(x: Tensor) -> tuple[Tensor, Tensor]:
    return _both_sides(lambda x: (0.5 - 0.5 * x).clamp(0, 1), x)


def _cubic_hermite(x: Tensor) -> tuple[Tensor, Tensor]:
    y, z = _uniform(x)
    return y.square() * (3 - 2 * y), z.square() * (3 - 2 * z)


def _wigner_semicircle(x: Tensor) -> tuple[Tensor, Tensor]:
    inside = x.abs() < 1
    safe = x.where(inside, 0.0)
    below = 0.5 + (safe * (1 - safe.square()).sqrt() + safe.asin()) / math.pi
    return below.where(inside, (x > 0).to(x)), (1 - below).where(inside, (x < 0).to(x))


def _gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    return _both_sides(lambda x: 0.5 * torch.erfc(x / math.sqrt(2)), x.clamp(-38, 38))


def _laplace(x: Tensor) -> tuple[Tensor, Tensor]:
    def upper_tail(x: Tensor) -> Tensor:
        above = x >= 0
        far = 0.5 * torch.exp(-x.where(above, 0.0))
        return far.where(above, 1 - 0.5 * torch.exp(x.where(~above, 0.0)))

    return _both_sides(upper_tail, x)


def _gudermannian(x: Tensor) -> tuple[Tensor, Tensor]:
    return _both_sides(lambda x: 2 / math.pi * torch.atan(torch.exp(-x)), x.clamp(-700, 700))


def _cauchy(x: Tensor) -> tuple[Tensor, Tensor]:
    one = torch.ones_like(x)
    return _both_sides(lambda x: torch.atan2(one, x) / math.pi, x)


def _reciprocal(x: Tensor) -> tuple[Tensor, Tensor]:
    def upper_tail(x: Tensor) -> Tensor:
        above = x >= 0
        far = 0.5 / (1 + x.where(above, 0.0))
        return far.where(above, 1 - 0.5 / (1 - x.where(~above, 0.0)))

    return _both_sides(upper_tail, x)


def _gumbel_max(x: Tensor) -> tuple[Tensor, Tensor]:
    hazard = torch.exp(-x.clamp(-6.55, 700))  # D is 1e-304 at the lower end
    return torch.exp(-hazard), -torch.expm1(-hazard)


def _one_sided(distribution: str, t: Tensor, shape: float) -> tuple[Tensor, Tensor]:
    """Return F(t) and 1 - F(t) of a distribution on t > 0."""
    positive = t > (5e-3 if distribution == "levy" else 0)  # F of levy is below 1e-44 there
    safe = t.where(positive, 1.0)
    if distribution == "exponential":
        below, above = -torch.expm1(-safe), torch.exp(-safe)
    elif distribution == "levy":
        root = (0.5 / safe).sqrt()
        below, above = torch.erfc(root), torch.erf(root)
    else:
        a = torch.full_like(safe, shape)
        safe = safe.clamp(max=shape + 800)
        below, above = torch.special.gammainc(a, safe), torch.special.gammaincc(a, safe)
    return below.where(positive, 0.0), above.where(positive, 1.0)


_ONE_SIDED = ("exponential", "gamma", "levy")

_CUMULATIVES: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "logistic": _logistic,
    "uniform": _uniform,
    "cubic_hermite": _cubic_hermite,
    "wigner_semicircle": _wigner_semicircle,
    "gaussian": _gaussian,
    "laplace": _laplace,
    "gudermannian": _gudermannian,
    "cauchy": _cauchy,
    "reciprocal": _reciprocal,
    "gumbel_max": _gumbel_max,
}


# ---- t-conorms -----------------------------------------------------------------------------------

# 1 - D counts as no less than this where a generator divides by it or takes its logarithm.
LEAST_COMPLEMENT = 1e-30


def _norm(numbers: Tensor, p: float) -> Tensor:
    """Return the p-norm [P] of numbers [P, F] >= 0, by a log-sum-exp: for every p > 0 finite."""
    positive = numbers > 0
    # e^-1e5 is zero: what is not there adds nothing, and has no gradient.
    logarithms = numbers.where(positive, 1.0).log().where(positive, -1e5)
    return torch.exp(torch.logsumexp(p * logarithms, -1) / p)


def t_conorm(alpha: str, covered: Tensor, complement: Tensor, parameter: float) -> Tensor:
    """Return alpha [P] of coverages D [P, F] and 1 - D, zero and one for pairs without support."""
    if covered.shape[-1] == 0:
        return covered.sum(-1)
    if alpha == "maximum":
        return covered.gather(-1, covered.detach().argmax(-1, keepdim=True))[..., 0]
    if alpha == "product":
        return 1 - complement.prod(-1)
    if alpha == "yager":
        return _norm(covered, parameter).clamp(max=1)
    complement = complement.clamp(min=LEAST_COMPLEMENT)
    minus_log = torch.where(
        complement < 0.5, -complement.log(), -torch.log1p(-covered.clamp(max=0.75))
    )
    if alpha == "aczel_alsina":
        return -torch.expm1(-_norm(minus_log, parameter))
    if alpha == "dombi":
        norm = _norm(covered / complement, parameter)
        return norm / (1 + norm)
    if alpha == "schweizer_sklar":
        return _schweizer_sklar(minus_log, -parameter)
    if alpha == "frank":
        return _frank(covered, complement, math.log(parameter))
    return _hamacher(covered / complement, 2.0 if alpha == "einstein" else parameter)


def _hamacher(odds: Tensor, p: float) -> Tensor:
    """The sum of log(1 + p odds) / p; alpha / (1 - alpha) = (e^(p S) - 1) / p."""
    if p == 0:
        total = odds.sum(-1)
        return total / (1 + total)
    exponent = torch.log1p(p * odds).sum(-1).clamp(max=700)
    above = -torch.expm1(-exponent)
    return above / (above + p * torch.exp(-exponent))


def _frank(covered: Tensor, complement: Tensor, log_p: float) -> Tensor:
    """The sum of -log((p^(1 - D) - 1) / (p - 1))."""
    ratios = torch.expm1(log_p * covered) / -torch.expm1(-log_p * complement)
    total = torch.log1p(ratios).sum(-1)
    below = -torch.expm1(-total)
    return (-torch.log1p(math.expm1(-log_p) * below) / log_p).clamp(max=1)  # of rounding


def _schweizer_sklar(minus_log: Tensor, s: float) -> Tensor:
    """With u = -log(1 - D): e^(s U) = 1 + sum (e^(s u) - 1), alpha = 1 - e^-U."""
    exponents = s * minus_log
    # log(e^y - 1) = y + log(1 - e^-y), and the sum of those in logarithms.
    positive = exponents > 0
    safe = exponents.where(positive, 1.0)
    logarithms = (safe + torch.log(-torch.expm1(-safe))).where(positive, -1e5)
    total = torch.logsumexp(logarithms, -1)
    return -torch.expm1(-torch.logaddexp(torch.zeros_like(total), total) / s)


def log_coverage(family: Family, x: Tensor) -> Tensor:
    """Return log D(x), -inf where D is zero."""
    if family.distribution == "logistic":
        return logsigmoid(x)
    covered, _ = family.coverage(x)
    some = covered > 0
    return covered.where(some, 1.0).log().where(some, -math.inf)
