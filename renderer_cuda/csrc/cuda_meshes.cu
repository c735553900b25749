// The offsets of a packed batch, brought to where the kernels read them.
#include "cuda_kernels.h"

namespace renderer {
namespace {

constexpr int block_size = 256, warps = block_size / warp_size;
constexpr int most_offsets = 480;  // of a launch: the arguments of a kernel have 4 KiB

struct Offsets {
  int64_t number[most_offsets];
};

// From the arguments of the launch: a copy of memory of the host would read it when the work is done, or replayed.
__global__ void __launch_bounds__(most_offsets)
    write_offsets_kernel(const __grid_constant__ Offsets offsets, int count, int64_t* out) {
  if (int(threadIdx.x) < count) out[threadIdx.x] = offsets.number[threadIdx.x];
}

__device__ int64_t greater(int64_t a, int64_t b) { return a < b ? b : a; }

// The greatest of the numbers of this thread and those before it; `all` becomes the greatest of the block.
__device__ int64_t greatest_so_far(int64_t value, int64_t* of_warp, int64_t& all) {
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  for (int step = 1; step < warp_size; step *= 2) {
    const int64_t before = __shfl_up_sync(all_lanes, value, step);
    if (lane >= step) value = greater(value, before);
  }
  if (lane == warp_size - 1) of_warp[warp] = value;
  __syncthreads();
  all = 0;
  for (int w = 0; w < warps; ++w) {
    if (w < warp) value = greater(value, of_warp[w]);
    all = greater(all, of_warp[w]);
  }
  __syncthreads();  // of_warp is read, and may be written again
  return value;
}

// One block takes all offsets of the device and makes them rise from 0 to `faces`.
__global__ void __launch_bounds__(block_size)
    raise_offsets_kernel(const int64_t* given, int64_t images, int64_t faces, int64_t* out) {
  __shared__ int64_t of_warp[warps];
  int64_t before = 0;
  for (int64_t begin = 0; begin <= images; begin += block_size) {
    const int64_t i = begin + threadIdx.x;
    int64_t mine = i >= images ? faces : i == 0 ? 0 : given[i], all;
    if (mine > faces) mine = faces;
    mine = greater(greatest_so_far(mine, of_warp, all), before);  // `before` is at least 0
    if (i <= images) out[i] = mine;
    before = greater(before, all);
  }
}

}  // namespace

const int64_t* bring_offsets(const Meshes& m, int64_t* memory, cudaStream_t stream) {
  if (!m.first_face) return nullptr;
  if (m.first_face_on_device) {
    raise_offsets_kernel<<<1, block_size, 0, stream>>>(m.first_face, m.images, m.faces, memory);
    return memory;
  }
  const int64_t all = count_offsets(m);
  for (int64_t begin = 0; begin < all; begin += most_offsets) {
    Offsets offsets = {};
    const int count = int(all - begin < most_offsets ? all - begin : most_offsets);
    for (int i = 0; i < count; ++i) offsets.number[i] = m.first_face[begin + i];
    write_offsets_kernel<<<1, most_offsets, 0, stream>>>(offsets, count, memory + begin);
  }
  return memory;
}

}  // namespace renderer
