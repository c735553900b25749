// The CUDA kernels of the rasterizer, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include "parameters.h"
#include "scratch.h"

namespace renderer {

template <typename T> int64_t scratch_bytes(const Forward<T>&);
template <typename T> int64_t scratch_bytes(const Backward<T>&);

// Launches as in scratch.h; the host does not wait for the device. All pointers of the call are of device
// memory, but parameters.first_face may be of the host and is brought to the device.
template <typename T> const char* launch(const Forward<T>&, ScratchMemory& memory, void* stream);
template <typename T> const char* launch(const Backward<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
