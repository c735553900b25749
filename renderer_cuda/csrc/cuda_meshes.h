// The offsets of a packed batch, brought to the device; for the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "meshes.h"

namespace renderer {

// first_face of a packed batch on the device, copied to `memory` from the host; else null.
inline int64_t count_offsets(const Meshes& m) { return m.first_face ? m.images + 1 : 0; }
inline const int64_t* copy_offsets(const Meshes& m, int64_t* memory, cudaStream_t stream) {
  if (!m.first_face) return nullptr;
  cudaMemcpyAsync(memory, m.first_face, std::size_t(count_offsets(m)) * 8, cudaMemcpyHostToDevice, stream);
  return memory;
}

}  // namespace renderer
