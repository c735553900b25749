// The CPU kernels of blends.h, one table of functions for each instruction set.
#pragma once

#include "blends.h"
#include "rasterize_cpu.h"

namespace renderer {

// Some of the prepared faces of a mesh: list gives their indices in ascending order, or is null for faces 0..count-1.
template <typename T>
struct TileFaces {
  const Face<T>* faces;
  const int32_t* list;
  int64_t count;
};

// The numbers that the gradient of faces needs of a pixel.
template <typename T>
int blend_row_size(const Parameters<T>& p) {
  return p.color == Color::none ? 2 : 8;
}

template <typename T>
struct BlendKernels {
  // Prepare faces [begin, end) of the batch into out[0, end - begin).
  void (*setup)(const LayersForward<T>&, int64_t begin, int64_t end, Face<T>* out);

  // Blend faces at the pixels of a tile, and write these. `scratch` has a place for each pixel of the tile.
  void (*render)(const LayersForward<T>&, int64_t image, const TileFaces<T>&, Tile, Blended<T>* scratch);

  // Lay out what the backward reads of rows [begin, end) of an image.
  void (*lay_out)(const LayersBackward<T>&, int64_t image, int begin, int end, T* rows);

  // Write the gradient of faces [begin, end) of a mesh, whose prepared faces are given, from the rows of the image.
  void (*gather)(const LayersBackward<T>&, int64_t image, const Face<T>* faces, int64_t begin, int64_t end, const T* rows);
};

// Each is defined by blends_cpu_kernels.cpp, compiled once for each instruction set.
#define RENDERER_DECLARE_BLENDS(NAME)               \
  const BlendKernels<float>& float_blends_##NAME(); \
  const BlendKernels<double>& double_blends_##NAME();
RENDERER_DECLARE_BLENDS(baseline)
RENDERER_DECLARE_BLENDS(avx2)
RENDERER_DECLARE_BLENDS(avx512)

}  // namespace renderer
