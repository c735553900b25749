// The gradient of texels, in the gathers of the GPU.
#pragma once

#include "cuda_kernels.h"
#include "shading.h"

namespace renderer {

// Texels on a face. The lanes of a step note what they add, then lanes of the same texel are added in
// order and each texel is added to once: `gradient` belongs to one warp, that of the face or of a part of it.
template <typename T>
struct SurfaceTexture {
  const T* texels;  // of the face
  T* gradient;
  int side;
  int texel;        // of the pixel of this step, -1 for none
  T noted[3];

  __device__ void color(const Surface<T>& s, T out[3]) const {
    const T* from = texels + 3 * texel_at(s.mixing[0], s.mixing[1], s.mixing[2], side);
    for (int k = 0; k < 3; ++k) out[k] = from[k];
  }
  __device__ void color_vjp(const Surface<T>& s, const T grad_color[3], T[3]) {
    texel = texel_at(s.mixing[0], s.mixing[1], s.mixing[2], side);
    for (int k = 0; k < 3; ++k) noted[k] = grad_color[k];
  }
  // `group` tells the faces of a warp apart; `memory` is shared by the warp.
  __device__ void end_step(int group, T (*memory)[3]) {
    const int lane = threadIdx.x % warp_size;
    const unsigned peers = __match_any_sync(all_lanes, texel < 0 ? -1 : group << 16 | texel);
    for (int k = 0; k < 3; ++k) memory[lane][k] = noted[k];
    __syncwarp();
    if (texel >= 0 && lane == __ffs(int(peers)) - 1) {
      T sum[3] = {T(0), T(0), T(0)};
      for (unsigned rest = peers; rest; rest &= rest - 1) {
        for (int k = 0; k < 3; ++k) sum[k] += memory[__ffs(int(rest)) - 1][k];
      }
      for (int k = 0; k < 3; ++k) gradient[3 * texel + k] += sum[k];
    }
    texel = -1;
    __syncwarp();
  }
};

}  // namespace renderer
