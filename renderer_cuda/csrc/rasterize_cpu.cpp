// The CPU back end: which images, tiles and faces at once.
#include "rasterize_cpu.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>

#include "processor.h"
#include "threads.h"
#include "tiles_cpu.h"
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
