// The op voxelize over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with a static function
// voxelize(Voxelization<T>, vertices), where the tensor `vertices` tells the device;
// RENDERER_DISPATCH_KEY is the key to register under. The schema is defined and the arguments
// validated in renderer_cuda/voxelization.py; a direct call of the op gets an error, not a crash.
#include <torch/csrc/stable/library.h>

#include "tensors.h"
#include "voxelize.h"

namespace renderer {
namespace {

namespace stable = torch::stable;

stable::Tensor voxelize(stable::Tensor face_vertices, stable::Tensor first_face, int64_t images,
                        int64_t resolution, int64_t mode) {
  STD_TORCH_CHECK(resolution >= 1 && resolution <= kMaxResolution, "resolution must be in 1..",
                  kMaxResolution, ", got ", resolution);
  STD_TORCH_CHECK(mode >= 0 && mode < kModes, "mode must be in 0..", kModes - 1, ", got ", mode);
  const Meshes meshes = meshes_of(face_vertices, first_face, images);
  const auto vertices = stable::contiguous(face_vertices);
  const auto occupied = stable::new_empty(vertices, {images, resolution, resolution, resolution},
                                          torch::headeronly::ScalarType::Bool);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    const Voxelization<T> v = {data<T>(vertices), meshes, int(resolution), Mode(mode), data<bool>(occupied)};
    RENDERER_BACK_END::voxelize(v, vertices);
  });
  return occupied;
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, RENDERER_DISPATCH_KEY, library) {
  library.impl("voxelize", TORCH_BOX(&renderer::voxelize));
}
