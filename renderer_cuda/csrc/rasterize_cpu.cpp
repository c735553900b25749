// The CPU back end: which instruction set, which images, tiles and faces at once.
#include "rasterize_cpu.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace renderer {
namespace {

using torch::stable::Tensor;

// ---- the kernels of this processor -----------------------------------------------------------------

enum class InstructionSet { baseline, avx2, avx512 };

// The best the processor has; the environment can ask for less, which the tests do.
InstructionSet instruction_set() {
#if defined(RENDERER_X86_KERNELS)
  const char* wish = std::getenv("RENDERER_CUDA_INSTRUCTION_SET");
  const auto allows = [wish](const char* name) { return !wish || !*wish || !std::strcmp(wish, name); };
  if (allows("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    return InstructionSet::avx512;
  }
  if (allows("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return InstructionSet::avx2;
  }
#endif
  return InstructionSet::baseline;
}

template <typename T> const CpuKernels<T>& kernels_of(InstructionSet);
#if defined(RENDERER_X86_KERNELS)
#define RENDERER_CHOOSE_KERNELS(T)                                                      \
  template <> const CpuKernels<T>& kernels_of<T>(InstructionSet set) {                  \
    switch (set) {                                                                      \
      case InstructionSet::avx512: return T##_kernels_avx512();                         \
      case InstructionSet::avx2: return T##_kernels_avx2();                             \
      default: return T##_kernels_baseline();                                           \
    }                                                                                   \
  }
#else
#define RENDERER_CHOOSE_KERNELS(T) \
  template <> const CpuKernels<T>& kernels_of<T>(InstructionSet) { return T##_kernels_baseline(); }
#endif
RENDERER_CHOOSE_KERNELS(float)
RENDERER_CHOOSE_KERNELS(double)

template <typename T>
const CpuKernels<T>& kernels() {
  static const CpuKernels<T>& chosen = kernels_of<T>(instruction_set());
  return chosen;
}

// ---- memory and threads ----------------------------------------------------------------------------

// Memory that is not cleared: every user writes before it reads.
template <typename T>
std::unique_ptr<T[]> allocate(int64_t count) {
  return std::unique_ptr<T[]>(new T[size_t(std::max<int64_t>(count, 1))]);
}

// Call work(item, scratch) for items [0, count), each thread taking the next free item; the results
// do not depend on who takes which. In parallel over torch's threads, or in this one.
template <typename T, typename Work>
void for_each(int64_t count, bool parallel, int64_t scratch_size, const Work& work) {
  if (!parallel || count <= 1) {
    const auto scratch = allocate<T>(scratch_size);
    for (int64_t item = 0; item < count; ++item) work(item, scratch.get());
    return;
  }
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(count, torch::stable::get_num_threads());
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      const auto scratch = allocate<T>(scratch_size);
      for (int64_t item; (item = next.fetch_add(1)) < count;) work(item, scratch.get());
    }
  });
}

// Whether to give whole images to threads; else the threads share each image.
bool images_fill_threads(int64_t images) {
  return images >= 2 * int64_t(torch::stable::get_num_threads());
}

template <typename T>
struct CenterTables {
  std::vector<T> x, y;
  CenterTables(const Parameters<T>& p, int padding)
      : x(size_t(p.width + padding)), y(size_t(p.height + padding)) {
    for (int i = 0; i < int(x.size()); ++i) x[size_t(i)] = T(2 * i + 1 - p.width) / p.shorter;
    for (int i = 0; i < int(y.size()); ++i) y[size_t(i)] = T(p.height - 1 - 2 * i) / p.shorter;
  }
  Centers<T> view() const { return {x.data(), y.data()}; }
};

// ---- forward ---------------------------------------------------------------------------------------

// Faces sorted into tiles: those of tile t are list[first[t]], ..., list[first[t + 1] - 1], ascending.
struct Bins {
  int side, columns, rows;  // of tiles, in pixels; number of tiles
  std::vector<int64_t> first;
  std::vector<int32_t> list;
  int64_t count() const { return int64_t(columns) * rows; }
};

constexpr int tile_side = 64;  // pixels; the state of a tile stays in the second-level cache
constexpr int64_t faces_per_task = 4096;

// Call visit(face index, tile index) for every tile that every face touches, faces ascending.
template <typename T, typename Visit>
void for_each_entry(const Face<T>* faces, int64_t count, const Bins& bins, const Visit& visit) {
  for (int64_t f = 0; f < count; ++f) {
    const Face<T>& face = faces[f];
    if (face.empty()) continue;
    for (int y = face.first_row / bins.side; y <= (face.end_row - 1) / bins.side; ++y) {
      for (int x = face.first_column / bins.side; x <= (face.end_column - 1) / bins.side; ++x) {
        visit(f, size_t(int64_t(y) * bins.columns + x));
      }
    }
  }
}

// Sort faces into tiles. Tiles grow until the lists take at most four entries a face and one a pixel,
// which a picture in a single tile does: memory is bounded and nothing can overflow.
template <typename T>
Bins sort_into_tiles(const Face<T>* faces, int64_t count, int height, int width) {
  for (int side = tile_side;; side *= 2) {
    Bins bins;
    bins.side = side;
    bins.columns = (width + side - 1) / side;
    bins.rows = (height + side - 1) / side;
    bins.first.assign(size_t(bins.count() + 1), 0);
    if (bins.count() == 1) return bins;
    int64_t total = 0;
    for_each_entry(faces, count, bins, [&](int64_t, size_t tile) {
      ++bins.first[tile + 1];
      ++total;
    });
    if (total > 4 * count + int64_t(height) * width) continue;
    for (int64_t t = 0; t < bins.count(); ++t) bins.first[size_t(t + 1)] += bins.first[size_t(t)];
    bins.list.resize(size_t(total));
    std::vector<int64_t> at(bins.first.begin(), bins.first.end() - 1);
    for_each_entry(faces, count, bins, [&](int64_t f, size_t tile) {
      bins.list[size_t(at[tile]++)] = int32_t(f);
    });
    return bins;
  }
}

template <typename T>
void forward_image(const Forward<T>& f, int64_t image, bool parallel, Face<T>* faces, Centers<T> centers) {
  const Parameters<T>& p = f.parameters;
  const CpuKernels<T>& k = kernels<T>();
  const int64_t tasks = (p.faces + faces_per_task - 1) / faces_per_task;
  for_each<T>(tasks, parallel, 0, [&](int64_t task, T*) {
    const int64_t begin = task * faces_per_task, end = std::min(begin + faces_per_task, p.faces);
    k.setup(f.face_vertices, p, image * p.faces + begin, image * p.faces + end, faces + begin);
  });
  const Bins bins = sort_into_tiles(faces, p.faces, p.height, p.width);
  const bool single = bins.count() == 1;
  const int side_x = std::min(bins.side, p.width), side_y = std::min(bins.side, p.height);
  const int64_t scratch_size = k.forward_scratch(p.color, side_x, side_y);
  for_each<T>(bins.count(), parallel, scratch_size, [&](int64_t t, T* scratch) {
    const int x = int(t % bins.columns) * bins.side, y = int(t / bins.columns) * bins.side;
    const Tile tile = {x, std::min(x + bins.side, p.width), y, std::min(y + bins.side, p.height)};
    const int64_t begin = bins.first[size_t(t)], end = bins.first[size_t(t + 1)];
    const int32_t* list = single ? nullptr : bins.list.data() + begin;
    k.forward_tile(f, image, faces, list, single ? p.faces : end - begin, tile, centers, scratch);
  });
}

template <typename T>
void forward_cpu(const Forward<T>& f) {
  const Parameters<T>& p = f.parameters;
  const CenterTables<T> centers(p, kernels<T>().padding);
  const bool whole_images = images_fill_threads(p.images);
  const int64_t bytes = int64_t(sizeof(Face<T>)) * p.faces / int64_t(sizeof(T));
  for_each<T>(p.images, whole_images, bytes, [&](int64_t image, T* scratch) {
    forward_image(f, image, !whole_images, reinterpret_cast<Face<T>*>(scratch), centers.view());
  });
}

// ---- backward --------------------------------------------------------------------------------------

constexpr int64_t faces_per_gather = 64;
constexpr int rows_per_task = 32;

template <typename T>
void backward_image(const Backward<T>& b, int64_t image, bool parallel, T* planes, Centers<T> centers) {
  const Parameters<T>& p = b.parameters;
  const CpuKernels<T>& k = kernels<T>();
  for_each<T>((p.height + rows_per_task - 1) / rows_per_task, parallel, 0, [&](int64_t task, T*) {
    const int begin = int(task) * rows_per_task;
    k.backward_planes(b, image, begin, std::min(begin + rows_per_task, p.height), planes);
  });
  const int64_t tasks = (p.faces + faces_per_gather - 1) / faces_per_gather;
  for_each<T>(tasks, parallel, 0, [&](int64_t task, T*) {
    const int64_t begin = task * faces_per_gather;
    k.backward_faces(b, image, begin, std::min(begin + faces_per_gather, p.faces), centers, planes);
  });
}

template <typename T>
void backward_cpu(const Backward<T>& b) {
  const Parameters<T>& p = b.parameters;
  const CenterTables<T> centers(p, kernels<T>().padding);
  const bool whole_images = images_fill_threads(p.images);
  const int64_t size = kernels<T>().backward_scratch(p.color, p.width, p.height);
  for_each<T>(p.images, whole_images, size, [&](int64_t image, T* planes) {
    backward_image(b, image, !whole_images, planes, centers.view());
  });
}

// ---- ops -------------------------------------------------------------------------------------------

struct CpuBackEnd {
  template <typename T> static void forward(const Forward<T>& f, const Tensor&) { forward_cpu(f); }
  template <typename T> static void backward(const Backward<T>& b, const Tensor&) { backward_cpu(b); }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "rasterize_ops.h"
