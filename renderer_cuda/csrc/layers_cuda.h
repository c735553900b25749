// The CUDA kernels of layered colours, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include "layers.h"
#include "scratch.h"

namespace renderer {

// The pairs of a pixel and a face whose box it lies in, counted: memory for so many holds the layers of all pixels. They
// are counted by whole numbers alone, so that no rounding can make them too few.
template <typename T>
struct CountPairs {
  LayersForward<T> call;
  // out
  int64_t* begin;  // [B H W + 1] the pairs of the pixels before each, and of all
  int64_t* total;  // of all, in the memory of the host, which waits for it
};

template <typename T>
struct RenderLayers {
  LayersForward<T> call;
  // in
  const int64_t* begin;
  int64_t pairs;
};

template <typename T>
struct RenderLayersBackward {
  LayersBackward<T> call;
  // in
  const int64_t* begin;
  int64_t pairs;
};

// See scratch.h. All pointers are of device memory, but total and, where it is of the host, parameters.first_face.
template <typename T> int64_t scratch_bytes(const CountPairs<T>&);
template <typename T> int64_t scratch_bytes(const RenderLayers<T>&);
template <typename T> int64_t scratch_bytes(const RenderLayersBackward<T>&);
template <typename T> const char* launch(const CountPairs<T>&, ScratchMemory& memory, void* stream);
template <typename T> const char* launch(const RenderLayers<T>&, ScratchMemory& memory, void* stream);
template <typename T> const char* launch(const RenderLayersBackward<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
