// The CPU back end: which images, tiles and faces at once.
#include "rasterize_cpu.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <vector>

#include "processor.h"
#include "threads.h"
#include "visibility_cpu.h"

namespace renderer {
namespace {

using torch::stable::Tensor;

// ---- the kernels of this processor -----------------------------------------------------------------

template <typename T>
struct Kernels {
  const ForwardKernels<T>& forward;
  const BackwardKernels<T>& backward;
};

template <typename T> const Kernels<T>& kernels();
#define RENDERER_CHOOSE_KERNELS(T)                                                                            \
  template <> const Kernels<T>& kernels() {                                                                   \
    static const Kernels<T> chosen = {RENDERER_CALL_BEST(T##_forward), RENDERER_CALL_BEST(T##_backward)};     \
    return chosen;                                                                                            \
  }
RENDERER_CHOOSE_KERNELS(float)
RENDERER_CHOOSE_KERNELS(double)

// ---- forward ---------------------------------------------------------------------------------------

constexpr int tile_side = 64;  // pixels; the state of a tile stays in the second-level cache

// Faces sorted into tiles: those of tile t are list[first[t]], ..., list[first[t + 1] - 1], ascending.
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

// The faces of a mesh in ranges that threads take; as many ranges whatever the threads.
struct Ranges {
  int64_t faces, size, count;
  explicit Ranges(int64_t faces) : faces(faces), size(std::max<int64_t>(4096, (faces + 63) / 64)) {
    count = (faces + size - 1) / size;
  }
  int64_t begin(int64_t range) const { return range * size; }
  int64_t end(int64_t range) const { return std::min(faces, (range + 1) * size); }
};

// Call visit(face index, tile index) for every tile that faces [begin, end) touch, faces ascending.
template <typename T, typename Visit>
void for_each_entry(const Face<T>* faces, int64_t begin, int64_t end, const Bins& bins, const Visit& visit) {
  for (int64_t f = begin; f < end; ++f) {
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
int64_t plan_lists(const Face<T>* faces, const Ranges& ranges, bool parallel, Bins& bins,
                   std::vector<int64_t>& places) {
  const size_t tiles = size_t(bins.count());
  places.assign(size_t(ranges.count) * tiles, 0);
  for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
    int64_t* counts = places.data() + size_t(range) * tiles;
    for_each_entry(faces, ranges.begin(range), ranges.end(range), bins, [&](int64_t, size_t t) { ++counts[t]; });
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

// Sort faces into tiles. Tiles grow until the lists take at most four entries a face and one a pixel,
// which an image in a single tile does: memory is bounded and nothing can overflow.
template <typename T>
Bins sort_into_tiles(const Face<T>* faces, const Ranges& ranges, int height, int width, bool parallel) {
  std::vector<int64_t> places;
  for (int side = tile_side;; side *= 2) {
    Bins bins(side, height, width);
    if (bins.count() == 1) return bins;
    const int64_t total = plan_lists(faces, ranges, parallel, bins, places);
    if (total > 4 * ranges.faces + int64_t(height) * width) continue;
    bins.list.resize(size_t(total));
    for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
      int64_t* place = places.data() + size_t(range) * size_t(bins.count());
      for_each_entry(faces, ranges.begin(range), ranges.end(range), bins,
                     [&](int64_t f, size_t t) { bins.list[size_t(place[t]++)] = int32_t(f); });
    });
    return bins;
  }
}

template <typename T>
void forward_image(const Forward<T>& f, int64_t image, bool parallel, Face<T>* faces) {
  const Parameters<T>& p = f.parameters;
  const ForwardKernels<T>& k = kernels<T>().forward;
  const int64_t first = first_face_of(p, image), count = mesh_faces(p, image);
  const Ranges ranges(count);
  for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
    const int64_t begin = ranges.begin(range);
    k.setup(f, first + begin, first + ranges.end(range), faces + begin);
  });
  if (p.color == Color::hard) see_image(f, image, parallel);
  const Bins bins = sort_into_tiles(faces, ranges, p.height, p.width, parallel);
  const bool single = bins.count() == 1;
  const int64_t scratch_size = k.scratch_size(p, std::min(bins.side, p.width), std::min(bins.side, p.height));
  for_each<T>(bins.count(), parallel, scratch_size, [&](int64_t t, T* scratch) {
    const int64_t begin = single ? 0 : bins.first[size_t(t)];
    const int64_t some = single ? count : bins.first[size_t(t + 1)] - begin;
    const int32_t* list = single ? nullptr : bins.list.data() + begin;
    k.render(f, image, faces, list, some, bins.tile(t, p.height, p.width), scratch);
  });
}

template <typename T>
void forward_cpu(const Forward<T>& f) {
  const Parameters<T>& p = f.parameters;
  const bool whole_images = images_fill_threads(p.images);
  for_each<Face<T>>(p.images, whole_images, most_faces(p), [&](int64_t image, Face<T>* faces) {
    forward_image(f, image, !whole_images, faces);
  });
}

// ---- backward --------------------------------------------------------------------------------------

constexpr int64_t faces_per_task = 256;
constexpr int rows_per_task = 32;

template <typename T>
void backward_image(const Backward<T>& b, int64_t image, bool parallel, T* pixels) {
  const Parameters<T>& p = b.parameters;
  const BackwardKernels<T>& k = kernels<T>().backward;
  for_each<char>((p.height + rows_per_task - 1) / rows_per_task, parallel, 0, [&](int64_t task, char*) {
    const int begin = int(task) * rows_per_task;
    k.lay_out(b, image, begin, std::min(begin + rows_per_task, p.height), pixels);
  });
  const int64_t first = first_face_of(p, image), end = first + mesh_faces(p, image);
  const int64_t size = parallel ? faces_per_task : end - first;
  if (first == end) return;
  for_each<char>((end - first + size - 1) / size, parallel, 0, [&](int64_t task, char*) {
    const int64_t begin = first + task * size;
    k.gather(b, image, begin, std::min(begin + size, end), pixels);
  });
}

template <typename T>
void backward_cpu(const Backward<T>& b) {
  const Parameters<T>& p = b.parameters;
  const bool whole_images = images_fill_threads(p.images);
  const int64_t size = kernels<T>().backward.pixels_size(p);
  for_each<T>(p.images, whole_images, size, [&](int64_t image, T* pixels) {
    backward_image(b, image, !whole_images, pixels);
  });
}

// ---- ops -------------------------------------------------------------------------------------------

struct CpuBackEnd {
  template <typename T> static void forward(const Forward<T>& f, const Tensor&) { forward_cpu(f); }
  template <typename T> static void backward(const Backward<T>& b, const Tensor&) { backward_cpu(b); }
};

}  // namespace
}  // namespace renderer

// For the report of `python -m renderer_cuda`.
extern "C" __attribute__((visibility("default"))) const char* renderer_cuda_instruction_set() {
  return renderer::name_of(renderer::instruction_set());
}

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "rasterize_ops.h"
