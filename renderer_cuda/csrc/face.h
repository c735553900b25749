// A face, prepared once for all the pixels it meets.
//
// Corners are v_0, v_1, v_2; edge k runs from corner k to corner k + 1 (mod 3); the barycentric weight
// of a corner is that of the edge opposite to it, edge k + 1.
#pragma once

#include "parameters.h"
#include "real.h"

namespace renderer {

template <typename T> struct IntegerLike;
template <> struct IntegerLike<float> { using type = int32_t; };
template <> struct IntegerLike<double> { using type = int64_t; };

// The numbers a pixel needs of a face; Real is one number, or one for each of several faces.
template <typename Real>
struct Outline {
  Real x[3], y[3];            // corners, NDC
  Real edge_x[3], edge_y[3];
  Real inverse_length[3];     // 1 / |edge|^2
  Real inverse_depth[3];      // 1 / view depth
  Real inverse_area;          // 1 / (twice the signed area), negative where corners run clockwise
};

// A face in memory: 24 numbers without gaps, which a back end may move as a block.
template <typename T>
struct Face : Outline<T> {
  using Int = typename IntegerLike<T>::type;
  // The pixels whose centres can lie in the support: columns and rows, half open, inside the image.
  Int first_column, end_column, first_row, end_row;
  T most_exponent;  // of its weight at any pixel, see softmax_weight

  HOST_DEVICE bool empty() const { return first_column >= end_column || first_row >= end_row; }
};

// The first pixel at or after (the end of those at or before) position `index`, a real number, cut to
// [0, count]. The slack covers the rounding of `index` itself: a hundredth of a pixel and eight epsilons.
template <typename Real>
HOST_DEVICE Real first_pixel(Real index, int count) {
  using T = typename Traits<Real>::Scalar;
  const Real slack = Real(T(0.01)) + Real(T(8) * Limits<T>::epsilon) * absolute(index);
  const Real low = minimum(maximum(index - slack, Real(T(0))), Real(T(count)));
  const Real whole = truncate(low);
  return select(whole < low, whole + Real(T(1)), whole);
}
template <typename Real>
HOST_DEVICE Real end_pixel(Real index, int count) {
  using T = typename Traits<Real>::Scalar;
  const Real slack = Real(T(0.01)) + Real(T(8) * Limits<T>::epsilon) * absolute(index);
  const Real high = index + slack;
  const Real whole = truncate(minimum(maximum(high, Real(T(0))), Real(T(count)))) + Real(T(1));
  return select(high >= Real(T(0)), minimum(whole, Real(T(count))), Real(T(0)));
}

// What `prepare` computes of one face, or of a pack of faces.
template <typename Real>
struct Prepared {
  Outline<Real> outline;
  Real first_column, end_column, first_row, end_row;  // whole numbers
  Real most_exponent;
};

// A depth which rounding does not take a face's nearest point before: the eight roundings on the way from the
// inverse depths of the corners to the depth of a point are four epsilons.
template <typename Real, typename R>
HOST_DEVICE Real nearest_depth(const Outline<R>& face) {
  using T = typename Traits<Real>::Scalar;
  const Real greatest(maximum(face.inverse_depth[0], maximum(face.inverse_depth[1], face.inverse_depth[2])));
  return Real(T(1) - T(16) * Limits<T>::epsilon) / greatest;
}

// A bound on the exponent, base 2, of the weight of a face in the softmax over depth: that of full coverage at its
// nearest point. The margin of 1 is for rounding to a whole number; the other, four epsilons, for two orders of
// the operations of a logit.
template <typename Real, typename T>
HOST_DEVICE Real weight_exponent_bound(Real nearest, const Parameters<T>& p) {
  const Real logit = -(nearest - Real(p.near)) * Real(p.depth_scale);
  const Real exponent = logit * Real(Log2<T>::inverse);
  return exponent + Real(T(1)) + Real(T(4) * Limits<T>::epsilon) * absolute(exponent);
}

// Set the pixels that the box around a face, grown by a radius, can reach: one number, or one for each face.
template <typename Real, typename R, typename T>
HOST_DEVICE void bound(Prepared<Real>& f, typename Traits<Real>::Mask drawable, R support_radius, const Parameters<T>& p) {
  const Real zero(T(0)), half(p.half_shorter), radius(p.distance == Distance::hard ? R(T(0)) : support_radius);
  const Real column_origin(T(0.5) * T(p.width - 1)), row_origin(T(0.5) * T(p.height - 1));
  const Real* x = f.outline.x;
  const Real* y = f.outline.y;
  const Real left = minimum(x[0], minimum(x[1], x[2])) - radius;
  const Real right = maximum(x[0], maximum(x[1], x[2])) + radius;
  const Real bottom = minimum(y[0], minimum(y[1], y[2])) - radius;
  const Real top = maximum(y[0], maximum(y[1], y[2])) + radius;
  f.first_column = select(drawable, first_pixel(product(left, half) + column_origin, p.width), zero);
  f.end_column = select(drawable, end_pixel(product(right, half) + column_origin, p.width), zero);
  f.first_row = select(drawable, first_pixel(row_origin - product(top, half), p.height), zero);
  f.end_row = select(drawable, end_pixel(row_origin - product(bottom, half), p.height), zero);
}

// Whether all of the numbers that colour a face are finite: a face of which some are not is left out.
template <typename T>
HOST_DEVICE bool are_finite(const T* numbers, int count) {
  bool finite = true;
  for (int i = 0; i < count; ++i) finite &= is_finite(numbers[i]);
  return finite;
}

// Prepare faces from their nine numbers each. A face that cannot be drawn gets an empty rectangle: one that is not
// `colored`, with a number that is not finite, with a corner not in front of the camera (at a normal number), with squares that
// overflow, with an edge whose square is no normal number, or with an area that is zero to rounding
// (two epsilons of its longest edge squared; below that the sign of the area is noise. The released
// SoftRas draws such faces at coverage one half). The support ends at a radius, NDC, see `bound`.
template <typename Real, typename R, typename T>
HOST_DEVICE Prepared<Real> prepare(const Real corners[9], typename Traits<Real>::Mask colored, R support_radius,
                                   const Parameters<T>& p) {
  Prepared<Real> f;
  Outline<Real>& o = f.outline;
  const Real zero(T(0)), one(T(1)), smallest(Limits<T>::smallest);
  Real longest = zero;
  auto drawable = colored;
  for (int k = 0; k < 3; ++k) {
    const int next = k == 2 ? 0 : k + 1;
    o.x[k] = corners[3 * k];
    o.y[k] = corners[3 * k + 1];
    const Real depth = corners[3 * k + 2];
    o.edge_x[k] = corners[3 * next] - o.x[k];
    o.edge_y[k] = corners[3 * next + 1] - o.y[k];
    const Real square = product(o.edge_x[k], o.edge_x[k]) + product(o.edge_y[k], o.edge_y[k]);
    drawable = drawable & is_finite(o.x[k]) & is_finite(o.y[k]) & is_finite(depth) & (depth >= smallest) &
               (square >= smallest);
    o.inverse_depth[k] = one / depth;
    o.inverse_length[k] = one / square;
    longest = maximum(square, longest);
  }
  // Twice the area from the two edges that leave corner 0 (edge 2 arrives there).
  const Real area = product(o.edge_y[0], o.edge_x[2]) - product(o.edge_x[0], o.edge_y[2]);
  o.inverse_area = one / area;
  const Real noise = maximum(Real(T(2) * Limits<T>::epsilon) * longest, Real(T(4)) * smallest);
  drawable = drawable & is_finite(longest * longest) & (absolute(area) > noise);
  f.most_exponent = weight_exponent_bound(nearest_depth<Real>(o), p);
  bound(f, drawable, support_radius, p);
  return f;
}

// The same with the radius that all faces have.
template <typename Real, typename T>
HOST_DEVICE Prepared<Real> prepare(const Real corners[9], typename Traits<Real>::Mask colored, const Parameters<T>& p) {
  return prepare(corners, colored, p.support_radius, p);
}

// Prepare one face, which is left out unless it is `colored`, see are_finite.
template <typename T>
HOST_DEVICE Face<T> setup_face(const T* corners, bool colored, const Parameters<T>& p) {
  using Int = typename Face<T>::Int;
  const Prepared<T> f = prepare<T>(corners, colored, p);
  Face<T> face;
  static_cast<Outline<T>&>(face) = f.outline;
  face.first_column = Int(f.first_column);
  face.end_column = Int(f.end_column);
  face.first_row = Int(f.first_row);
  face.end_row = Int(f.end_row);
  face.most_exponent = f.most_exponent;
  return face;
}

// The position of a pixel centre in NDC: (2 column + 1 - W) / min(H, W) and, up the rows, (H - 1 - 2 row) / min(H, W). The
// numerators are whole and exact.
template <typename T> HOST_DEVICE T center_x(const Parameters<T>& p, int column) {
  return product(T(2 * column + 1 - p.width), p.inverse_shorter);
}
template <typename T> HOST_DEVICE T center_y(const Parameters<T>& p, int row) {
  return product(T(p.height - 1 - 2 * row), p.inverse_shorter);
}

}  // namespace renderer
