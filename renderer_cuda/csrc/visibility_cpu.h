// Which face is seen at each pixel, on the CPU: the kernels, one table of functions for each instruction set.
#pragma once

#include "rasterize_cpu.h"

namespace renderer {

// Rows of an image, half open.
struct Rows {
  int begin, end;
  int count() const { return end - begin; }
};

template <typename T>
struct VisibilityKernels {
  // Write nearest_face of some rows of one image, of a mesh of at most `faces`; scratch holds scratch_size(...)
  // numbers.
  void (*see)(const Forward<T>&, int64_t image, Rows, T* scratch);
  int64_t (*scratch_size)(const Parameters<T>&, int rows, int64_t faces);
};

// Each is defined by visibility_cpu_kernels.cpp, compiled once for each instruction set.
#define RENDERER_DECLARE_VISIBILITY(NAME)                    \
  const VisibilityKernels<float>& float_visibility_##NAME(); \
  const VisibilityKernels<double>& double_visibility_##NAME();
RENDERER_DECLARE_VISIBILITY(baseline)
RENDERER_DECLARE_VISIBILITY(avx2)
RENDERER_DECLARE_VISIBILITY(avx512)

// Write nearest_face of images [begin, end) whatever the distance of the call, alone or with all threads.
template <typename T> void see_images(const Forward<T>&, int64_t begin, int64_t end, bool parallel);

}  // namespace renderer
