// The op gather_faces over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with a static function
// gather(Gather<T>, vertices), where the tensor `vertices` tells the device; RENDERER_DISPATCH_KEY is
// the key to register under. The schema is defined and the arguments validated in
// renderer_cuda/gathering.py.
#include <torch/csrc/stable/library.h>

#include "gather.h"
#include "tensors.h"

namespace renderer {
namespace {

torch::stable::Tensor gather_faces(torch::stable::Tensor vertices, torch::stable::Tensor faces) {
  check_faces(faces, vertices);
  STD_TORCH_CHECK(vertices.dim() == 3, "vertices must have shape [B, V, C]");
  const auto from = torch::stable::contiguous(vertices), index = torch::stable::contiguous(faces);
  const GatherShape shape = {from.size(0), from.size(1), from.size(2), 3 * index.size(0)};
  const auto corners = torch::stable::new_empty(from, {shape.images, index.size(0), 3, shape.channels});
  in_dtype_of(from, [&](auto zero) {
    using T = decltype(zero);
    RENDERER_BACK_END::gather(Gather<T>{shape, data<T>(from), data<int64_t>(index), data<T>(corners)}, from);
  });
  return corners;
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, RENDERER_DISPATCH_KEY, library) {
  library.impl("gather_faces", TORCH_BOX(&renderer::gather_faces));
}
