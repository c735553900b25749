// The order in which the CPU meets the faces of an image; it depends on the image alone.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "rasterize_cpu.h"
#include "threads.h"

namespace renderer {

// The faces of a mesh in ranges that threads take; as many ranges whatever the threads.
struct Ranges {
  int64_t faces, size, count;
  explicit Ranges(int64_t faces) : faces(faces), size(std::max<int64_t>(4096, (faces + 63) / 64)) {
    count = (faces + size - 1) / size;
  }
  int64_t begin(int64_t range) const { return range * size; }
  int64_t end(int64_t range) const { return std::min(faces, (range + 1) * size); }
};

// ---- the forward: wide faces, near ones first ------------------------------------------------------

// Where a face lies between the nearest and the farthest corner of a mesh, in classes of inverse depth.
template <typename T>
struct DepthClasses {
  static constexpr int count = 64;
  T nearest = Limits<T>::smallest, farthest = Limits<T>::largest;

  static T key(const Face<T>& face) {
    return std::max({face.inverse_depth[0], face.inverse_depth[1], face.inverse_depth[2]});
  }
  void add(const DepthClasses& other) {
    nearest = std::max(nearest, other.nearest);
    farthest = std::min(farthest, other.farthest);
  }
  int of(const Face<T>& face) const {
    const T place = (nearest - key(face)) / std::max(nearest - farthest, Limits<T>::smallest);
    return std::min(int(place * T(count)), count - 1);
  }
};

// Sort the faces of a mesh that have pixels into `list`, which holds an index for each: near ones first, as they hide
// those behind, most of which then need no colour; equals in the order of their indices. Returns how many there are. No
// mode matters, so alpha has the same bits with and without colour.
template <typename T>
int64_t sort_near_first(const Face<T>* faces, const Ranges& ranges, bool parallel, int32_t* list) {
  constexpr int classes = DepthClasses<T>::count;
  std::vector<DepthClasses<T>> each(size_t(ranges.count));
  std::vector<int32_t> places(size_t(ranges.count) * classes);
  const auto visit = [&](const auto& use) {
    for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
      for (int64_t f = ranges.begin(range); f < ranges.end(range); ++f) {
        if (!faces[f].empty()) use(size_t(range), f);
      }
    });
  };
  visit([&](size_t range, int64_t f) {
    const T key = DepthClasses<T>::key(faces[f]);
    each[range].add({key, key});
  });
  DepthClasses<T> depths;
  for (const DepthClasses<T>& some : each) depths.add(some);
  visit([&](size_t range, int64_t f) { ++places[range * classes + size_t(depths.of(faces[f]))]; });
  int32_t total = 0;
  for (int c = 0; c < classes; ++c) {
    for (size_t range = 0; range < size_t(ranges.count); ++range) {
      total += std::exchange(places[range * classes + size_t(c)], total);
    }
  }
  visit([&](size_t range, int64_t f) { list[places[range * classes + size_t(depths.of(faces[f]))]++] = int32_t(f); });
  return total;
}

// ---- the backward ----------------------------------------------------------------------------------

// By how many powers of two depth alone tells the weights of faces apart.
template <typename T>
struct WeightRange {
  T least = Limits<T>::largest, most = -Limits<T>::largest;
  void add(const Face<T>& face) {
    least = std::min(least, face.most_exponent);
    most = std::max(most, face.most_exponent);
  }
  T depths() const { return least <= most ? most - least : T(0); }
};

// Sort faces [begin, end) of a mesh, whose keys are given: small ones first, by the classes of their keys, then large ones as
// they come. Of wide faces none is small. `list` holds end - begin indices.
template <typename T>
FaceList<T> sort_by_keys(const Face<T>* faces, const int32_t* keys, int64_t begin, int64_t end, bool wide, T depths,
                         int32_t* list) {
  constexpr int large = KeyClasses::count, classes = large + 1;
  const auto class_of = [wide](int32_t key) { return wide || key / 2 > small_pixels ? large : KeyClasses::of(key); };
  int32_t place[classes + 1] = {};
  for (int64_t f = begin; f < end; ++f) {
    if (KeyClasses::has_pixels(keys[f])) ++place[class_of(keys[f]) + 1];
  }
  for (int c = 0; c < classes; ++c) place[c + 1] += place[c];
  const int64_t small = place[large], count = place[classes];
  for (int64_t f = begin; f < end; ++f) {
    if (KeyClasses::has_pixels(keys[f])) list[place[class_of(keys[f])]++] = int32_t(f);
  }
  return {faces, keys, list, count, wide, small, depths};
}

}  // namespace renderer
