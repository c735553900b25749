// The CPU kernels of the rasterizer, one table of functions for each instruction set.
#pragma once

#include <cstdint>

#include "face.h"
#include "parameters.h"

namespace renderer {

// A rectangle of pixels, half open.
struct Tile {
  int first_column, end_column, first_row, end_row;
  int columns() const { return end_column - first_column; }
  int rows() const { return end_row - first_row; }
};

template <typename T>
struct ForwardKernels {
  // Prepare faces [begin, end) of the batch into out[0, end - begin).
  void (*setup)(const Forward<T>&, int64_t begin, int64_t end, Face<T>* out);

  // Render one tile of one image from `count` prepared faces of its mesh; list gives their indices in
  // ascending order, or is null for faces 0..count-1. scratch holds scratch_size(...) numbers.
  void (*render)(const Forward<T>&, int64_t image, const Face<T>* faces, const int32_t* list, int64_t count,
                 Tile, T* scratch);
  int64_t (*scratch_size)(const Parameters<T>&, int columns, int rows);
};

template <typename T>
struct BackwardKernels {
  // Lay out what the backward reads of rows [begin, end) of one image.
  void (*lay_out)(const Backward<T>&, int64_t image, int begin, int end, T* pixels);
  int64_t (*pixels_size)(const Parameters<T>&);

  // Gather the gradient of faces [begin, end) of the batch, all of one image.
  void (*gather)(const Backward<T>&, int64_t image, int64_t begin, int64_t end, const T* pixels);
};

// Each is defined by rasterize_cpu_forward.cpp or rasterize_cpu_backward.cpp, compiled once for each
// instruction set.
#define RENDERER_DECLARE_KERNELS(NAME)                     \
  const ForwardKernels<float>& float_forward_##NAME();     \
  const ForwardKernels<double>& double_forward_##NAME();   \
  const BackwardKernels<float>& float_backward_##NAME();   \
  const BackwardKernels<double>& double_backward_##NAME();
RENDERER_DECLARE_KERNELS(baseline)
RENDERER_DECLARE_KERNELS(avx2)
RENDERER_DECLARE_KERNELS(avx512)

#define RENDERER_JOIN_(a, b) a##b
#define RENDERER_JOIN(a, b) RENDERER_JOIN_(a, b)

}  // namespace renderer
