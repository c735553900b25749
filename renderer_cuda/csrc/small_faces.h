// Small faces: one in each lane, which walks over the pixels of its own face.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "lanes.h"

namespace renderer {
namespace {

// Each lane walks over the pixels of its own face, row by row, each row no wider than the support: these are about
// two thirds of the pixels of the box. A row without such pixels has one. The next row is found ahead of its time, as that takes
// a long chain of operations.
template <typename T>
class Walk {
 public:
  // Over the part of the faces in a tile whose rows have `stride` pixels.
  HOST_DEVICE Walk(const FacePack<T>& faces, Tile tile, int stride, const Parameters<T>& p)
      : parameters_(p), sides_(sides_of(faces, p)), stride_(stride) {
    const Boxes<T> box = clip(faces, tile);
    columns_ = {real<T>(box.first_column), real<T>(box.end_column - 1)};
    height_ = real<T>(Int<T>(p.height - 1) - 2 * box.first_row);
    end_height_ = real<T>(Int<T>(p.height - 1) - 2 * box.end_row);
    row_ = (box.first_row - Int<T>(tile.first_row)) * Int<T>(stride) - Int<T>(tile.first_column);
    const Row first = row_below(0);
    column_ = first.column;
    last_ = first.last;
    next_ = row_below(1);
  }

  HOST_DEVICE Mask<T> active() const { return height_ > end_height_; }

  // Where the pixels are, NDC; see center_x.
  HOST_DEVICE Real<T> x() const {
    const Real<T> place = Real<T>(T(2)) * column_ + Real<T>(T(1 - parameters_.width));
    return product(place, Real<T>(parameters_.inverse_shorter));
  }
  HOST_DEVICE Real<T> y() const { return product(height_, Real<T>(parameters_.inverse_shorter)); }

  // Their numbers in the tile, 0 in lanes that have come to their end.
  HOST_DEVICE IntVector<T> number() const {
    return (row_ + __builtin_convertvector(column_.v, IntVector<T>)) & active().v;
  }

  HOST_DEVICE void next() {
    column_ += Real<T>(T(1));
    const Mask<T> ended = column_ > last_;
    column_ = select(ended, next_.column, column_);
    last_ = select(ended, next_.last, last_);
    height_ += select(ended, Real<T>(T(-2)), Real<T>(T(0)));
    row_ += ended.v & stride_;
    next_ = row_below(1);
  }

 private:
  struct Row {
    Real<T> column, last;  // the first column, and what no other is beyond
  };

  // So many rows below the one where each lane is.
  HOST_DEVICE Row row_below(int rows) const {
    const Span<Real<T>> span = span_of(sides_, columns_, height_ - Real<T>(T(2 * rows)));
    return {truncate(span.first), span.last};
  }

  const Parameters<T>& parameters_;
  Sides<Real<T>> sides_;
  Columns<Real<T>> columns_;
  Real<T> column_, last_, height_, end_height_;
  Row next_;
  IntVector<T> row_;  // the number of column 0 of the row
  Int<T> stride_;
};

// Pixels of a face that are worked on together: one waits for the results of a long chain of
// operations, and two chains take hardly longer.
constexpr int steps = 2;

// Call visit(coverage, numbers) for the pixels of the faces in the lanes, `steps` at a time: the coverage of each, and its
// number in a tile whose rows have `stride` pixels, which is 0 without support in lanes whose pixels have ended.
template <bool every_mode, typename T, typename Visit>
HOST_DEVICE void for_each_pixels(const FacePack<T>& faces, Tile tile, int stride, const Parameters<T>& p,
                                 const Visit& visit) {
  for (Walk<T> walk(faces, tile, stride, p); any(walk.active());) {
    Coverage<Real<T>> c[steps];
    Int<T> at[steps][lanes<T>];
    for (int i = 0; i < steps; ++i) {
      c[i] = cover<every_mode>(faces, p, walk.x(), walk.y());
      c[i].support = c[i].support & walk.active();
      store_lanes<T>(walk.number(), at[i]);
      walk.next();
    }
    for (int i = 0; i < steps; ++i) attenuate<every_mode>(c[i], p);
    visit(c, at);
  }
}

}  // namespace
}  // namespace renderer
