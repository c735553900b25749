// The CPU kernels of layered colours, one table of functions for each instruction set.
#pragma once

#include <cstdint>

#include "layers.h"
#include "rasterize_cpu.h"

namespace renderer {

// The fragments of a tile: pairs of a face and a pixel that shows it. Those of the first face come first, row by row.
// Its functions are in layers_cpu.cpp, and not compiled for several processors.
template <typename T>
class Fragments {
 public:
  struct Layer {
    T key, opacity, through, color[3];
  };

  Fragments() = default;
  ~Fragments();
  Fragments(const Fragments&) = delete;
  Fragments& operator=(const Fragments&) = delete;

  // Make room for `more` fragments behind those that are there: memory grows, or std::bad_alloc is thrown.
  HOST_DEVICE void reserve(int64_t more) {
    if (count + more > room_) grow(count + more);
  }
  // In place of layers, which are composed then, `share` and `opacity` (see LayerUpstream).
  void make_room_for_upstream();
  void drop_layers();

  int64_t count = 0;
  uint32_t* pixel = nullptr;  // row << 16 | column
  Layer* layer = nullptr;
  T* share = nullptr;
  T* opacity = nullptr;

 private:
  void grow(int64_t least);
  int64_t room_ = 0;
};

// Some fragments of one face in one tile, one after the other.
template <typename T>
struct FragmentRun {
  const uint32_t* pixel;
  const T* share;    // see LayerUpstream
  const T* opacity;
  int64_t count;
};

template <typename T>
struct LayerKernels {
  // Prepare faces [begin, end) of the batch into out[0, end - begin).
  void (*setup)(const LayersForward<T>&, int64_t begin, int64_t end, Face<T>* out);

  // Evaluate `count` prepared faces of a mesh (list gives their indices in ascending order, or is null for faces
  // 0..count-1) at the pixels of a tile. The fragments of the i-th begin at first[i]; first has count + 1 places.
  void (*collect)(const LayersForward<T>&, int64_t image, const Face<T>* faces, const int32_t* list, int64_t count,
                  Tile, Fragments<T>& out, int64_t* first);

  // Write the gradient of a face of the batch from its fragments, in `count` runs.
  void (*gather)(const LayersBackward<T>&, int64_t image, int64_t face, const Face<T>& prepared,
                 const FragmentRun<T>* runs, int64_t count);
};

// Each is defined by layers_cpu_kernels.cpp, compiled once for each instruction set.
#define RENDERER_DECLARE_LAYERS(NAME)               \
  const LayerKernels<float>& float_layers_##NAME(); \
  const LayerKernels<double>& double_layers_##NAME();
RENDERER_DECLARE_LAYERS(baseline)
RENDERER_DECLARE_LAYERS(avx2)
RENDERER_DECLARE_LAYERS(avx512)

}  // namespace renderer
