// Wide faces: neighbouring pixels of a row in the lanes, each row no wider than the support of the face.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "lanes.h"
#include "sides.h"

namespace renderer {
namespace {

// Room at the end of a row for the packs that reach over it.
template <typename T> constexpr int row_padding = 64 / int(sizeof(T));

// The columns of a row in which a face can show, half open and within those of a tile. A hundredth of a pixel covers
// the rounding of columns.
template <typename T>
struct Span {
  int begin, end;
  HOST_DEVICE Span(const Sides<T>& sides, Tile tile, int row, const Parameters<T>& p) {
    const T y = center_y(p, row), origin = T(0.5) * T(p.width - 1);
    const auto column = [&](int k) { return (sides.slope[k] * y + sides.offset[k]) * p.half_shorter + origin; };
    const T left(T(tile.first_column)), last(T(tile.end_column - 1));
    const T first = minimum(maximum(maximum(column(0), column(1)), left), last + T(1));
    const T final = maximum(minimum(minimum(column(2), column(3)), last), left - T(1));
    begin = int(first + T(0.99));
    end = int(final + T(1.01));
  }
};

// Call visit(first column, row, end column) for the packs of pixels of a face in a tile.
template <int width, typename T, typename Visit>
HOST_DEVICE void for_each_pack(const Face<T>& face, Tile tile, const Parameters<T>& p, const Visit& visit) {
  const Sides<T> sides = sides_of(static_cast<const Outline<T>&>(face), p);
  for (int row = tile.first_row; row < tile.end_row; ++row) {
    const Span<T> span(sides, tile, row, p);
    for (int column = span.begin; column < span.end; column += width) visit(column, row, span.end);
  }
}

}  // namespace
}  // namespace renderer
