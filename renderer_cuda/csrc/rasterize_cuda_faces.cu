// Set-up on the GPU: a thread prepares a face, and the needs of all faces are added up.
#include "layers_cuda_faces.h"

namespace renderer {
namespace {

template <typename T>
__device__ Box box_of(const Face<T>& face) {
  return {uint16_t(face.first_column), uint16_t(face.end_column), uint16_t(face.first_row), uint16_t(face.end_row)};
}

// The sum over a warp, in lane 0.
__device__ unsigned warp_sum(unsigned value) {
  for (int half = warp_size / 2; half > 0; half /= 2) value += __shfl_down_sync(all_lanes, value, half);
  return value;
}

constexpr int most_levels = 32;  // widths of bins or sizes of parts: each doubles, and an image has at most 2^32 pixels

// Add up the needs of the faces of a block, then add them to those of the image, where all its blocks meet: by one
// atomic operation for each level rather than one for each level and warp. Needs shrink from level to level: a warp
// whose faces need nothing any more is done.
template <typename Need>
__device__ void add_needs(const Need& need, Levels levels, int64_t image, Box box) {
  __shared__ unsigned long long sums[most_levels];
  if (threadIdx.x < most_levels) sums[threadIdx.x] = 0;
  __syncthreads();
  for (int level = 0; level < levels.count; ++level) {
    const unsigned mine = need(box, level);
    if (!__any_sync(all_lanes, mine > 0)) break;
    const unsigned all = warp_sum(mine);
    if (threadIdx.x % warp_size == 0) atomicAdd(sums + level, all);
  }
  __syncthreads();
  const int level = int(threadIdx.x);
  if (level < levels.count && sums[level] > 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(levels.totals + image * levels.count + level), sums[level]);
  }
}

template <typename T, typename Source, typename Need>
__global__ void __launch_bounds__(range_faces) setup_kernel(Source source, Need need, Levels levels, Faces<T> faces) {
  const Range range = range_at(source.meshes(), blockIdx.x);
  const int64_t index = range.begin + threadIdx.x;
  Box box = {0, 0, 0, 0};
  if (index < range.end) {
    const Slot<T> slot = {source.prepare(index)};
    box = box_of(slot.face);
    faces.slots[index] = slot;
    faces.boxes[index] = box;
  }
  if (levels.count > 0) add_needs(need, levels, range.image, box);  // of all blocks or of none
}

}  // namespace

template <typename T, typename Source, typename Need>
const char* setup_faces_of(const Source& source, Need need, Levels levels, Faces<T> faces, cudaStream_t stream) {
  const int64_t ranges = count_ranges(source.meshes());
  if (ranges > most_blocks) return "too many faces in one batch for one launch";
  setup_kernel<T><<<unsigned(ranges), range_faces, 0, stream>>>(source, need, levels, faces);
  return last_error();
}

#define RENDERER_SETUP(T, SOURCE, NEED) \
  template const char* setup_faces_of(const SOURCE<T>&, NEED, Levels, Faces<T>, cudaStream_t)
RENDERER_SETUP(float, PlainFaces, BinNeed);
RENDERER_SETUP(float, PlainFaces, PartNeed);
RENDERER_SETUP(float, LayerFaces, BinNeed);
RENDERER_SETUP(double, PlainFaces, BinNeed);
RENDERER_SETUP(double, PlainFaces, PartNeed);
RENDERER_SETUP(double, LayerFaces, BinNeed);

}  // namespace renderer
