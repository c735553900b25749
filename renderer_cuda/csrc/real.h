// The numbers the mathematics of this folder is written in.
//
// Every formula is a template on `Real`: float or double in a CUDA thread, Pack<float, N> or
// Pack<double, N> on the CPU (pack.h), where one Real holds a number for each of N pixels or faces.
// Comparisons give a Mask (bool, or one all-ones / all-zeros integer per lane); `select` chooses by it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace renderer {

// ---- a single number ----------------------------------------------------------------------------

template <typename Real>
struct Traits {
  using Scalar = Real;
  using Mask = bool;
  static constexpr int lanes = 1;
};

template <typename T> HOST_DEVICE T select(bool mask, T yes, T no) { return mask ? yes : no; }
HOST_DEVICE bool any(bool mask) { return mask; }
HOST_DEVICE float lane_of(float a, int) { return a; }
HOST_DEVICE double lane_of(double a, int) { return a; }
HOST_DEVICE float minimum(float a, float b) { return a < b ? a : b; }
HOST_DEVICE double minimum(double a, double b) { return a < b ? a : b; }
HOST_DEVICE float maximum(float a, float b) { return a > b ? a : b; }
HOST_DEVICE double maximum(double a, double b) { return a > b ? a : b; }
HOST_DEVICE float absolute(float a) { return a < 0.0f ? -a : a; }
HOST_DEVICE double absolute(double a) { return a < 0.0 ? -a : a; }
HOST_DEVICE float truncate(float a) { return float(int32_t(a)); }  // |a| < 2^24 (2^31 in double)
HOST_DEVICE double truncate(double a) { return double(int32_t(a)); }

template <typename T> struct Limits;
template <> struct Limits<float> {
  static constexpr float epsilon = 1.1920929e-7f, smallest = 1.17549435e-38f, largest = 3.4028235e38f;
};
template <> struct Limits<double> {
  static constexpr double epsilon = 2.220446049250313e-16, smallest = 2.2250738585072014e-308,
                          largest = 1.7976931348623157e308;
};

// a b, rounded: it is not fused with what is added to it. On which side of an edge a pixel lies, and which
// of two faces is nearer, must not depend on how a compiler joined the operations of one kernel or another;
// and where two products are equal their difference is zero.
#if defined(__CUDA_ARCH__)
HOST_DEVICE float product(float a, float b) { return __fmul_rn(a, b); }
HOST_DEVICE double product(double a, double b) { return __dmul_rn(a, b); }
#else
#if defined(__clang__) || defined(__CUDACC__) || (defined(__x86_64__) && !defined(__FMA__))
#define RENDERER_ROUNDED(value) (value)  // nothing is fused, or by Clang, within an expression only
#elif defined(__x86_64__)
// Fast, where __builtin_assoc_barrier has vectors taken apart.
template <typename V>
HOST_DEVICE V rounded(V value) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(value));  // any of the 32 registers
#else
  __asm__("" : "+x"(value));
#endif
  return value;
}
#define RENDERER_ROUNDED(value) rounded(value)
#elif __GNUC__ >= 12
#define RENDERER_ROUNDED(value) __builtin_assoc_barrier(value)
#else
// Older GCC has nothing for vectors that fill several registers but the way through memory.
template <typename V>
HOST_DEVICE V rounded(V value) {
  __asm__("" : "+m"(value));
  return value;
}
#define RENDERER_ROUNDED(value) rounded(value)
#endif
HOST_DEVICE float product(float a, float b) { return RENDERER_ROUNDED(a * b); }
HOST_DEVICE double product(double a, double b) { return RENDERER_ROUNDED(a * b); }
#endif

// a b + c d, of which c d is rounded and a b may be fused: left to the compiler, which of the two it fuses differs
// from one kernel to the next, and alpha would have other bits with colour than without.
template <typename Real>
HOST_DEVICE Real sum_of_products(Real a, Real b, Real c, Real d) { return a * b + product(c, d); }

template <typename Real>
HOST_DEVICE typename Traits<Real>::Mask is_finite(Real value) {
  return absolute(value) <= Real(Limits<typename Traits<Real>::Scalar>::largest);  // false for NaN
}

// ---- exponentials ---------------------------------------------------------------------------------

#if defined(__CUDACC__)
HOST_DEVICE float exponential(float a) { return expf(a); }
HOST_DEVICE double exponential(double a) { return exp(a); }
HOST_DEVICE float round_to_integer(float a) { return rintf(a); }
HOST_DEVICE double round_to_integer(double a) { return rint(a); }
HOST_DEVICE float logarithm(float a) { return logf(a); }
HOST_DEVICE double logarithm(double a) { return log(a); }
HOST_DEVICE float square_root(float a) { return sqrtf(a); }
HOST_DEVICE double square_root(double a) { return sqrt(a); }
#else
HOST_DEVICE float exponential(float a) { return std::exp(a); }
HOST_DEVICE double exponential(double a) { return std::exp(a); }
HOST_DEVICE float round_to_integer(float a) { return std::rint(a); }
HOST_DEVICE double round_to_integer(double a) { return std::rint(a); }
HOST_DEVICE float logarithm(float a) { return std::log(a); }
HOST_DEVICE double logarithm(double a) { return std::log(a); }
HOST_DEVICE float square_root(float a) { return std::sqrt(a); }
HOST_DEVICE double square_root(double a) { return std::sqrt(a); }
#endif
HOST_DEVICE float exponential_near_zero(float a) { return exponential(a); }
HOST_DEVICE double exponential_near_zero(double a) { return exponential(a); }

// 2^n for a whole number n <= 0, cut so that it stays normal: never a denormal, never zero.
HOST_DEVICE float power_of_two(float n) {
  const int32_t bits = (int32_t(maximum(n, -126.0f)) + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof(power));
  return power;
}
HOST_DEVICE double power_of_two(double n) {
  const int64_t bits = (int64_t(maximum(n, -1022.0)) + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof(power));
  return power;
}

// log 2 in two parts: the first has so few digits that its product with an exponent is exact.
template <typename T> struct Log2;
template <> struct Log2<float> {
  static constexpr float inverse = 1.44269504088896341f, high = 0.693359375f, low = -2.12194440e-4f;
};
template <> struct Log2<double> {
  static constexpr double inverse = 1.4426950408889634074, high = 6.93147180369123816490e-01,
                          low = 1.90821492927058770002e-10;
};

// A number that carries its own exponent, fraction * 2^exponent, so that nothing overflows or
// vanishes; the exponent is a whole number.
template <typename Real>
struct Scaled {
  Real fraction, exponent;
};

// exp(x) for every finite x: the fraction lies between 1/2 and 2. Where x is so large that its
// digits do not reach down to 1 the fraction is meaningless, but still within those bounds.
template <typename Real>
HOST_DEVICE Scaled<Real> scaled_exponential(Real x) {
  using T = typename Traits<Real>::Scalar;
  const Real exponent = round_to_integer(x * Real(Log2<T>::inverse));
  const Real rest = (x - exponent * Real(Log2<T>::high)) - exponent * Real(Log2<T>::low);
  const Real bounded = minimum(maximum(rest, Real(T(-0.5))), Real(T(0.5)));
  return {exponential_near_zero(bounded), exponent};
}

}  // namespace renderer
