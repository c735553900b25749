// Wide faces: neighbouring pixels of a row in the lanes, each row no wider than the support of the face.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "lanes.h"

namespace renderer {
namespace {

// Room at the end of a row for the packs that reach over it.
template <typename T> constexpr int row_padding = 64 / int(sizeof(T));

// Call visit(first column, row, end column) for the packs of pixels of a face in a tile.
template <typename T, typename Visit>
HOST_DEVICE void for_each_pack(const Face<T>& face, Tile tile, const Parameters<T>& p, const Visit& visit) {
  const Sides<T> sides = sides_of(static_cast<const Outline<T>&>(face), p);
  const Columns<T> box = {T(tile.first_column), T(tile.end_column - 1)};
  for (int row = tile.first_row; row < tile.end_row; ++row) {
    const Span<T> span = span_of(sides, box, T(p.height - 1 - 2 * row));
    const int first = int(span.first), end = first + int(count_columns(span, T(first)));
    for (int column = first; column < end; column += lanes<T>) visit(column, row, end);
  }
}

// The coverage of the pixels of such a pack. Returns whether any of them has support; else it is not finished.
template <bool every_mode, typename T>
HOST_DEVICE bool cover_pack(const Face<T>& face, int column, int row, int end_column, const Parameters<T>& p,
                            Coverage<Real<T>>& out) {
  const Real<T> centers = centers_x(p, column);
  out = cover<every_mode>(face, p, centers, Real<T>(center_y(p, row)));
  out.support = out.support & before(p, end_column, centers);
  if (!any(out.support)) return false;
  attenuate<every_mode>(out, p);
  return true;
}

}  // namespace
}  // namespace renderer
