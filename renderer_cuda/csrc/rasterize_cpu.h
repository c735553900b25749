// The CPU kernels of the rasterizer, one table of functions for each instruction set.
#pragma once

#include <cstdint>

#include "fragment.h"
#include "parameters.h"

namespace renderer {

// A rectangle of pixels, half open.
struct Tile {
  int first_column, end_column, first_row, end_row;
};

// NDC positions of pixel centres: x [W + padding], y [H + padding].
template <typename T>
struct Centers {
  const T* x;
  const T* y;
};

template <typename T>
struct CpuKernels {
  // Entries that the tables of pixel centres are longer than the image.
  int padding;

  // Prepare faces [begin, end) of the flattened batch into out[0, end - begin).
  void (*setup)(const T* face_vertices, const Parameters<T>&, int64_t begin, int64_t end, Face<T>* out);

  // Render one tile of one image from `count` faces; list gives their indices in ascending order, or
  // is null for faces 0..count-1. scratch holds forward_scratch(color, tile) numbers.
  void (*forward_tile)(const Forward<T>&, int64_t image, const Face<T>* faces, const int32_t* list,
                       int64_t count, Tile, Centers<T>, T* scratch);
  int64_t (*forward_scratch)(Color, int columns, int rows);

  // Lay out what the backward reads of rows [begin, end) of one image.
  void (*backward_planes)(const Backward<T>&, int64_t image, int begin, int end, T* planes);
  int64_t (*backward_scratch)(Color, int width, int height);

  // Gather the gradient of faces [begin, end) of one image.
  void (*backward_faces)(const Backward<T>&, int64_t image, int64_t begin, int64_t end, Centers<T>,
                         const T* planes);
};

// Each is defined by rasterize_cpu_kernels.cpp, compiled once for each instruction set.
#define RENDERER_DECLARE_KERNELS(NAME)            \
  const CpuKernels<float>& float_kernels_##NAME(); \
  const CpuKernels<double>& double_kernels_##NAME();
RENDERER_DECLARE_KERNELS(baseline)
RENDERER_DECLARE_KERNELS(avx2)
RENDERER_DECLARE_KERNELS(avx512)

}  // namespace renderer
