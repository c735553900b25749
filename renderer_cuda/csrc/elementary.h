// Functions of one variable which distributions and t-conorms are written in, of a single number; pack_elementary.h
// has those of a pack.
#pragma once

#include "real.h"

// A function that is called: for what is large and chosen at run time.
#if defined(__CUDACC__)
#define HOST_DEVICE_CALL __host__ __device__ __noinline__
#else
#define HOST_DEVICE_CALL __attribute__((noinline))
#endif

namespace renderer {

template <typename T> HOST_DEVICE void set_lane(T& a, int, T value) { a = value; }

HOST_DEVICE float logarithm_one_plus(float a) { return std::log1p(a); }  // a > -1
HOST_DEVICE double logarithm_one_plus(double a) { return std::log1p(a); }
HOST_DEVICE float exponential_less_one(float a) { return std::expm1(a); }  // |a| < 80
HOST_DEVICE double exponential_less_one(double a) { return std::expm1(a); }
HOST_DEVICE float arctangent(float a) { return std::atan(a); }  // a >= 0
HOST_DEVICE double arctangent(double a) { return std::atan(a); }
HOST_DEVICE float error(float a) { return std::erf(a); }  // a >= 0
HOST_DEVICE double error(double a) { return std::erf(a); }
HOST_DEVICE float error_complement(float a) { return std::erfc(a); }  // a >= 0
HOST_DEVICE double error_complement(double a) { return std::erfc(a); }

// a = fraction * 2^exponent with a fraction in [1, 2), of a normal number a > 0.
HOST_DEVICE Scaled<float> split(float a) {
  int32_t bits;
  memcpy(&bits, &a, sizeof(bits));
  const int32_t fraction = (bits & 0x7fffff) | 0x3f800000;
  Scaled<float> out;
  memcpy(&out.fraction, &fraction, sizeof(fraction));
  out.exponent = float((bits >> 23) - 127);
  return out;
}
HOST_DEVICE Scaled<double> split(double a) {
  int64_t bits;
  memcpy(&bits, &a, sizeof(bits));
  const int64_t fraction = (bits & 0xfffffffffffffLL) | 0x3ff0000000000000LL;
  Scaled<double> out;
  memcpy(&out.fraction, &fraction, sizeof(fraction));
  out.exponent = double((bits >> 52) - 1023);
  return out;
}

// base^exponent for 0 < base <= 1 (normal), cut to [1e-18, 1e18] or a little less: the ends stand for nothing and for
// what would be endless.
template <typename Real>
HOST_DEVICE Real bounded_power(Real base, typename Traits<Real>::Scalar exponent) {
  using T = typename Traits<Real>::Scalar;
  const Real one(T(1)), zero(T(0)), y = logarithm(base) * Real(exponent);
  const Real size = exponential(-minimum(absolute(y), Real(T(41.4))));
  return select(y > zero, one / size, size);
}

}  // namespace renderer
