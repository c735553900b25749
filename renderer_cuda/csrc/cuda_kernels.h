// What the .cu files share.
#pragma once

#include <cuda_runtime.h>

#include "cuda_meshes.h"
#include "cuda_tuning.h"

namespace renderer {

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffu;
constexpr int64_t most_blocks = 2147483647;  // gridDim.x

template <typename I>
HOST_DEVICE I divide_up(I a, I b) { return (a + b - 1) / b; }

// The bits of the lanes before this one.
__device__ inline unsigned lanes_before(int lane) { return (1u << lane) - 1; }

// What CUDA says of the launches since it was last asked; null when nothing went wrong.
inline const char* last_error() {
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

}  // namespace renderer
