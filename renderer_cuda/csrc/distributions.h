// The distributions whose cumulative functions make coverage out of a distance.
//
// Petersen et al., "GenDR: A Generalized Differentiable Renderer", CVPR 2022 (arXiv 2204.13845);
// docs/soft_rasterizers.md has the table of formulas. Each gives D, 1 - D and the density dD/dx at once, the
// small one of D and 1 - D by a formula of its own, so that neither is a difference of large numbers.
//
// A distribution is chosen at run time by a function that is not inlined: it is compiled once for each kind of number,
// and not in each of the many kernels.
#pragma once

#include "elementary.h"

namespace renderer {

enum class Distribution : int {
  logistic = 0,
  uniform,
  cubic_hermite,
  wigner_semicircle,
  gaussian,
  laplace,
  gudermannian,
  cauchy,
  reciprocal,
  gumbel_max,
  gumbel_min,
  exponential,
  exponential_rev,
  gamma,
  gamma_rev,
  levy,
  levy_rev,
};

// A distribution and its numbers.
template <typename T>
struct DistributionParameters {
  Distribution kind;  // never gumbel_min or one that ends in _rev: those are `reversed`
  bool reversed;      // D(x) = 1 - F(-x) in place of F(x)
  T shape;            // gamma
  T shift;            // exponential, gamma, levy: F(x + shift)
  T log_gamma;        // of shape + 1
};

template <typename T>
DistributionParameters<T> make_distribution(Distribution kind, double shape, double shift) {
  DistributionParameters<T> d = {kind, false, T(shape), T(shift), T(std::lgamma(shape + 1.0))};
  const auto reverse = [&](Distribution name, Distribution of) {
    if (kind != name) return;
    d.kind = of;
    d.reversed = true;
  };
  reverse(Distribution::gumbel_min, Distribution::gumbel_max);
  reverse(Distribution::exponential_rev, Distribution::exponential);
  reverse(Distribution::gamma_rev, Distribution::gamma);
  reverse(Distribution::levy_rev, Distribution::levy);
  return d;
}

template <typename Real>
struct Probability {
  Real below, above;  // D and 1 - D
  Real density;       // dD/dx
};

// Of a symmetric distribution, from the part beyond |x|.
template <typename Real>
HOST_DEVICE Probability<Real> symmetric(Real x, Real tail, Real density) {
  const Real zero(typename Traits<Real>::Scalar(0)), one(typename Traits<Real>::Scalar(1));
  const auto positive = x > zero;
  return {select(positive, one - tail, tail), select(positive, tail, one - tail), density};
}

// F = (1 + x) / 2 between -1 and 1, and with y = F the cubic y^2 (3 - 2 y), whose derivative is 6 y (1 - y) / 2.
template <typename Real>
HOST_DEVICE Probability<Real> uniform_or_hermite(Real x, bool cubic) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), half(T(0.5)), one(T(1)), two(T(2)), three(T(3));
  const Real y = minimum(maximum(half + half * x, zero), one), z = minimum(maximum(half - half * x, zero), one);
  if (!cubic) return {y, z, select(absolute(x) < one, half, zero)};
  return {y * y * (three - two * y), z * z * (three - two * z), three * y * z};
}

// A half disc over [-1, 1]. With t = 2 acos|x| the part beyond |x| is (t - sin t) / 2 pi; for small t by the series of
// the sine, t^3 / 6 (1 - t^2 / 20 (1 - t^2 / 42 (...))), whose next factor is below 1e-17 at t = 1.
template <typename Real>
HOST_DEVICE Probability<Real> wigner_semicircle(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real one(T(1)), a = minimum(absolute(x), one), below = one - a, above = one + a;
  const Real t = Real(T(4)) * arctangent(square_root(below / above));
  const Real height = square_root(below * above), square = t * t;
  Real series(one);
  for (int n = 17; n >= 5; n -= 2) series = one - square * series * Real(T(1.0 / (n * (n - 1))));
  const Real difference = select(t < one, t * square * series * Real(T(1.0 / 6)), t - Real(T(2)) * a * height);
  return symmetric(x, difference * Real(T(0.15915494309189533577)), Real(T(0.63661977236758134308)) * height);
}

template <typename Real>
HOST_DEVICE Probability<Real> gaussian(Real x) {
  using T = typename Traits<Real>::Scalar;
  // Beyond this the tail is no normal number.
  const Real a = minimum(absolute(x), Real(T(sizeof(T) == 4 ? 13.0 : 37.5)));
  const Real tail = Real(T(0.5)) * error_complement(a * Real(T(0.70710678118654752440)));
  return symmetric(x, tail, Real(T(0.39894228040143267794)) * exponential(a * a * Real(T(-0.5))));
}

// F = 1/2 + 2 / pi atan(tanh(x / 2)); the part beyond |x| is 2 / pi atan(exp(-|x|)), the density 1 / (pi cosh x).
template <typename Real>
HOST_DEVICE Probability<Real> gudermannian(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real decay = exponential(-absolute(x)), scale(T(0.63661977236758134308));
  return symmetric(x, scale * arctangent(decay), scale * decay / (Real(T(1)) + decay * decay));
}

template <typename Real>
HOST_DEVICE Probability<Real> cauchy(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real one(T(1)), a = absolute(x), scale(T(0.31830988618379067154));
  // 1 / (1e-30) is as good as infinite: its arc tangent is pi / 2.
  const Real tail = scale * arctangent(one / maximum(a, Real(T(1e-30))));
  return symmetric(x, tail, scale / (one + a * a));
}

template <typename Real>
HOST_DEVICE Probability<Real> reciprocal(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real half(T(0.5)), one(T(1)), share = one / (one + absolute(x));
  return symmetric(x, half * share, half * share * share);
}

// F = exp(-w) with w = exp(-x), density w F.
template <typename Real>
HOST_DEVICE Probability<Real> gumbel_max(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1));
  // Below -log 80 (-log 700 in double) F is at most exp(-80): the density, w times that, would be rounded by an
  // exponential which returns no denormal number.
  const Real bounded = maximum(x, Real(T(sizeof(T) == 4 ? -4.38202663 : -6.55108033504340)));
  const Real decay = exponential(-absolute(bounded)), w = select(bounded > zero, decay, one / decay);
  const Real below = exponential(-w);
  return {below, -exponential_less_one(-w), w * below};
}

// F = 1 - exp(-t) with t = x + shift, for t > 0.
template <typename Real>
HOST_DEVICE Probability<Real> one_sided_exponential(Real t) {
  const Real zero(typename Traits<Real>::Scalar(0)), positive = maximum(t, zero), above = exponential(-positive);
  return {-exponential_less_one(-positive), above, select(t > zero, above, zero)};
}

// F = erfc(r) with r = sqrt(1 / (2 t)), t = x + shift > 0; density 2 / sqrt(pi) r^3 exp(-r^2).
template <typename Real>
HOST_DEVICE Probability<Real> levy(Real t) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1));
  const Real least(T(5e-3));  // where F is below 1e-44
  const auto some = t > least;
  const Real square = Real(T(0.5)) / maximum(t, least), root = square_root(square);
  const Real density = Real(T(1.12837916709551257390)) * square * root * exponential(-square);
  return {select(some, error_complement(root), zero), select(some, error(root), one), select(some, density, zero)};
}

// A lane whose terms have become too small to change its sum keeps its bits while others go on.
constexpr int most_gamma_terms = 400;

// sum_n t^n / ((p + 1) ... (p + n)) for 0 < t <= p + 1, where each term is smaller than the one before.
template <typename Real, typename T>
HOST_DEVICE Real gamma_series(Real t, T p) {
  const Real least(Limits<T>::epsilon * T(0.25));
  Real term(T(1)), sum(T(1));
  for (int n = 1; n < most_gamma_terms && any(term > least * sum); ++n) {
    term *= t * Real(T(1) / (p + T(n)));
    sum += term;
  }
  return sum;
}

// The continued fraction of Gamma(p, t) t^-p exp(t) for t >= p + 1, evaluated forward by Lentz's method; it ends by itself
// where p is a whole number.
template <typename Real, typename T>
HOST_DEVICE Real gamma_fraction(Real t, T p) {
  const Real one(T(1)), tiny(T(1e-30)), close(Limits<T>::epsilon);
  Real b = t + Real(T(1) - p), c = one / tiny, fraction = one / b, out = fraction;
  auto running = t > Real(T(0));
  for (int n = 1; n < most_gamma_terms && any(running); ++n) {
    const Real a(-T(n) * (T(n) - p));
    b += Real(T(2));
    fraction = a * fraction + b;
    fraction = one / select(absolute(fraction) < tiny, tiny, fraction);
    c = b + a / c;
    c = select(absolute(c) < tiny, tiny, c);
    const Real factor = fraction * c;
    out = select(running, out * factor, out);
    running = running & (absolute(factor - one) > close);
  }
  return out;
}

// The regularised incomplete gamma functions P (below) and Q (above) and the density t^(p-1) exp(-t) / Gamma(p),
// t = x + shift > 0: below t = p + 1 P = t^p exp(-t) / Gamma(p + 1) times the series, above Q = t^p exp(-t) / Gamma(p) times
// the continued fraction of Legendre (Abramowitz and Stegun 6.5.29 and 6.5.31).
template <typename Real, typename T>
HOST_DEVICE Probability<Real> gamma(Real t, const DistributionParameters<T>& d) {
  // A density of shape < 1 is endless at 0: it stays what it is at this t. Far above, P is one.
  const Real least(sizeof(T) == 4 ? T(1e-12) : T(1e-30)), most(d.shape + T(sizeof(T) == 4 ? 100 : 800));
  const Real zero(T(0)), one(T(1)), p(d.shape), middle(d.shape + T(1));
  const auto positive = t > zero, lower = t < middle, upper = t >= middle;
  if (!any(positive)) return {zero, one, zero};
  const Real bounded = minimum(maximum(t, least), most);
  // At most 0: its greatest value is at t = p, where it falls from 0 at p = 0.
  const Real exponent = p * logarithm(bounded) - bounded - Real(d.log_gamma), power = exponential(minimum(exponent, zero));
  Real below(T(0)), above(T(0));
  if (any(lower)) below = minimum(power * gamma_series(minimum(bounded, middle), d.shape), one);
  if (any(upper)) above = minimum(power * p * gamma_fraction(maximum(bounded, middle), d.shape), one);
  below = select(lower, below, one - above);
  above = select(lower, one - below, above);
  const auto within = positive & (t < most);
  return {select(within, below, select(positive, one, zero)), select(within, above, select(positive, zero, one)),
          select(within, power * p / bounded, zero)};
}

template <typename Real>
HOST_DEVICE Probability<Real> logistic(Real x) {
  const Real one(typename Traits<Real>::Scalar(1)), decay = exponential(-absolute(x)), tail = decay / (one + decay);
  return symmetric(x, tail, tail / (one + decay));
}

template <typename Real, typename T>
HOST_DEVICE Probability<Real> cumulative(Real x, const DistributionParameters<T>& d) {
  const Real shift(d.shift);
  switch (d.kind) {
    case Distribution::uniform: return uniform_or_hermite(x, false);
    case Distribution::cubic_hermite: return uniform_or_hermite(x, true);
    case Distribution::wigner_semicircle: return wigner_semicircle(x);
    case Distribution::gaussian: return gaussian(x);
    case Distribution::laplace: {
      const Real tail = Real(T(0.5)) * exponential(-absolute(x));
      return symmetric(x, tail, tail);
    }
    case Distribution::gudermannian: return gudermannian(x);
    case Distribution::cauchy: return cauchy(x);
    case Distribution::reciprocal: return reciprocal(x);
    case Distribution::gumbel_max: return gumbel_max(x);
    case Distribution::exponential: return one_sided_exponential(x + shift);
    case Distribution::gamma: return gamma(x + shift, d);
    case Distribution::levy: return levy(x + shift);
    default: return logistic(x);
  }
}

namespace {  // not inlined, so of internal linkage: see lanes.h

// D(x), 1 - D(x) and the density. It writes through a pointer, as packs are not returned in registers by all compilers.
template <typename Real, typename T>
HOST_DEVICE_CALL void evaluate(Real x, const DistributionParameters<T>& d, Probability<Real>* out) {
  const Probability<Real> p = cumulative(d.reversed ? -x : x, d);
  *out = {d.reversed ? p.above : p.below, d.reversed ? p.below : p.above, p.density};
}

// The greatest r >= 0 with D(-r) > dist_eps, to the last digits and never too small; 0 where nothing outside of a face
// is covered by more. D never falls, so it is found by bisection of the exponent, then of the number.
inline double reach_of(const DistributionParameters<double>& d, double dist_eps) {
  const auto reaches = [&](double r) {
    Probability<double> p;
    evaluate(-r, d, &p);
    return p.below > dist_eps;
  };
  double low = 1e-30, high = 1e30;  // exponents of coverages lie within these
  if (!reaches(low)) return 0.0;
  if (reaches(high)) return high;
  while (high > 2.0 * low) {
    const double middle = std::sqrt(low) * std::sqrt(high);
    (reaches(middle) ? low : high) = middle;
  }
  for (int i = 0; i < 50; ++i) {
    const double middle = 0.5 * (low + high);
    (reaches(middle) ? low : high) = middle;
  }
  return high;
}

}  // namespace
}  // namespace renderer
