// The t-conorms that make alpha out of coverages, beside the product, the mean and the hard maximum of coverage.h.
//
// Petersen et al., "GenDR", CVPR 2022; Klement, Mesiar and Pap, "Triangular Norms", 2000;
// docs/soft_rasterizers.md has the table of formulas. All but the maximum have an additive generator h: h(alpha) is the
// sum of h(D_i), in any order. The state of a pixel is that sum S (hamacher); or e^-S, a product (frank); or, where h is a
// power, which would leave the range of numbers, its root, the p-norm N of what is raised to the power (yager,
// aczel_alsina, dombi); or -log(1 - alpha) itself (schweizer_sklar); or the greatest coverage (maximum). It is 0 where
// nothing is covered, or 1 (frank), and what a face adds is the state of a pixel that shows this face alone.
//
//   hamacher         h = log(1 + p D / (1 - D)) / p, or D / (1 - D) where p is 0; einstein is p = 2
//   frank            e^-h = (e^(l (1 - D)) - 1) / (e^l - 1), l = log p
//   yager            N of D, alpha = min(N, 1)
//   aczel_alsina     N of -log(1 - D), alpha = 1 - e^-N
//   dombi            N of D / (1 - D), alpha = N / (1 + N)
//   schweizer_sklar  U of -log(1 - D), with e^(s U) - 1 = sum (e^(s U_i) - 1), s = -p; alpha = 1 - e^-U; for the
//                    default s = 2 the state is the sum S of (1 - D_i)^-2 - 1, and alpha = 1 - (1 + S)^(-1/2)
//
// dalpha/dD_i = h'(D_i) / h'(alpha) is written in quotients like (1 - alpha) / (1 - D_i) and h(D_i) / N, which are at
// most 1, so nothing is endless. Functions are called, as those of distributions.h are.
#pragma once

#include "parameters.h"

namespace renderer {

// Below this 1 - D counts as this: odds of 1e30, and sums of them over all faces of a mesh, are numbers.
template <typename Real>
HOST_DEVICE Real some_complement(Real complement) {
  return maximum(complement, Real(typename Traits<Real>::Scalar(1e-30)));
}

// -log(1 - D), from 1 - D where that is below one half and else from D: neither cancels.
template <typename Real>
HOST_DEVICE Real minus_logarithm(Real covered, Real complement) {
  using T = typename Traits<Real>::Scalar;
  const Real half(T(0.5));
  return select(complement < half, -logarithm(some_complement(complement)), -logarithm_one_plus(-minimum(covered, half)));
}

// Whether the t-conorm is that of Schweizer and Sklar with s = 2, which needs no exponentials.
template <typename T>
HOST_DEVICE bool is_root(const Parameters<T>& p) {
  return p.alpha == Alpha::schweizer_sklar && p.alpha_parameter == T(-2);
}

// 1 - D as it is squared and divided by there: sums over all faces of a mesh are numbers.
template <typename Real>
HOST_DEVICE Real square_complement(Real complement) {
  using T = typename Traits<Real>::Scalar;
  return maximum(complement, Real(T(sizeof(T) == 4 ? 1e-15 : 1e-30)));
}

namespace {

// What a face of coverage D adds to the state.
template <typename Real, typename T>
HOST_DEVICE_CALL void face_state(Real covered, Real complement, const Parameters<T>& p, Real* out) {
  const Real parameter(p.alpha_parameter);
  switch (p.alpha) {
    case Alpha::hamacher: {
      const Real odds = covered / some_complement(complement);
      *out = p.alpha_parameter == T(0) ? odds : logarithm_one_plus(parameter * odds) / parameter;
      return;
    }
    case Alpha::frank: {
      *out = exponential_less_one(parameter * some_complement(complement)) * Real(T(1) / p.frank_above);
      return;
    }
    case Alpha::schweizer_sklar:
      if (is_root(p)) {  // 1 / q^2 - 1 = D (1 + q) / q^2
        const Real q = square_complement(complement);
        *out = covered * (Real(T(1)) + q) / (q * q);
        return;
      }
      *out = minus_logarithm(covered, complement);
      return;
    case Alpha::aczel_alsina: *out = minus_logarithm(covered, complement); return;
    case Alpha::dombi: *out = covered / some_complement(complement); return;
    default: *out = covered; return;  // maximum, yager
  }
}

// The state of two states. It is bounded: of p-norms with p < 1, few large numbers would leave the range.
template <typename Real, typename T>
HOST_DEVICE_CALL void join_states(Real a, Real b, const Parameters<T>& p, Real* out) {
  const Real zero(T(0)), one(T(1)), most(T(1e35));
  const Real greater = maximum(a, b), less = minimum(a, b);
  switch (p.alpha) {
    case Alpha::maximum: *out = greater; return;
    case Alpha::yager:
    case Alpha::aczel_alsina:
    case Alpha::dombi: {
      const Real ratio = less / maximum(greater, Real(Limits<T>::smallest));
      if (p.alpha_parameter == T(2)) {
        *out = minimum(greater * square_root(one + ratio * ratio), most);
        return;
      }
      const Real safe = maximum(ratio, Real(Limits<T>::smallest));
      const Real power = select(ratio > zero, bounded_power(safe, p.alpha_parameter), zero);
      const Real growth = exponential_less_one(logarithm_one_plus(power) * Real(T(1) / p.alpha_parameter));
      *out = minimum(greater + greater * growth, most);
      return;
    }
    case Alpha::schweizer_sklar: {
      if (is_root(p)) {
        *out = a + b;
        return;
      }
      // e^(s U) = e^(s greater) + e^(s less) - 1 = e^(s greater) (1 + e^(-s (greater - less)) (1 - e^(-s less))).
      const Real s(-p.alpha_parameter), most_exponent(T(80));
      const Real decay = exponential(-minimum(s * (greater - less), most_exponent));
      const Real rest = -exponential_less_one(-minimum(s * less, most_exponent));
      *out = greater + logarithm_one_plus(decay * rest) / s;
      return;
    }
    default: *out = a + b; return;  // hamacher
  }
}

// alpha and 1 - alpha of a state.
template <typename Real>
struct Alphas {
  Real alpha, complement;
};

template <typename Real, typename T>
HOST_DEVICE_CALL void alphas_of(Real state, const Parameters<T>& p, Alphas<Real>* out) {
  const Real one(T(1)), zero(T(0)), parameter(p.alpha_parameter);
  switch (p.alpha) {
    case Alpha::hamacher: {
      if (p.alpha_parameter == T(0)) {
        *out = {state / (one + state), one / (one + state)};
        return;
      }
      const Real exponent = -minimum(parameter * state, Real(T(80)));  // e^-80 is nothing beside one
      const Real scaled = parameter * exponential(exponent), above = -exponential_less_one(exponent);
      *out = {above / (scaled + above), scaled / (scaled + above)};
      return;
    }
    case Alpha::frank: {
      const Real power = logarithm_one_plus(Real(p.frank_above) * state);  // l (1 - alpha)
      const Real complement = minimum(maximum(power * Real(T(1) / p.alpha_parameter), zero), one);
      *out = {one - complement, complement};
      return;
    }
    case Alpha::dombi: *out = {state / (one + state), one / (one + state)}; return;
    case Alpha::aczel_alsina:
    case Alpha::schweizer_sklar: {
      if (is_root(p)) {
        const Real complement = one / square_root(one + state);
        // 1 - complement, without cancellation; rounding may leave it above 1.
        *out = {minimum(state * complement * complement / (one + complement), one), complement};
        return;
      }
      const Real exponent = -minimum(state, Real(T(sizeof(T) == 4 ? 80 : 700)));
      *out = {-exponential_less_one(exponent), exponential(exponent)};
      return;
    }
    default: {  // maximum, yager
      const Real alpha = minimum(state, one);
      *out = {alpha, one - alpha};
      return;
    }
  }
}

// dalpha/dx of one face is this times what the pixel has in common (see pixel_vjp), from its coverage D, dD/dx, the
// hazard dD/dx / (1 - D), and what is kept of the pixel.
template <typename Real, typename T>
HOST_DEVICE_CALL void face_vjp(Real covered, Real complement, Real density, Real hazard, Real kept,
                               const Parameters<T>& p, Real* out) {
  const Real zero(T(0)), one(T(1)), parameter(p.alpha_parameter), above = some_complement(complement);
  const auto share = [&](Real state) {  // (h / N)^(p - 1)
    const Real ratio = minimum(state / maximum(kept, Real(Limits<T>::smallest)), one);
    const Real safe = maximum(ratio, Real(Limits<T>::smallest));
    if (p.alpha_parameter == T(2)) return ratio;
    return select(state > zero, bounded_power(safe, p.alpha_parameter - T(1)), zero);
  };
  switch (p.alpha) {
    // (Q / q) (Q + p A) / (q + p D) with alpha A, Q = 1 - A, q = 1 - D; Q is kept.
    case Alpha::hamacher: *out = hazard * ((kept + parameter * (one - kept)) / (above + parameter * covered)); return;
    // (1 - e^(-l Q)) / (1 - e^(-l q)).
    case Alpha::frank: *out = density / -exponential_less_one(-parameter * above); return;
    case Alpha::yager: *out = select(kept < one, density * share(covered), zero); return;
    case Alpha::aczel_alsina: *out = hazard * share(minus_logarithm(covered, complement)); return;
    // (Q / q)^2 (h / N)^(p - 1) with Q = 1 / (1 + N).
    case Alpha::dombi: *out = hazard * (one / maximum(above + above * kept, one * above)) * share(covered / above); return;
    // (Q / q)^(s + 1).
    case Alpha::schweizer_sklar: {
      if (is_root(p)) {  // Q is kept
        const Real ratio = minimum(kept / square_complement(complement), one);
        *out = density * (ratio * ratio * ratio);
        return;
      }
      const Real further = maximum(kept - minus_logarithm(covered, complement), zero);
      *out = hazard * exponential(-minimum(Real(-p.alpha_parameter) * further, Real(T(80))));
      return;
    }
    default: *out = density; return;  // maximum: of the face whose coverage is the greatest
  }
}

}  // namespace

// What all faces at a pixel have in common in dL/dx, and what their vjp has to know of the pixel.
template <typename T>
struct PixelState {
  T common, kept;
};

template <typename T>
HOST_DEVICE PixelState<T> pixel_vjp(T grad_alpha, T state, const Parameters<T>& p) {
  if (p.alpha == Alpha::maximum || p.alpha == Alpha::yager) return {grad_alpha, state};
  Alphas<T> a;
  alphas_of(state, p, &a);
  if (p.alpha == Alpha::frank) {
    return {-grad_alpha * exponential_less_one(-p.alpha_parameter * a.complement), T(0)};
  }
  if (is_root(p)) return {grad_alpha, a.complement};
  return {grad_alpha * a.complement, p.alpha == Alpha::hamacher ? a.complement : state};
}

}  // namespace renderer
