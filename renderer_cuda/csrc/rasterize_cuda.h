// The CUDA kernels of the rasterizer, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include <vector>

#include "parameters.h"

namespace renderer {

// Device memory that the kernels of a launch use between themselves; it need not be cleared.
struct Buffer {
  const char* name;
  int64_t bytes;
};

template <typename T> std::vector<Buffer> scratch_of(const Forward<T>&);
template <typename T> std::vector<Buffer> scratch_of(const Backward<T>&);

// Queue the kernels on a stream (a cudaStream_t); the host does not wait for the device. `scratch` holds an
// address in device memory, a multiple of 16, for each buffer of scratch_of. All pointers of the call are
// of device memory, but parameters.first_face, which is of the host and is copied. Returns null, or what
// CUDA says went wrong.
template <typename T> const char* launch(const Forward<T>&, void* const* scratch, void* stream);
template <typename T> const char* launch(const Backward<T>&, void* const* scratch, void* stream);

}  // namespace renderer
