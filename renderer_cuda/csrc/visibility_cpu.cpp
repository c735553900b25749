// CPU back end of renderer_cuda::visible_faces: threads take whole images, or bands of them.
//
// The schema is defined and the arguments validated in renderer_cuda/visibility.py; a direct call of the op
// gets an error, not a crash.
#include "visibility_cpu.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>

#include "processor.h"
#include "tensors.h"
#include "threads.h"

namespace renderer {
namespace {

using torch::stable::Tensor;

constexpr int64_t most_side = 1 << 15;  // as validated: pixels of an image are numbered in 32 bits

template <typename T> const VisibilityKernels<T>& kernels();
#define RENDERER_CHOOSE_KERNELS(T)                                                  \
  template <> const VisibilityKernels<T>& kernels() {                               \
    static const VisibilityKernels<T>& chosen = RENDERER_CALL_BEST(T##_visibility); \
    return chosen;                                                                  \
  }
RENDERER_CHOOSE_KERNELS(float)
RENDERER_CHOOSE_KERNELS(double)

}  // namespace

// Where there are few images threads take a band of rows each: every band looks at all faces, but prepares and draws only
// those that reach it. What is seen does not depend on how many bands there are.
template <typename T>
void see_images(const Forward<T>& call, int64_t begin, int64_t end, bool parallel) {
  constexpr int least_rows = 32;
  Forward<T> f = call;
  f.parameters.distance = Distance::hard;
  const Parameters<T>& p = f.parameters;
  const VisibilityKernels<T>& k = kernels<T>();
  const int64_t images = end - begin;
  const int64_t wanted = parallel && !images_fill_threads(images) ? torch::stable::get_num_threads() : 1;
  const int most = int(std::max<int64_t>(1, std::min<int64_t>(wanted, p.height / least_rows)));
  const int rows = (p.height + most - 1) / most, bands = (p.height + rows - 1) / rows;
  for_each<T>(images * bands, parallel, k.scratch_size(p, rows, most_faces(p)), [&](int64_t task, T* scratch) {
    const int first = int(task % bands) * rows;
    k.see(f, begin + task / bands, {first, std::min(first + rows, p.height)}, scratch);
  });
}
template void see_images(const Forward<float>&, int64_t, int64_t, bool);
template void see_images(const Forward<double>&, int64_t, int64_t, bool);

namespace {

Tensor visible_faces(Tensor face_vertices, Tensor first_face, int64_t images, int64_t height, int64_t width,
                     double near, double far, bool double_sided) {
  STD_TORCH_CHECK(height >= 1 && height <= most_side && width >= 1 && width <= most_side,
                  "height and width must be in 1..", most_side, ", got ", height, " and ", width);
  const Tensor vertices = torch::stable::contiguous(face_vertices);
  const Meshes meshes = meshes_of(vertices, first_face, images);
  Settings settings;
  settings.near = near;
  settings.far = far;
  settings.double_sided = double_sided;
  settings.color = Color::hard;
  const Tensor seen =
      torch::stable::new_empty(vertices, {images, height, width}, torch::headeronly::ScalarType::Int);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Forward<T> f = {};
    f.parameters = make_parameters<T>(settings, int(height), int(width));
    static_cast<Meshes&>(f.parameters) = meshes;
    f.face_vertices = data<T>(vertices);
    f.nearest_face = data<int32_t>(seen);
    see_images(f, 0, images, true);
  });
  return seen;
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, CPU, visibility) {
  visibility.impl("visible_faces", TORCH_BOX(&renderer::visible_faces));
}
