// The CUDA back end of gather_faces and sum_rows.
//
// A thread writes one number. Blocks belong to one image each, so that a thread divides 32-bit numbers only.
#include "cuda_kernels.h"
#include "gather_cuda.h"

namespace renderer {
namespace {

constexpr int block_size = 256;
constexpr int64_t most_numbers = INT32_MAX - block_size;  // of an image

// The number of a thread within its image, and the image.
struct Place {
  uint32_t image, number;
};

__device__ Place place_of(uint32_t blocks_per_image) {
  const uint32_t image = blockIdx.x / blocks_per_image;
  return {image, (blockIdx.x - image * blocks_per_image) * block_size + threadIdx.x};
}

template <typename T>
__global__ void __launch_bounds__(block_size) gather_kernel(Gather<T> g, uint32_t blocks_per_image) {
  const GatherShape& s = g.shape;
  const Place at = place_of(blocks_per_image);
  const uint32_t channels = uint32_t(s.channels), numbers = uint32_t(s.corners) * channels;
  if (at.number >= numbers) return;
  const uint32_t corner = at.number / channels, channel = at.number - corner * channels;
  const int64_t vertex = g.faces[corner];
  const bool exists = vertex >= 0 && vertex < s.vertices;
  const T* from = g.vertices + at.image * s.vertices * s.channels;
  g.corners[int64_t(at.image) * numbers + at.number] = exists ? from[uint32_t(vertex) * channels + channel] : T(NAN);
}

template <typename T>
__global__ void __launch_bounds__(block_size) sum_kernel(Scatter<T> s, uint32_t blocks_per_image) {
  const RowSums& sums = s.sums;
  const Place at = place_of(blocks_per_image);
  const uint32_t channels = uint32_t(sums.channels), numbers = uint32_t(sums.places) * channels;
  if (at.number >= numbers) return;
  const uint32_t place = at.number / channels, channel = at.number - place * channels;
  const T* from = s.rows + at.image * sums.rows * sums.channels + channel;
  T sum(0);
  for (int32_t i = sums.first[place]; i < sums.first[place + 1]; ++i) sum += from[uint32_t(sums.order[i]) * channels];
  s.totals[int64_t(at.image) * numbers + at.number] = sum;
}

// Launch `kernel` with a thread for each of the numbers of each image.
template <typename Call>
const char* queue(void (*kernel)(Call, uint32_t), const Call& call, int64_t images, int64_t numbers, void* stream) {
  const int64_t blocks_per_image = divide_up(numbers, int64_t(block_size)), blocks = images * blocks_per_image;
  if (blocks == 0) return nullptr;
  if (blocks > most_blocks) return "too many corners in one batch for one launch";
  kernel<<<unsigned(blocks), block_size, 0, static_cast<cudaStream_t>(stream)>>>(call, uint32_t(blocks_per_image));
  return last_error();
}

}  // namespace

template <typename T>
const char* launch(const Gather<T>& g, ScratchMemory&, void* stream) {
  const GatherShape& s = g.shape;
  if (s.corners * s.channels > most_numbers || s.vertices * s.channels > most_numbers) {
    return "too many corners or vertices in one mesh";
  }
  return queue(gather_kernel<T>, g, s.images, s.corners * s.channels, stream);
}

template <typename T>
const char* launch(const Scatter<T>& s, ScratchMemory&, void* stream) {
  const RowSums& sums = s.sums;
  if (sums.rows * sums.channels > most_numbers || sums.places * sums.channels > most_numbers) {
    return "too many rows in one image";
  }
  return queue(sum_kernel<T>, s, sums.images, sums.places * sums.channels, stream);
}

template const char* launch(const Gather<float>&, ScratchMemory&, void*);
template const char* launch(const Gather<double>&, ScratchMemory&, void*);
template const char* launch(const Scatter<float>&, ScratchMemory&, void*);
template const char* launch(const Scatter<double>&, ScratchMemory&, void*);

}  // namespace renderer
