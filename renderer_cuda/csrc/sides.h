// The lines beside a face beyond which it has no part, so that a row of pixels is walked no wider than needed.
#pragma once

#include "face.h"

namespace renderer {

// Two lines to the left of the support of a face and two to the right of it: column = slope height + offset, where a row has
// the height H - 1 - 2 row. Where a face has fewer, the rest of them lie far outside.
template <typename Real>
struct Sides {
  Real slope[4], offset[4];
};

// An offset, NDC, which no image reaches, and the steepest slope that is used: a line closer to a row of pixels than that
// says nothing about columns.
template <typename T> constexpr T far_aside = T(1e30);
template <typename T> constexpr T steepest = T(1e6);

// A bound on sqrt(1 + s^2), at most 8 % above it: the chord of a convex function, from 0 to 1 or from 1 to infinity.
template <typename Real>
HOST_DEVICE Real length_bound(Real slope) {
  using T = typename Traits<Real>::Scalar;
  const Real one(T(1)), size = absolute(slope);
  return maximum(one, size) + Real(T(0.41422)) * minimum(one, size);
}

// The lines through the edges of a face, moved outwards by the support radius. A point of the support is at most
// that far from the face, and the face lies on one side of each edge.
//
// With s the sign of the area, the face lies where s (edge_x (y - y_k) - edge_y (x - x_k)) >= 0: to the right of an
// edge with s edge_y < 0. The line moved by r is x = x_k + (edge_x / edge_y) (y - y_k) +- r |edge| / |edge_y|. Eight
// epsilons of all terms cover their rounding.
template <typename Real, typename T>
HOST_DEVICE Sides<Real> sides_of(const Outline<Real>& face, const Parameters<T>& p) {
  const Real zero(T(0)), far(far_aside<T>);
  Sides<Real> sides = {{zero, zero, zero, zero}, {-far, -far, far, far}};
  // Barycentric coordinates are no distances: there the box alone bounds the support.
  if (p.distance == Distance::barycentric) return sides;
  const Real radius(p.distance == Distance::hard ? T(0) : p.support_radius);
  const Real top(T(p.height) * p.inverse_shorter);  // greatest |y| of a pixel
  for (int k = 0; k < 3; ++k) {
    const Real slope = face.edge_x[k] / face.edge_y[k], size = absolute(slope);
    const Real aside = radius * length_bound(slope);
    const Real terms = size * (top + absolute(face.y[k])) + absolute(face.x[k]) + aside;
    const Real margin = aside + Real(T(8) * Limits<T>::epsilon) * terms;
    const Real through = face.x[k] - slope * face.y[k];
    const auto usable = size < Real(steepest<T>);  // false for an edge along a row, too
    const auto turned = product(face.edge_y[k], face.inverse_area);
    const auto left = usable & (turned < zero), right = usable & (turned > zero);
    // At most two edges lie on one side: the newer one takes the place of the older.
    sides.slope[1] = select(left, sides.slope[0], sides.slope[1]);
    sides.offset[1] = select(left, sides.offset[0], sides.offset[1]);
    sides.slope[0] = select(left, slope, sides.slope[0]);
    sides.offset[0] = select(left, through - margin, sides.offset[0]);
    sides.slope[3] = select(right, sides.slope[2], sides.slope[3]);
    sides.offset[3] = select(right, sides.offset[2], sides.offset[3]);
    sides.slope[2] = select(right, slope, sides.slope[2]);
    sides.offset[2] = select(right, through + margin, sides.offset[2]);
  }
  for (int k = 0; k < 4; ++k) {  // from x = slope y + offset, NDC
    sides.slope[k] *= Real(T(0.5));
    sides.offset[k] = sides.offset[k] * Real(p.half_shorter) + Real(T(0.5) * T(p.width - 1));
  }
  return sides;
}

// The columns of the box of a face, or of a face in each lane; whole numbers.
template <typename Real>
struct Columns {
  Real first, last;
};

// The columns of a row in which a face can show, those of its box alone: the first, which is one beyond the box at most, is
// `first` without its fraction, and the others go up to `last`. A hundredth of a pixel covers the rounding of columns.
template <typename Real>
struct Span {
  Real first, last;
};

template <typename Real>
HOST_DEVICE Span<Real> span_of(const Sides<Real>& sides, const Columns<Real>& box, Real height) {
  using T = typename Traits<Real>::Scalar;
  const auto column = [&](int k) { return sides.slope[k] * height + sides.offset[k]; };
  const Real left = minimum(maximum(maximum(column(0), column(1)), box.first), box.last + Real(T(1)));
  const Real right = minimum(minimum(column(2), column(3)), box.last);
  return {left + Real(T(0.99)), right + Real(T(0.01))};
}

// The number of columns of a span from the first on.
template <typename Real>
HOST_DEVICE Real count_columns(Span<Real> span, Real first) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1));
  return maximum(truncate(maximum(span.last + one, zero)) - first, zero);
}

}  // namespace renderer
