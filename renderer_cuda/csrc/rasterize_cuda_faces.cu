// Set-up on the GPU: a thread prepares a face, and the needs of all faces are added up.
#include "rasterize_cuda_faces.h"

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

// Needs shrink from level to level: a warp whose faces need nothing any more is done.
template <typename Need>
__device__ void add_needs(const Need& need, Levels levels, int64_t image, Box box) {
  for (int level = 0; level < levels.count; ++level) {
    const unsigned mine = need(box, level);
    if (!__any_sync(all_lanes, mine > 0)) return;
    const unsigned all = warp_sum(mine);
    if (threadIdx.x % warp_size == 0) {
      atomicAdd(reinterpret_cast<unsigned long long*>(levels.totals + image * levels.count + level), all);
    }
  }
}

template <typename T, typename Need>
__global__ void __launch_bounds__(range_faces)
    setup_kernel(const T* face_vertices, const T* face_textures, Parameters<T> p, Need need, Levels levels,
                 Faces<T> faces) {
  const Range range = range_at(p, blockIdx.x);
  const int64_t index = range.begin + threadIdx.x;
  Box box = {0, 0, 0, 0};
  if (index < range.end) {
    const int numbers = texture_numbers(p);
    const bool colored = !face_textures || are_finite(face_textures + index * numbers, numbers);
    const Slot<T> slot = {setup_face(face_vertices + 9 * index, colored, p)};
    box = box_of(slot.face);
    faces.slots[index] = slot;
    faces.boxes[index] = box;
  }
  add_needs(need, levels, range.image, box);
}

}  // namespace

template <typename T, typename Need>
const char* setup_faces(const T* face_vertices, const T* face_textures, const Parameters<T>& p, Need need,
                        Levels levels, Faces<T> faces, cudaStream_t stream) {
  const int64_t ranges = count_ranges(p);
  if (ranges > most_blocks) return "too many faces in one batch for one launch";
  setup_kernel<<<unsigned(ranges), range_faces, 0, stream>>>(face_vertices, face_textures, p, need, levels, faces);
  return last_error();
}

#define RENDERER_SETUP(T, NEED) \
  template const char* setup_faces(const T*, const T*, const Parameters<T>&, NEED, Levels, Faces<T>, cudaStream_t)
RENDERER_SETUP(float, BinNeed);
RENDERER_SETUP(float, PartNeed);
RENDERER_SETUP(double, BinNeed);
RENDERER_SETUP(double, PartNeed);

}  // namespace renderer
