// The functions of elementary.h of a pack. Those of float are made of a few operations on all lanes, to within a few
// units in the last place; double precision is for checking, and goes through the C library where that is simpler.
#pragma once

#include "elementary.h"
#include "pack.h"

namespace renderer {

template <typename T, int N> HOST_DEVICE void set_lane(Pack<T, N>& a, int lane, T value) { a.v[lane] = value; }

// Call a function of one number lane by lane.
template <typename T, int N, typename Function>
HOST_DEVICE Pack<T, N> each_lane(Pack<T, N> a, const Function& function) {
  Pack<T, N> out;
  for (int i = 0; i < N; ++i) out.v[i] = function(a.v[i]);
  return out;
}

#if defined(__AVX__)
HOST_DEVICE Pack<float, 8> square_root(Pack<float, 8> a) { return _mm256_sqrt_ps(a.v); }
HOST_DEVICE Pack<double, 4> square_root(Pack<double, 4> a) { return _mm256_sqrt_pd(a.v); }
#if defined(__AVX512F__)
HOST_DEVICE Pack<float, 16> square_root(Pack<float, 16> a) { return _mm512_sqrt_ps(a.v); }
#endif
#else
template <typename T, int N>
HOST_DEVICE Pack<T, N> square_root(Pack<T, N> a) {
  return each_lane(a, [](T x) { return square_root(x); });
}
#endif

template <typename T, int N>
HOST_DEVICE Scaled<Pack<T, N>> split(Pack<T, N> a) {
  using P = Pack<T, N>;
  using IntVector = typename P::IntVector;
  using Int = typename P::Int;
  typedef Rounder<T> R;
  const IntVector bits = (IntVector)a.v;
  const IntVector fraction = (bits & ((Int(1) << R::shift) - 1)) | (R::bias << R::shift);
  const IntVector exponent = (bits >> R::shift) - R::bias;
  return {P((typename P::Vector)fraction), P(__builtin_convertvector(exponent, typename P::Vector))};
}

// log(m 2^n) = n log 2 + 2 atanh((m - 1) / (m + 1)) with m in [sqrt(1/2), sqrt(2)), where the square of the quotient is
// below 0.03: the series of atanh has a remainder of 1e-9 after 5 terms (float) and 1e-18 after 11.
template <typename T, int N>
HOST_DEVICE Pack<T, N> logarithm(Pack<T, N> a) {
  typedef Pack<T, N> P;
  constexpr int terms = sizeof(T) == 4 ? 5 : 11;
  const P one(T(1));
  Scaled<P> s = split(a);
  const auto high = s.fraction > P(T(1.41421356237309504880));
  s.fraction = select(high, s.fraction * P(T(0.5)), s.fraction);
  s.exponent = select(high, s.exponent + one, s.exponent);
  const P quotient = (s.fraction - one) / (s.fraction + one), square = quotient * quotient;
  P sum(T(1) / T(2 * terms - 1));
  for (int k = terms - 2; k >= 0; --k) sum = P(T(1) / T(2 * k + 1)) + square * sum;
  const P rest = P(T(2)) * quotient * sum + s.exponent * P(Log2<T>::low);
  return s.exponent * P(Log2<T>::high) + rest;
}

// log(1 + a) is the logarithm of u = 1 + a, rounded, and what was lost over u.
template <typename T, int N>
HOST_DEVICE Pack<T, N> logarithm_one_plus(Pack<T, N> a) {
  const Pack<T, N> one(T(1)), u = one + a;
  return logarithm(u) + (a - (u - one)) / u;
}

// exp(a) - 1, near zero by the series a (1 + a / 2 (1 + a / 3 (...))).
template <typename T, int N>
HOST_DEVICE Pack<T, N> exponential_less_one(Pack<T, N> a) {
  typedef Pack<T, N> P;
  constexpr int terms = sizeof(T) == 4 ? 8 : 15;  // remainders of 1e-8 and 1e-18 at 1/2
  const P one(T(1)), zero(T(0)), size = absolute(a), decay = exponential(-size);
  const P small = minimum(maximum(a, P(T(-0.5))), P(T(0.5)));
  P series(one);
  for (int k = terms; k >= 2; --k) series = one + small * series * P(T(1) / T(k));
  const P far = select(a > zero, one / decay, decay) - one;
  return select(size < P(T(0.5)), small * series, far);
}

// The polynomials of Cephes (Moshier, atanf.c) after a turn by pi / 4 or pi / 2; within 2e-7.
template <int N>
HOST_DEVICE Pack<float, N> arctangent(Pack<float, N> a) {
  typedef Pack<float, N> P;
  const P one(1.0f), zero(0.0f);
  const auto large = a > P(2.414213562f), middle = a > P(0.4142135624f);
  const P turned = select(large, -one, a - one) / select(large, a, a + one);
  const P x = select(middle, turned, a), z = x * x;
  const P start = select(large, P(1.570796327f), select(middle, P(0.7853981634f), zero));
  const P sum = ((P(8.05374449538e-2f) * z - P(1.38776856032e-1f)) * z + P(1.99777106478e-1f)) * z - P(3.33329491539e-1f);
  return start + (sum * z * x + x);
}
template <int N>
HOST_DEVICE Pack<double, N> arctangent(Pack<double, N> a) {
  return each_lane(a, [](double x) { return arctangent(x); });
}

// Within 1.2e-7 of its value, which the rounding of the exponent adds to (Press et al., Numerical Recipes, erfcc).
template <int N>
HOST_DEVICE Pack<float, N> error_complement(Pack<float, N> a) {
  typedef Pack<float, N> P;
  constexpr float c[10] = {-1.26551223f, 1.00002368f, 0.37409196f, 0.09678418f, -0.18628806f,
                           0.27886807f, -1.13520398f, 1.48851587f, -0.82215223f, 0.17087277f};
  const P t = P(1.0f) / (P(1.0f) + P(0.5f) * a);
  P sum(c[9]);
  for (int k = 8; k >= 0; --k) sum = P(c[k]) + t * sum;
  return minimum(t * exponential(minimum(sum - product(a, a), P(0.0f))), P(1.0f));
}
template <int N>
HOST_DEVICE Pack<double, N> error_complement(Pack<double, N> a) {
  return each_lane(a, [](double x) { return error_complement(x); });
}

// Near zero by the series 2 / sqrt(pi) (a - a^3 / 3 + a^5 / 10 - ...), with a remainder of 2e-8 at 1/2.
template <int N>
HOST_DEVICE Pack<float, N> error(Pack<float, N> a) {
  typedef Pack<float, N> P;
  const P z = a * a;
  P sum(-1.0f / 1320);
  constexpr float c[5] = {1.0f, -1.0f / 3, 1.0f / 10, -1.0f / 42, 1.0f / 216};
  for (int k = 4; k >= 0; --k) sum = P(c[k]) + z * sum;
  return select(a < P(0.5f), P(1.128379167f) * a * sum, P(1.0f) - error_complement(a));
}
template <int N>
HOST_DEVICE Pack<double, N> error(Pack<double, N> a) {
  return each_lane(a, [](double x) { return error(x); });
}

}  // namespace renderer
