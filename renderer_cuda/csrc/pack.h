// N numbers at once, by the vector extensions of GCC and Clang; see real.h.
#pragma once

#include "real.h"

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define RENDERER_HAS_SHUFFLE 1
#endif
#endif

namespace renderer {

// The vector types spelled out: inside of a template GCC takes a vector of T for T itself.
template <typename T, int N> struct VectorOf;
template <> struct VectorOf<float, 8> {
  typedef int32_t Int;
  typedef float Floats __attribute__((vector_size(32)));
  typedef float Half __attribute__((vector_size(16)));
  typedef int32_t Ints __attribute__((vector_size(32)));
  typedef Ints Int32s;
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Half low(Floats a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
  static HOST_DEVICE Half high(Floats a) { return __builtin_shufflevector(a, a, 4, 5, 6, 7); }
  template <typename Pack>
  static HOST_DEVICE void store_rows(const Pack (&a)[4], float (&rows)[8][4]) {
    for (int i = 0; i < 2; ++i) {
      const Floats x = i ? __builtin_shufflevector(a[0].v, a[1].v, 2, 10, 3, 11, 6, 14, 7, 15)
                         : __builtin_shufflevector(a[0].v, a[1].v, 0, 8, 1, 9, 4, 12, 5, 13);
      const Floats y = i ? __builtin_shufflevector(a[2].v, a[3].v, 2, 10, 3, 11, 6, 14, 7, 15)
                         : __builtin_shufflevector(a[2].v, a[3].v, 0, 8, 1, 9, 4, 12, 5, 13);
      const Floats even = __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13);
      const Floats odd = __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
      const Floats first = __builtin_shufflevector(even, odd, 0, 1, 2, 3, 8, 9, 10, 11);
      const Floats last = __builtin_shufflevector(even, odd, 4, 5, 6, 7, 12, 13, 14, 15);
      __builtin_memcpy(rows[2 * i], &first, sizeof(first));
      __builtin_memcpy(rows[2 * i + 4], &last, sizeof(last));
    }
  }
  // Pairs of rows are interleaved, then pairs of pairs, then the halves are exchanged.
  template <typename Pack>
  static HOST_DEVICE void transpose(Pack (&a)[8]) {
    Floats b[8], c[8];
    for (int i = 0; i < 8; i += 2) {
      b[i] = __builtin_shufflevector(a[i].v, a[i + 1].v, 0, 8, 1, 9, 4, 12, 5, 13);
      b[i + 1] = __builtin_shufflevector(a[i].v, a[i + 1].v, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
      c[i] = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      c[i + 1] = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
      c[i + 2] = __builtin_shufflevector(b[i + 1], b[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
      c[i + 3] = __builtin_shufflevector(b[i + 1], b[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; ++i) {
      a[i].v = __builtin_shufflevector(c[i], c[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      a[i + 4].v = __builtin_shufflevector(c[i], c[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
  }
#endif
};
template <> struct VectorOf<float, 16> {
  typedef int32_t Int;
  typedef float Floats __attribute__((vector_size(64)));
  typedef float Half __attribute__((vector_size(32)));
  typedef int32_t Ints __attribute__((vector_size(64)));
  typedef Ints Int32s;
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Half low(Floats a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7); }
  static HOST_DEVICE Half high(Floats a) { return __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15); }
#endif
};
template <> struct VectorOf<float, 4> {
  typedef int32_t Int;
  typedef float Floats __attribute__((vector_size(16)));
  typedef float Half __attribute__((vector_size(8)));
  typedef int32_t Ints __attribute__((vector_size(16)));
  typedef Ints Int32s;
};
template <> struct VectorOf<double, 4> {
  typedef int64_t Int;
  typedef double Floats __attribute__((vector_size(32)));
  typedef double Half __attribute__((vector_size(16)));
  typedef int64_t Ints __attribute__((vector_size(32)));
  typedef int32_t Int32s __attribute__((vector_size(16)));
#if RENDERER_HAS_SHUFFLE
  static HOST_DEVICE Half low(Floats a) { return __builtin_shufflevector(a, a, 0, 1); }
  static HOST_DEVICE Half high(Floats a) { return __builtin_shufflevector(a, a, 2, 3); }
  template <typename Pack>
  static HOST_DEVICE void store_rows(const Pack (&a)[4], double (&rows)[4][4]) {
    Pack b[4] = {a[0], a[1], a[2], a[3]};
    transpose(b);
    for (int i = 0; i < 4; ++i) b[i].store(rows[i]);
  }
  template <typename Pack>
  static HOST_DEVICE void transpose(Pack (&a)[4]) {
    Floats b[4];
    for (int i = 0; i < 4; i += 2) {
      b[i] = __builtin_shufflevector(a[i].v, a[i + 1].v, 0, 4, 2, 6);
      b[i + 1] = __builtin_shufflevector(a[i].v, a[i + 1].v, 1, 5, 3, 7);
    }
    for (int i = 0; i < 2; ++i) {
      a[i].v = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 4, 5);
      a[i + 2].v = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 6, 7);
    }
  }
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

#if RENDERER_HAS_SHUFFLE
  HOST_DEVICE Half low_half() const { return VectorOf<T, N>::low(v); }
  HOST_DEVICE Half high_half() const { return VectorOf<T, N>::high(v); }
#else
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
// a < b ? a : b is one instruction, which GCC does not find in a vector.
#if defined(__AVX__)
HOST_DEVICE Pack<float, 8> minimum(Pack<float, 8> a, Pack<float, 8> b) { return _mm256_min_ps(a.v, b.v); }
HOST_DEVICE Pack<float, 8> maximum(Pack<float, 8> a, Pack<float, 8> b) { return _mm256_max_ps(a.v, b.v); }
HOST_DEVICE Pack<float, 4> minimum(Pack<float, 4> a, Pack<float, 4> b) { return _mm_min_ps(a.v, b.v); }
HOST_DEVICE Pack<float, 4> maximum(Pack<float, 4> a, Pack<float, 4> b) { return _mm_max_ps(a.v, b.v); }
HOST_DEVICE Pack<double, 4> minimum(Pack<double, 4> a, Pack<double, 4> b) { return _mm256_min_pd(a.v, b.v); }
HOST_DEVICE Pack<double, 4> maximum(Pack<double, 4> a, Pack<double, 4> b) { return _mm256_max_pd(a.v, b.v); }
#if defined(__AVX512F__)
HOST_DEVICE Pack<float, 16> minimum(Pack<float, 16> a, Pack<float, 16> b) { return _mm512_min_ps(a.v, b.v); }
HOST_DEVICE Pack<float, 16> maximum(Pack<float, 16> a, Pack<float, 16> b) { return _mm512_max_ps(a.v, b.v); }
#endif
#else
template <typename T, int N> HOST_DEVICE Pack<T, N> minimum(Pack<T, N> a, Pack<T, N> b) { return a.v < b.v ? a.v : b.v; }
template <typename T, int N> HOST_DEVICE Pack<T, N> maximum(Pack<T, N> a, Pack<T, N> b) { return a.v > b.v ? a.v : b.v; }
#endif
template <typename T, int N>
HOST_DEVICE Pack<T, N> product(Pack<T, N> a, Pack<T, N> b) { return RENDERER_ROUNDED(a.v * b.v); }
#if defined(__FMA__)  // without a barrier between the product and the sum
HOST_DEVICE Pack<float, 8> sum_of_products(Pack<float, 8> a, Pack<float, 8> b, Pack<float, 8> c, Pack<float, 8> d) {
  return _mm256_fmadd_ps(a.v, b.v, c.v * d.v);
}
HOST_DEVICE Pack<double, 4> sum_of_products(Pack<double, 4> a, Pack<double, 4> b, Pack<double, 4> c,
                                            Pack<double, 4> d) {
  return _mm256_fmadd_pd(a.v, b.v, c.v * d.v);
}
#if defined(__AVX512F__)
HOST_DEVICE Pack<float, 16> sum_of_products(Pack<float, 16> a, Pack<float, 16> b, Pack<float, 16> c,
                                            Pack<float, 16> d) {
  return _mm512_fmadd_ps(a.v, b.v, c.v * d.v);
}
#endif
#endif
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
#if defined(__AVX512F__)
  if constexpr (sizeof(mask.v) == 64) {
    return _mm512_test_epi32_mask((__m512i)mask.v, (__m512i)mask.v) != 0;
  } else {
    return _mm256_movemask_ps((__m256)mask.v) != 0;
  }
#elif defined(__AVX__)
  return _mm256_movemask_ps((__m256)mask.v) != 0;
#else
  typedef typename VectorOf<double, 4>::Ints Words;
  const Words words = (Words)mask.v;
  return ((words[0] | words[1]) | (words[2] | words[3])) != 0;
#endif
}

// A bit for each lane.
template <typename T, int N>
HOST_DEVICE unsigned lane_bits(PackMask<T, N> mask) {
#if defined(__AVX512F__)
  if constexpr (N == 16) return unsigned(_mm512_test_epi32_mask((__m512i)mask.v, (__m512i)mask.v));
#endif
#if defined(__AVX__)
  if constexpr (N == 8) return unsigned(_mm256_movemask_ps((__m256)mask.v));
  if constexpr (sizeof(T) == 8) return unsigned(_mm256_movemask_pd((__m256d)mask.v));
#endif
  unsigned bits = 0;
  for (int i = 0; i < N; ++i) bits |= unsigned(mask.v[i] != 0) << i;
  return bits;
}

// The sum of the lanes: first the two halves, then one after the other, always in the same order.
template <typename T, int N>
HOST_DEVICE T lane_sum(Pack<T, N> a) {
  const typename Pack<T, N>::Half both = a.low_half() + a.high_half();
  T sum = both[0];
  for (int i = 1; i < N / 2; ++i) sum += both[i];
  return sum;
}

// ---- exponentials ---------------------------------------------------------------------------------

// Adding this number, 1.5 * 2^(digits - 1), leaves a number rounded to a whole one in the lowest bits.
template <typename T> struct Rounder;
template <> struct Rounder<float> {
  static constexpr float value = 12582912.0f, limit = 4194304.0f;
  static constexpr int32_t bits = 0x4B400000, bias = 127, shift = 23;
  static constexpr float lowest = -126.0f;
};
template <> struct Rounder<double> {
  static constexpr double value = 6755399441055744.0, limit = 2251799813685248.0;
  static constexpr int64_t bits = 0x4338000000000000LL, bias = 1023, shift = 52;
  static constexpr double lowest = -1022.0;
};

template <typename T, int N>
HOST_DEVICE Pack<T, N> round_to_integer(Pack<T, N> a) {
  typedef Pack<T, N> P;
  const P rounded = (a + P(Rounder<T>::value)) - P(Rounder<T>::value);
  return select(absolute(a) < P(Rounder<T>::limit), rounded, a);
}

// exp(r) for |r| <= 1/2: the Taylor polynomial, of degree 7 in float (remainder 1e-7 at the ends, 5e-9
// within log(2) / 2) and 13 in double (1e-15 and 4e-18), summed in pairs so that less waits for less.
// exp(0) is 1 exactly.
template <int N>
HOST_DEVICE Pack<float, N> exponential_near_zero(Pack<float, N> r) {
  typedef Pack<float, N> P;
  const P r2 = r * r;
  const P low = P(1.0f) + r, next = P(0.5f) + r * P(1.0f / 6);
  const P high = P(1.0f / 24) + r * P(1.0f / 120), top = P(1.0f / 720) + r * P(1.0f / 5040);
  return (low + r2 * next) + (r2 * r2) * (high + r2 * top);
}
template <int N>
HOST_DEVICE Pack<double, N> exponential_near_zero(Pack<double, N> r) {
  typedef Pack<double, N> P;
  constexpr double factorial[14] = {1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
  const P r2 = r * r;
  P sum = P(1 / factorial[12]) + r * P(1 / factorial[13]);
  for (int i = 10; i >= 0; i -= 2) sum = (P(1 / factorial[i]) + r * P(1 / factorial[i + 1])) + r2 * sum;
  return sum;
}

// 2^n for a whole number n <= 0; see the one for a single number.
template <typename T, int N>
HOST_DEVICE Pack<T, N> power_of_two(Pack<T, N> n) {
  typedef Pack<T, N> P;
  typedef Rounder<T> R;
  const P shifted = maximum(n, P(R::lowest)) + P(R::value);
  const typename P::IntVector exponent = (typename P::IntVector)shifted.v - R::bits + R::bias;
  return P((typename P::Vector)(exponent << R::shift));
}

// exp(x) for x <= 0, the only arguments a coverage has. Arguments are cut near the logarithm of the
// smallest normal number: exp never returns a denormal or zero.
template <typename T, int N>
HOST_DEVICE Pack<T, N> exponential(Pack<T, N> x) {
  typedef Pack<T, N> P;
  x = maximum(x, P(T(0.69) * Rounder<T>::lowest));
  const P n = (x * P(Log2<T>::inverse) + P(Rounder<T>::value)) - P(Rounder<T>::value);
  const P rest = (x - n * P(Log2<T>::high)) - n * P(Log2<T>::low);
  return exponential_near_zero(rest) * power_of_two(n);
}

// ---- transposition ---------------------------------------------------------------------------------

// Exchange rows and lanes of N packs of N lanes each.
template <typename T, int N>
HOST_DEVICE void transpose(Pack<T, N> (&rows)[N]) {
#if RENDERER_HAS_SHUFFLE
  VectorOf<T, N>::transpose(rows);
#else
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < i; ++j) {
      const T swapped = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i];
      rows[j].v[i] = swapped;
    }
  }
#endif
}

// Numbers that are transposed together: as many as the smaller of lanes and this.
constexpr int most_columns = 8;
template <int N> constexpr int columns_of = N < most_columns ? N : most_columns;

#if RENDERER_HAS_SHUFFLE
template <typename P>
HOST_DEVICE Pack<float, 16> join(P low, P high) {
  return {__builtin_shufflevector(low.v, high.v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
}
#else
HOST_DEVICE inline Pack<float, 16> join(Pack<float, 8> low, Pack<float, 8> high) {
  Pack<float, 16> out;
  for (int i = 0; i < 8; ++i) {
    out.v[i] = low.v[i];
    out.v[i + 8] = high.v[i];
  }
  return out;
}
#endif

// Load columns_of<N> numbers from an address for each lane into as many packs: column k has the number k of each.
template <typename T, int N, typename Address>
HOST_DEVICE void load_columns(const Address& address, Pack<T, N>* columns) {
  if constexpr (N > most_columns) {
    using Half = Pack<T, most_columns>;
    Half low[most_columns], high[most_columns];
    load_columns<T, most_columns>(address, low);
    load_columns<T, most_columns>([&](int lane) { return address(lane + most_columns); }, high);
    for (int k = 0; k < most_columns; ++k) columns[k] = join(low[k], high[k]);
  } else {
    Pack<T, N> rows[N];
    for (int lane = 0; lane < N; ++lane) rows[lane] = Pack<T, N>::load(address(lane));
    transpose(rows);
    for (int k = 0; k < N; ++k) columns[k] = rows[k];
  }
}

// Store what load_columns loads, to `count` addresses.
template <typename T, int N, typename Address>
HOST_DEVICE void store_columns(const Pack<T, N> (&columns)[columns_of<N>], int count, const Address& address) {
  if constexpr (N > most_columns) {
    using Half = Pack<T, most_columns>;
    Half low[most_columns], high[most_columns];
    for (int k = 0; k < most_columns; ++k) {
      low[k] = Half(columns[k].low_half());
      high[k] = Half(columns[k].high_half());
    }
    store_columns<T, most_columns>(low, count < most_columns ? count : most_columns, address);
    store_columns<T, most_columns>(high, count - most_columns, [&](int lane) { return address(lane + most_columns); });
  } else {
    Pack<T, N> rows[N];
    for (int k = 0; k < N; ++k) rows[k] = columns[k];
    transpose(rows);
    for (int lane = 0; lane < N && lane < count; ++lane) rows[lane].store(address(lane));
  }
}

// Write four packs as a row of four numbers for each lane.
template <typename T, int N>
HOST_DEVICE void store_rows(const Pack<T, N> (&channels)[4], T (&rows)[N][4]) {
#if RENDERER_HAS_SHUFFLE
  if constexpr (N > most_columns) {
    Pack<T, most_columns> half[4];
    T (*each)[4] = rows;
    for (int k = 0; k < 4; ++k) half[k] = channels[k].low_half();
    store_rows(half, *reinterpret_cast<T (*)[most_columns][4]>(each));
    for (int k = 0; k < 4; ++k) half[k] = channels[k].high_half();
    store_rows(half, *reinterpret_cast<T (*)[most_columns][4]>(each + most_columns));
  } else {
    VectorOf<T, N>::store_rows(channels, rows);
  }
#else
  for (int i = 0; i < N; ++i) {
    for (int k = 0; k < 4; ++k) rows[i][k] = channels[k].v[i];
  }
#endif
}

}  // namespace renderer
