// The CUDA kernels of the rasterizer, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include <cstddef>

#include "parameters.h"

namespace renderer {

// Bytes of device memory a launch needs for each face of the batch.
template <typename T> std::size_t bytes_per_face();

// Queue the kernels on a stream (a cudaStream_t). `faces` is device memory, bytes_per_face() for each
// face of the batch. Returns null, or what CUDA says went wrong.
template <typename T> const char* launch_forward(const Forward<T>&, void* faces, void* stream);
template <typename T> const char* launch_backward(const Backward<T>&, void* faces, void* stream);

}  // namespace renderer
