// CPU back end of renderer_cuda::gather_faces and of its transpose, scatter_faces.
//
// One thread takes one image at a time and adds in the order of the faces, so sums are deterministic.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <stdexcept>
#include <string>

#include "gather.h"
#include "tensors.h"

namespace renderer {
namespace {

using torch::stable::Tensor;

// An index outside of the vertices would read or write foreign memory.
void check_indices(const int64_t* index, const GatherShape& s) {
  for (int64_t i = 0; i < s.corners; ++i) {
    if (index[i] < 0 || index[i] >= s.vertices) {
      throw std::out_of_range("faces must index " + std::to_string(s.vertices) + " vertices, got " +
                              std::to_string(index[i]));
    }
  }
}

struct CpuBackEnd {
  template <typename T>
  static void gather(const Gather<T>& g, const Tensor&) {
    const GatherShape& s = g.shape;
    check_indices(g.faces, s);
    torch::stable::parallel_for(0, s.images, 1, [&](int64_t begin, int64_t end) {
      for (int64_t image = begin; image < end; ++image) {
        const T* from = g.vertices + image * s.vertices * s.channels;
        T* to = g.corners + image * s.corners * s.channels;
        for (int64_t i = 0; i < s.corners; ++i, to += s.channels) {
          for (int64_t c = 0; c < s.channels; ++c) to[c] = from[g.faces[i] * s.channels + c];
        }
      }
    });
  }
};

template <typename T>
void scatter(const T* corners, const int64_t* index, T* out, const GatherShape& s) {
  torch::stable::parallel_for(0, s.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      T* to = out + image * s.vertices * s.channels;
      const T* from = corners + image * s.corners * s.channels;
      for (int64_t i = 0; i < s.vertices * s.channels; ++i) to[i] = T(0);
      for (int64_t i = 0; i < s.corners; ++i, from += s.channels) {
        for (int64_t c = 0; c < s.channels; ++c) to[index[i] * s.channels + c] += from[c];
      }
    }
  });
}

Tensor scatter_faces(Tensor corners, Tensor faces, int64_t num_vertices) {
  check_faces(faces, corners);
  STD_TORCH_CHECK(corners.dim() == 4 && corners.size(1) == faces.size(0) && corners.size(2) == 3,
                  "corners must have shape [B, F, 3, C] with the F of faces");
  const Tensor from = torch::stable::contiguous(corners), index = torch::stable::contiguous(faces);
  const GatherShape s = {from.size(0), num_vertices, from.size(3), 3 * index.size(0)};
  check_indices(data<int64_t>(index), s);
  const Tensor out = torch::stable::new_empty(from, {s.images, num_vertices, s.channels});
  in_dtype_of(from, [&](auto zero) {
    using T = decltype(zero);
    scatter(data<T>(from), data<int64_t>(index), data<T>(out), s);
  });
  return out;
}

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "gather_ops.h"

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, CPU, scatter_library) {
  scatter_library.impl("scatter_faces", TORCH_BOX(&renderer::scatter_faces));
}
