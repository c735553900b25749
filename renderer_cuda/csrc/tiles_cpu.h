// Faces sorted into tiles of the image, on the CPU.
#pragma once

#include <algorithm>
#include <vector>

#include "order_cpu.h"
#include "rasterize_cpu.h"
#include "threads.h"

namespace renderer {

constexpr int tile_side = 64;  // pixels; the state of a tile stays in the second-level cache

// Faces sorted into tiles: those of tile t are list[first[t]], ..., list[first[t + 1] - 1], ascending or in the order
// that was asked for.
struct Bins {
  int side, columns, rows;  // of tiles, in pixels; number of tiles
  std::vector<int64_t> first;
  std::vector<int32_t> list;

  Bins(int side, int height, int width)
      : side(side), columns((width + side - 1) / side), rows((height + side - 1) / side) {}
  int64_t count() const { return int64_t(columns) * rows; }
  Tile tile(int64_t t, int height, int width) const {
    const int x = int(t % columns) * side, y = int(t / columns) * side;
    return {x, std::min(x + side, width), y, std::min(y + side, height)};
  }
};

// Call visit(face index, tile index) for every tile that faces order[begin], ..., order[end - 1] touch, one after the
// other; without an order these are faces [begin, end).
template <typename T, typename Visit>
void for_each_entry(const Face<T>* faces, const int32_t* order, int64_t begin, int64_t end, const Bins& bins,
                    const Visit& visit) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t f = order ? order[i] : i;
    const Face<T>& face = faces[f];
    if (face.empty()) continue;
    const int left = int(face.first_column) / bins.side, right = int(face.end_column - 1) / bins.side;
    const int top = int(face.first_row) / bins.side, bottom = int(face.end_row - 1) / bins.side;
    for (int y = top; y <= bottom; ++y) {
      for (int x = left; x <= right; ++x) visit(f, size_t(int64_t(y) * bins.columns + x));
    }
  }
}

// Count the entries of each range in each tile, and turn the counts into the places where each range
// begins in the list of each tile. Returns the number of all entries.
template <typename T>
int64_t plan_lists(const Face<T>* faces, const int32_t* order, const Ranges& ranges, bool parallel, Bins& bins,
                   std::vector<int64_t>& places) {
  const size_t tiles = size_t(bins.count());
  places.assign(size_t(ranges.count) * tiles, 0);
  for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
    int64_t* counts = places.data() + size_t(range) * tiles;
    for_each_entry(faces, order, ranges.begin(range), ranges.end(range), bins,
                   [&](int64_t, size_t t) { ++counts[t]; });
  });
  bins.first.assign(tiles + 1, 0);
  int64_t total = 0;
  for (size_t t = 0; t < tiles; ++t) {
    bins.first[t] = total;
    for (int64_t range = 0; range < ranges.count; ++range) {
      int64_t& place = places[size_t(range) * tiles + t];
      const int64_t count = place;
      place = total;
      total += count;
    }
  }
  bins.first[tiles] = total;
  return total;
}

// Sort faces into tiles: all of them, or those of an order, of which `ranges` are. Tiles grow from `side` on until the
// lists take at most four entries a face and one a pixel, which an image in a single tile does: memory is bounded and
// nothing can overflow.
template <typename T>
Bins sort_into_tiles(const Face<T>* faces, const Ranges& ranges, int height, int width, bool parallel,
                     const int32_t* order = nullptr, int side = tile_side) {
  std::vector<int64_t> places;
  for (;; side *= 2) {
    Bins bins(side, height, width);
    if (bins.count() == 1) return bins;
    const int64_t total = plan_lists(faces, order, ranges, parallel, bins, places);
    if (total > 4 * ranges.faces + int64_t(height) * width) continue;
    bins.list.resize(size_t(total));
    for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
      int64_t* place = places.data() + size_t(range) * size_t(bins.count());
      for_each_entry(faces, order, ranges.begin(range), ranges.end(range), bins,
                     [&](int64_t f, size_t t) { bins.list[size_t(place[t]++)] = int32_t(f); });
    });
    return bins;
  }
}

}  // namespace renderer
