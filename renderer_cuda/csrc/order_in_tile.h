// The order in which the forward meets the faces of a tile.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "lanes.h"

namespace renderer {
namespace {

constexpr int sorted_at_once = 4096;

// Indices of faces. What is drawn is the same in any order, but for rounding; the order does not depend on the mode, so that
// alpha has the same bits with and without colour.
struct Sorted {
  int32_t small[sorted_at_once];  // by the classes of the keys that they have in the tile
  int32_t large[sorted_at_once];  // as they come
  int small_count, large_count;
  double depths;  // by how many powers of two depth alone tells their weights apart
};

// From the keys of `count` small faces to those of what they have in a tile.
template <typename T>
HOST_DEVICE void cut_keys(const Face<T>* faces, const int32_t* list, int count, Tile tile, const Parameters<T>& p,
                          int32_t* keys) {
  const Face<T> nothing = no_face(p);
  for (int i = 0; i < count; i += lanes<T>) {
    const int some = count - i < lanes<T> ? count - i : lanes<T>;
    const Face<T>* picked[lanes<T>];
    int32_t index[lanes<T>];
    pick(faces, list + i, some, nothing, picked, index);
    FacePack<T> pack;
    load_faces(picked, pack);
    const Boxes<T> box = clip(pack, tile);
    const Columns<Real<T>> columns = {real<T>(box.first_column), real<T>(box.end_column - 1)};
    const Real<T> pixels = count_walked(sides_of(pack, p), columns, real<T>(box.first_row), real<T>(box.end_row), p);
    Int<T> each[lanes<T>];
    store_lanes<T>(whole<T>(pixels), each);
    for (int lane = 0; lane < some; ++lane) keys[i + lane] = 2 * int32_t(each[lane]) + keys[i + lane] % 2;
  }
}

// Sort `count` faces (at most sorted_at_once), whose keys are given; those without a pixel in the tile are left out. Of equals
// those that lie in the tile as a whole come first, else they keep their order.
template <typename T>
void sort_faces(const Face<T>* faces, const int32_t* keys, const int32_t* list, int32_t first, int count, Tile tile,
                const Parameters<T>& p, Sorted& out) {
  // Small faces, first those that lie in the tile as a whole and, from the end on, those that are cut.
  int32_t small[sorted_at_once], keys_here[sorted_at_once];
  int whole = 0, cut = sorted_at_once;
  T least = Limits<T>::largest, most = -Limits<T>::largest;
  out.large_count = 0;
  for (int i = 0; i < count; ++i) {
    const int32_t index = list ? list[i] : first + i;
    const Face<T>& face = faces[index];
    const Tile part = clip(face, tile);
    const int columns = part.columns(), rows = part.rows();
    if (columns <= 0 || rows <= 0 || !KeyClasses::has_pixels(keys[index])) continue;
    least = minimum(least, face.most_exponent);
    most = maximum(most, face.most_exponent);
    const int64_t pixels = int64_t(columns) * rows;
    if (pixels > small_pixels) {
      out.large[out.large_count++] = index;
      continue;
    }
    const int place = pixels == box_pixels(face) ? whole++ : --cut;
    small[place] = index;
    keys_here[place] = keys[index];
  }
  out.depths = double(most) - double(least);
  cut_keys(faces, small + cut, sorted_at_once - cut, tile, p, keys_here + cut);

  int start[KeyClasses::count + 1] = {};
  const auto visit = [&](const auto& use) {
    for (int i = 0; i < whole; ++i) use(i);
    for (int i = sorted_at_once - 1; i >= cut; --i) use(i);
  };
  visit([&](int i) { ++start[KeyClasses::of(keys_here[i]) + 1]; });
  for (int c = 0; c < KeyClasses::count; ++c) start[c + 1] += start[c];
  out.small_count = start[KeyClasses::count];
  visit([&](int i) { out.small[start[KeyClasses::of(keys_here[i])]++] = small[i]; });
}

}  // namespace
}  // namespace renderer
