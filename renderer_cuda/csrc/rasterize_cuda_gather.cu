// The gather on the GPU: each face reads its pixels and writes its gradient once.
//
// Deterministic, without floating-point atomics. A face of few pixels has eight lanes of a warp, one of
// more pixels a warp, and one of very many is cut into parts, each with a warp, whose sums are added in
// order by the combine. How a face is worked on depends on the face and its mesh, and on nothing else.
#include "rasterize_cuda_backward.h"
#include "rasterize_cuda_texels.h"

namespace renderer {
namespace {

constexpr int warps = backward_block / warp_size;

// `face` is the index in its mesh.
template <Color mode, bool every_mode, typename T>
__device__ PixelGradient<T> pixel_at(const Backward<T>& b, const PixelRow<T>* rows, int64_t image, int64_t pixel,
                                     int64_t face) {
  const int64_t plane = int64_t(b.parameters.height) * b.parameters.width;
  PixelGradient<T> g = {};
  if constexpr (mode == Color::none) {
    const PixelState<T> alpha = alpha_gradient<mode, every_mode>(b, image, plane, pixel);
    g.alpha = alpha.common;
    g.kept = alpha.kept;
  } else {
    const PixelRow<T> row = rows[image * plane + pixel];
    g.alpha = row.alpha;
    for (int k = 0; k < 3; ++k) g.color[k] = row.color[k];
    g.mean = row.mean;
    g.exponent = row.exponent;
    g.inverse_partition = row.inverse_partition;
    g.seen = row.face == face;
    if (every_mode && mode == Color::softmax) memcpy(&g.kept, &row.face, sizeof(g.kept));
    if (every_mode && mode == Color::hard) g.kept = row.exponent;
  }
  if (every_mode) g.greatest = g.kept == T(face);
  return g;
}

// ---- which lanes take which pixels -----------------------------------------------------------------

constexpr uint32_t small_pixels = 64;  // up to this many, a face has few_lanes
constexpr int few_lanes = 8, faces_per_warp = warp_size / few_lanes;

// What a lane has a share in: the pixels [begin, end) of the box of a face, row by row.
struct Task {
  int64_t face, image;
  Box box;
  uint32_t begin, end;
  bool some;      // else the lane is idle
  int64_t slot;   // of a part, else -1
};

template <typename T>
__device__ Task part_task(const Parameters<T>& p, const Box* boxes, const Jobs& jobs, int64_t slot) {
  const Job job = jobs.job[slot];
  if (job.parts == 0) return {0, 0, {0, 0, 0, 0}, 0, 0, false, slot};
  const int64_t image = image_of(p, job.face);
  const Box box = boxes[job.face];
  const uint32_t size = 1u << (part_shift + jobs.level(p, image)), begin = job.part * size, pixels = box.pixels();
  return {job.face, image, box, begin, begin + size < pixels ? begin + size : pixels, true, slot};
}

// A whole face, if it is to be worked on by few lanes (or by many, if that is asked for).
template <typename T>
__device__ Task face_task(const Parameters<T>& p, const Box* boxes, const Jobs& jobs, int64_t face, bool few) {
  Task task = {0, 0, {0, 0, 0, 0}, 0, 0, false, -1};
  if (face >= p.faces) return task;
  const Box box = boxes[face];
  const uint32_t pixels = box.pixels();
  if ((pixels <= small_pixels) != few) return task;
  const int64_t image = image_of(p, face);
  const bool cut = jobs.levels.count > 0 && PartNeed{part_shift}(box, jobs.level(p, image)) > 0;
  return {face, image, box, 0, pixels, !cut, -1};
}

// ---- the gradient of faces -------------------------------------------------------------------------

// The most of a group of lanes each, for all of the warp.
__device__ uint32_t warp_maximum(uint32_t value) {
  for (int half = warp_size / 2; half > 0; half /= 2) {
    const uint32_t other = __shfl_xor_sync(all_lanes, value, half);
    value = value < other ? other : value;
  }
  return value;
}

// Each lane sums over its pixels: every `lanes`-th. `end_step` is called by all lanes of the warp.
template <Color mode, bool every_mode, typename T, typename TextureAt, typename EndStep>
__device__ void walk(const Backward<T>& b, const PixelRow<T>* rows, const Task& task, int lanes, const Outline<T>& face,
                     TextureAt& texture, FaceGradient<T>& g, const EndStep& end_step) {
  const Parameters<T>& p = b.parameters;
  const int64_t index = task.face - first_face_of(p, task.image);
  const uint32_t rank = threadIdx.x % lanes, columns = task.begin < task.end ? task.box.columns() : 1;
  const int down = int(lanes / columns), across = int(lanes % columns), end_column = task.box.end_column;
  uint32_t at = task.begin + rank;
  int y = task.box.first_row + int(at / columns), x = task.box.first_column + int(at % columns);
  const uint32_t steps = warp_maximum((task.end - task.begin + lanes - 1) / lanes);
  for (uint32_t step = 0; step < steps; ++step, at += lanes) {
    if (at < task.end) {
      Coverage<T> c = cover<every_mode>(face, p, center_x(p, x), center_y(p, y));
      if (c.support) {
        attenuate<every_mode>(c, p);
        const auto pixel = pixel_at<mode, every_mode>(b, rows, task.image, int64_t(y) * p.width + x, index);
        accumulate_gradient<mode, every_mode>(g, texture, face, c, pixel, p);
      }
    }
    end_step();
    x += across;
    y += down;
    if (x >= end_column) {
      x -= int(columns);
      ++y;
    }
  }
}

// The sums over the lanes of each group, in its first lane, by halves: always in the same order.
template <Color mode, typename T>
__device__ void sum_over_lanes(T (&numbers)[gradient_numbers(mode)], int lanes) {
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < gradient_numbers(mode); ++i) {
      if (mode == Color::none && i % 3 == 2) continue;  // depth has no part in silhouettes
      numbers[i] += __shfl_down_sync(all_lanes, numbers[i], half, lanes);
    }
  }
}

template <Color mode, typename T>
__device__ void write(const Backward<T>& b, const Gathering<T>& gathering, const Task& task,
                      const T (&numbers)[gradient_numbers(mode)], bool with_colors) {
  if (task.slot >= 0) {
    T* out = gathering.partials + task.slot * part_numbers(b.parameters);
    for (int i = 0; i < gradient_numbers(mode); ++i) {
      if (i < corner_numbers || with_colors) out[i] = numbers[i];
    }
    return;
  }
  for (int i = 0; i < corner_numbers; ++i) b.grad_face_vertices[corner_numbers * task.face + i] = numbers[i];
  if constexpr (mode != Color::none) {
    if (!with_colors) return;
    for (int i = 0; i < corner_numbers; ++i) {
      b.grad_face_textures[corner_numbers * task.face + i] = numbers[corner_numbers + i];
    }
  }
}

template <Color mode, bool every_mode, typename T>
__device__ void gather(const Backward<T>& b, const Gathering<T>& gathering, const Task& task, int lanes,
                       T (*memory)[3]) {
  const Parameters<T>& p = b.parameters;
  const Slot<T> slot = gathering.faces.slots[task.face];  // as a whole, see Slot
  const Face<T>& face = slot.face;
  FaceGradient<T> g;
  clear(g);
  T numbers[gradient_numbers(mode)] = {};
  const bool surface = every_mode && mode != Color::none && p.texture == Texture::surface;
  if (surface) {
    const int64_t first = task.face * texture_numbers(p);
    T* gradient = task.slot >= 0 ? gathering.partials + task.slot * part_numbers(p) + corner_numbers
                                 : b.grad_face_textures + first;
    SurfaceTexture<T> texture = {b.face_textures + first, gradient, p.texture_side, -1, {}};
    walk<mode, every_mode>(b, gathering.rows, task, lanes, face, texture, g,
                           [&] { texture.end_step(threadIdx.x % warp_size / lanes, memory); });
  } else {
    VertexTexture<T, T> texture;
    if constexpr (mode != Color::none) {
      for (int i = 0; i < 9; ++i) texture.corner[i] = b.face_textures[9 * task.face + i];
      texture.clear();
    }
    walk<mode, every_mode>(b, gathering.rows, task, lanes, face, texture, g, [] {});
    if constexpr (mode != Color::none) {
      for (int i = 0; i < 9; ++i) numbers[corner_numbers + i] = texture.grad[i];
    }
  }
  for (int k = 0; k < 3; ++k) {
    numbers[3 * k] = g.outline.x[k];
    numbers[3 * k + 1] = g.outline.y[k];
    numbers[3 * k + 2] = g.z[k];
  }
  sum_over_lanes<mode>(numbers, lanes);
  if (task.some && threadIdx.x % lanes == 0) write<mode>(b, gathering, task, numbers, !surface);
}

// Blocks on a multiprocessor at once that the compiler saves registers for: the most without spilling.
template <Color mode, bool every_mode, typename T>
constexpr int least_blocks = sizeof(T) == 8 ? 2 : every_mode || mode != Color::none ? 4 : 8;

// A warp takes a part of a face, or `at_once` whole faces: first those of few pixels, all at once, then the
// others one by one.
template <Color mode, bool every_mode, typename T>
__global__ void __launch_bounds__(backward_block, least_blocks<mode, every_mode, T>)
    gather_kernel(Backward<T> b, Gathering<T> gathering, int at_once) {
  __shared__ T memory[every_mode && mode != Color::none ? backward_block : 1][3];
  const Parameters<T>& p = b.parameters;
  const Jobs& jobs = gathering.jobs;
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps + warp - jobs.slots;
  const int64_t first = index * at_once;
  const int rounds = index < 0 ? 1 : 1 + at_once;
  for (int round = 0; round < rounds; ++round) {
    const bool few = index >= 0 && round == 0;
    const int mine = few ? lane / few_lanes : round - 1;
    const bool idle = few && mine >= at_once;
    const Task task = index < 0 ? part_task(p, gathering.faces.boxes, jobs, index + jobs.slots)
                                : face_task(p, gathering.faces.boxes, jobs, idle ? p.faces : first + mine, few);
    if (!__any_sync(all_lanes, task.some)) continue;
    gather<mode, every_mode>(b, gathering, task, few ? few_lanes : warp_size,
                             memory + (every_mode && mode != Color::none ? warp * warp_size : 0));
  }
}

}  // namespace

template <typename T>
const char* queue_gather(const Backward<T>& b, const Gathering<T>& g, cudaStream_t stream) {
  const int at_once = b.parameters.faces < many_faces ? 1 : faces_per_warp;
  const int64_t units = g.jobs.slots + divide_up(b.parameters.faces, int64_t(at_once));
  const int64_t blocks = divide_up(units, int64_t(warps));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    gather_kernel<color.value, every_mode.value, T><<<unsigned(blocks), backward_block, 0, stream>>>(b, g, at_once);
  });
  return last_error();
}

template const char* queue_gather(const Backward<float>&, const Gathering<float>&, cudaStream_t);
template const char* queue_gather(const Backward<double>&, const Gathering<double>&, cudaStream_t);

}  // namespace renderer
