// The CUDA kernels of blends.h, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include "blends.h"
#include "scratch.h"

namespace renderer {

template <typename T>
struct RenderBlends {
  LayersForward<T> call;
};

template <typename T>
struct RenderBlendsBackward {
  LayersBackward<T> call;
};

// See scratch.h. All pointers are of device memory, but, where it is of the host, parameters.first_face.
template <typename T> int64_t scratch_bytes(const RenderBlends<T>&);
template <typename T> int64_t scratch_bytes(const RenderBlendsBackward<T>&);
template <typename T> const char* launch(const RenderBlends<T>&, ScratchMemory& memory, void* stream);
template <typename T> const char* launch(const RenderBlendsBackward<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
