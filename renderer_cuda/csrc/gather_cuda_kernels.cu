// The CUDA back end of gather_faces.
#include "cuda_kernels.h"
#include "gather_cuda.h"

namespace renderer {
namespace {

constexpr int block_size = 256;

// A thread copies one number.
template <typename T>
__global__ void __launch_bounds__(block_size) gather_kernel(Gather<T> g) {
  const GatherShape& s = g.shape;
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= s.images * s.corners * s.channels) return;
  const int64_t channel = at % s.channels, corner = at / s.channels % s.corners;
  const int64_t image = at / s.channels / s.corners, vertex = g.faces[corner];
  const bool exists = vertex >= 0 && vertex < s.vertices;
  g.corners[at] = exists ? g.vertices[(image * s.vertices + vertex) * s.channels + channel] : T(NAN);
}

}  // namespace

template <typename T>
const char* launch(const Gather<T>& g, ScratchMemory&, void* stream) {
  const int64_t numbers = g.shape.images * g.shape.corners * g.shape.channels;
  const int64_t blocks = divide_up(numbers, int64_t(block_size));
  if (blocks == 0) return nullptr;
  if (blocks > most_blocks) return "too many corners in one batch for one launch";
  gather_kernel<<<unsigned(blocks), block_size, 0, static_cast<cudaStream_t>(stream)>>>(g);
  return last_error();
}

template const char* launch(const Gather<float>&, ScratchMemory&, void*);
template const char* launch(const Gather<double>&, ScratchMemory&, void*);

}  // namespace renderer
