// The numbers the mathematics of this folder is written in.
//
// Every formula is a template on `Real`: float or double in a CUDA thread, Pack<float, N> or
// Pack<double, N> on the CPU, where one Real holds N neighbouring pixels. Comparisons give a Mask
// (bool, or one all-ones / all-zeros integer per lane); `select` chooses by it.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HOST_DEVICE inline __attribute__((always_inline))
#endif

#include <cmath>
#if !defined(__CUDACC__) && defined(__AVX__)
#include <immintrin.h>
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
#if defined(__CUDACC__)
HOST_DEVICE float exponential(float a) { return expf(a); }
HOST_DEVICE double exponential(double a) { return exp(a); }
HOST_DEVICE float logarithm(float a) { return logf(a); }
HOST_DEVICE double logarithm(double a) { return log(a); }
#else
HOST_DEVICE float exponential(float a) { return std::exp(a); }
HOST_DEVICE double exponential(double a) { return std::exp(a); }
HOST_DEVICE float logarithm(float a) { return std::log(a); }
HOST_DEVICE double logarithm(double a) { return std::log(a); }
#endif

#if !defined(__CUDACC__)

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define RENDERER_HAS_SHUFFLE 1
#endif
#endif

// ---- N numbers at once (compiler vector extensions of GCC and Clang) ---------------------------

// The vector types spelled out: inside of a template GCC takes a vector of T for T itself. `join`
// and the two halves are one instruction each where the compiler knows how to shuffle.
template <typename T, int N> struct VectorOf;
template <> struct VectorOf<float, 8> {
  typedef int32_t Int;
  typedef float Floats __attribute__((vector_size(32)));
  typedef float Half __attribute__((vector_size(16)));
  typedef int32_t Ints __attribute__((vector_size(32)));
  typedef Ints Int32s;
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Floats join(Half a, Half b) { return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7); }
  static HOST_DEVICE Half low(Floats a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
  static HOST_DEVICE Half high(Floats a) { return __builtin_shufflevector(a, a, 4, 5, 6, 7); }
#endif
};
template <> struct VectorOf<double, 4> {
  typedef int64_t Int;
  typedef double Floats __attribute__((vector_size(32)));
  typedef double Half __attribute__((vector_size(16)));
  typedef int64_t Ints __attribute__((vector_size(32)));
  typedef int32_t Int32s __attribute__((vector_size(16)));
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Floats join(Half a, Half b) { return __builtin_shufflevector(a, b, 0, 1, 2, 3); }
  static HOST_DEVICE Half low(Floats a) { return __builtin_shufflevector(a, a, 0, 1); }
  static HOST_DEVICE Half high(Floats a) { return __builtin_shufflevector(a, a, 2, 3); }
#endif
};

template <typename T, int N>
struct Pack {
  using Vector = typename VectorOf<T, N>::Floats;
  using Half = typename VectorOf<T, N>::Half;
  using Int = typename VectorOf<T, N>::Int;
  using IntVector = typename VectorOf<T, N>::Ints;
  Vector v;

  Pack() = default;
  HOST_DEVICE Pack(Vector value) : v(value) {}
  HOST_DEVICE Pack(T value) : v(value - Vector{}) {}  // broadcast; x - 0 keeps the sign of zero

  static HOST_DEVICE Pack load(const T* address) {
    Pack out;
    __builtin_memcpy(&out.v, address, sizeof(Vector));
    return out;
  }
  HOST_DEVICE void store(T* address) const { __builtin_memcpy(address, &v, sizeof(Vector)); }

  // The first half of the lanes at one address and the second half at another.
  static HOST_DEVICE Pack load(const T* low, const T* high) {
    Half a, b;
    __builtin_memcpy(&a, low, sizeof(Half));
    __builtin_memcpy(&b, high, sizeof(Half));
    return join(a, b);
  }
  HOST_DEVICE void store(T* low, T* high) const {
    const Half a = low_half(), b = high_half();
    __builtin_memcpy(low, &a, sizeof(Half));
    __builtin_memcpy(high, &b, sizeof(Half));
  }
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Vector join(Half a, Half b) { return VectorOf<T, N>::join(a, b); }
  HOST_DEVICE Half low_half() const { return VectorOf<T, N>::low(v); }
  HOST_DEVICE Half high_half() const { return VectorOf<T, N>::high(v); }
#else
  static HOST_DEVICE Vector join(Half a, Half b) {
    Vector out;
    for (int i = 0; i < N / 2; ++i) out[i] = a[i], out[i + N / 2] = b[i];
    return out;
  }
  HOST_DEVICE Half low_half() const {
    Half out;
    for (int i = 0; i < N / 2; ++i) out[i] = v[i];
    return out;
  }
  HOST_DEVICE Half high_half() const {
    Half out;
    for (int i = 0; i < N / 2; ++i) out[i] = v[i + N / 2];
    return out;
  }
#endif

  HOST_DEVICE Pack& operator+=(Pack b) { v += b.v; return *this; }
  HOST_DEVICE Pack& operator*=(Pack b) { v *= b.v; return *this; }
  friend HOST_DEVICE Pack operator+(Pack a, Pack b) { return a.v + b.v; }
  friend HOST_DEVICE Pack operator-(Pack a, Pack b) { return a.v - b.v; }
  friend HOST_DEVICE Pack operator*(Pack a, Pack b) { return a.v * b.v; }
  friend HOST_DEVICE Pack operator/(Pack a, Pack b) { return a.v / b.v; }
  friend HOST_DEVICE Pack operator-(Pack a) { return -a.v; }
};

template <typename T, int N>
struct PackMask {
  typedef typename Pack<T, N>::IntVector IntVector;
  IntVector v;
  friend HOST_DEVICE PackMask operator&(PackMask a, PackMask b) { return {a.v & b.v}; }
  friend HOST_DEVICE PackMask operator|(PackMask a, PackMask b) { return {a.v | b.v}; }
};

template <typename T, int N> HOST_DEVICE PackMask<T, N> operator<(Pack<T, N> a, Pack<T, N> b) { return {a.v < b.v}; }
template <typename T, int N> HOST_DEVICE PackMask<T, N> operator>(Pack<T, N> a, Pack<T, N> b) { return {a.v > b.v}; }
template <typename T, int N> HOST_DEVICE PackMask<T, N> operator<=(Pack<T, N> a, Pack<T, N> b) { return {a.v <= b.v}; }
template <typename T, int N> HOST_DEVICE PackMask<T, N> operator>=(Pack<T, N> a, Pack<T, N> b) { return {a.v >= b.v}; }
template <typename T, int N> HOST_DEVICE PackMask<T, N> operator==(Pack<T, N> a, Pack<T, N> b) { return {a.v == b.v}; }

template <typename T, int N>
struct Traits<Pack<T, N>> {
  using Scalar = T;
  using Mask = PackMask<T, N>;
  static constexpr int lanes = N;
};

template <typename T, int N>
HOST_DEVICE Pack<T, N> select(PackMask<T, N> mask, Pack<T, N> yes, Pack<T, N> no) {
  return mask.v ? yes.v : no.v;
}
template <typename T, int N> HOST_DEVICE Pack<T, N> minimum(Pack<T, N> a, Pack<T, N> b) { return a.v < b.v ? a.v : b.v; }
template <typename T, int N> HOST_DEVICE Pack<T, N> maximum(Pack<T, N> a, Pack<T, N> b) { return a.v > b.v ? a.v : b.v; }
template <typename T, int N>
HOST_DEVICE Pack<T, N> absolute(Pack<T, N> a) {
  return maximum(a, -a);
}

template <typename T, int N> HOST_DEVICE T lane_of(Pack<T, N> a, int lane) { return a.v[lane]; }

template <typename T, int N>
HOST_DEVICE Pack<T, N> truncate(Pack<T, N> a) {
  typedef typename VectorOf<T, N>::Int32s Int32s;
  return __builtin_convertvector(__builtin_convertvector(a.v, Int32s), typename Pack<T, N>::Vector);
}

template <typename T, int N>
HOST_DEVICE bool any(PackMask<T, N> mask) {
#if defined(__AVX__)
  return _mm256_movemask_ps((__m256)mask.v) != 0;
#else
  typedef typename VectorOf<double, 4>::Ints Words;
  const Words words = (Words)mask.v;
  return ((words[0] | words[1]) | (words[2] | words[3])) != 0;
#endif
}

// The sum of the lanes: first the two halves, then one after the other, always in the same order.
template <typename T, int N>
HOST_DEVICE T lane_sum(Pack<T, N> a) {
  const typename Pack<T, N>::Half both = a.low_half() + a.high_half();
  T sum = both[0];
  for (int i = 1; i < N / 2; ++i) sum += both[i];
  return sum;
}

// exp(x) for x <= 0, the only arguments the softmax and the sigmoid have in log space.
//
// x = n log 2 + r with |r| <= log(2) / 2; 2^n is built in the exponent bits and exp(r) is its Taylor
// polynomial, of degree 7 in float (remainder 5e-9 relative) and 13 in double (4e-18). exp(0) is 1
// exactly. Arguments are cut at the logarithm of the smallest normal number, so that 2^n stays
// normal and exp never returns a denormal or zero.
template <int N>
HOST_DEVICE Pack<float, N> exponential(Pack<float, N> x) {
  typedef Pack<float, N> P;
  x = maximum(x, P(-87.0f));
  const P shifted = x * P(1.44269504088896341f) + P(12582912.0f);  // adding 1.5 * 2^23 rounds to integer
  const P n = shifted - P(12582912.0f);
  const P r = (x - n * P(0.693359375f)) - n * P(-2.12194440e-4f);  // log 2 in two parts
  P p = P(1.0f / 5040) * r + P(1.0f / 720);
  p = p * r + P(1.0f / 120);
  p = p * r + P(1.0f / 24);
  p = p * r + P(1.0f / 6);
  p = p * r + P(0.5f);
  p = p * r + P(1.0f);
  p = p * r + P(1.0f);
  const typename P::IntVector exponent = (typename P::IntVector)shifted.v - 0x4B400000 + 127;
  return p * P((typename P::Vector)(exponent << 23));
}

template <int N>
HOST_DEVICE Pack<double, N> exponential(Pack<double, N> x) {
  typedef Pack<double, N> P;
  x = maximum(x, P(-708.0));
  const P shifted = x * P(1.4426950408889634074) + P(6755399441055744.0);  // 1.5 * 2^52
  const P n = shifted - P(6755399441055744.0);
  const P r = (x - n * P(6.93147180369123816490e-01)) - n * P(1.90821492927058770002e-10);
  P p = P(1.0 / 6227020800.0) * r + P(1.0 / 479001600.0);
  p = p * r + P(1.0 / 39916800.0);
  p = p * r + P(1.0 / 3628800.0);
  p = p * r + P(1.0 / 362880.0);
  p = p * r + P(1.0 / 40320.0);
  p = p * r + P(1.0 / 5040.0);
  p = p * r + P(1.0 / 720.0);
  p = p * r + P(1.0 / 120.0);
  p = p * r + P(1.0 / 24.0);
  p = p * r + P(1.0 / 6.0);
  p = p * r + P(0.5);
  p = p * r + P(1.0);
  p = p * r + P(1.0);
  const typename P::IntVector exponent =
      (typename P::IntVector)shifted.v - 0x4338000000000000LL + 1023;
  return p * P((typename P::Vector)(exponent << 52));
}

// The natural logarithm, lane by lane through the C library: called only where a product overflows
// soon, and once per pixel at most.
template <typename T, int N>
HOST_DEVICE Pack<T, N> logarithm(Pack<T, N> x) {
  for (int i = 0; i < N; ++i) x.v[i] = std::log(x.v[i]);
  return x;
}

#endif  // !__CUDACC__

}  // namespace renderer
