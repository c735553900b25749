// The CUDA kernels of the voxeliser, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include "scratch.h"
#include "voxelize.h"

namespace renderer {

// See scratch.h; the host does not wait for the device. All pointers of the call are of device memory, but
// meshes.first_face may be of the host and is brought to the device.
template <typename T> int64_t scratch_bytes(const Voxelization<T>&);
template <typename T> const char* launch(const Voxelization<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
