// The backward on the GPU: faces gather their gradient from their pixels and write it once.
//
// Deterministic, without floating-point atomics. A face of few pixels has eight lanes of a warp, one of
// more pixels a warp, and one of very many is cut into parts, each with a warp, whose sums are added in
// order. Which of these depends on the face and its mesh, and on nothing else.
#include "fragment.h"
#include "rasterize_cuda.h"
#include "rasterize_cuda_faces.h"

namespace renderer {
namespace {

constexpr int block_size = 128, warps = block_size / warp_size;

// ---- what is read of a pixel -----------------------------------------------------------------------

// Laid out together with colour: a pixel is read once for each face that covers it, in two or four
// instructions in place of ten.
template <typename T>
struct alignas(16) PixelRow {
  T alpha;  // see alpha_vjp
  T color[3], mean, exponent, inverse_partition;
  typename IntegerLike<T>::type face;  // the nearest
};

template <Color mode, bool general, typename T>
__device__ T alpha_gradient(const Backward<T>& b, int64_t image, int64_t plane, int64_t pixel) {
  const T grad = b.grad_image[(mode == Color::none ? image : 4 * image + 3) * plane + pixel];
  return alpha_vjp<general>(grad, b.transmittance, image * plane + pixel, mesh_faces(b.parameters, image),
                            b.parameters);
}

template <Color mode, bool general, typename T>
__global__ void __launch_bounds__(block_size) lay_out_kernel(Backward<T> b, PixelRow<T>* rows) {
  const int64_t plane = int64_t(b.parameters.height) * b.parameters.width;
  const int64_t at = int64_t(blockIdx.x) * block_size + threadIdx.x;
  if (at >= b.parameters.images * plane) return;
  const int64_t image = at / plane, pixel = at % plane;
  const T* grad = b.grad_image + 4 * image * plane + pixel;
  const T* rgb = b.image + 4 * image * plane + pixel;
  PixelRow<T> row = {alpha_gradient<mode, general>(b, image, plane, pixel), {}, T(0), T(0), T(0), -1};
  for (int k = 0; k < 3; ++k) {
    row.color[k] = grad[k * plane];
    row.mean += grad[k * plane] * rgb[k * plane];
  }
  if (mode == Color::softmax) {
    row.exponent = b.peak[at];
    row.inverse_partition = T(1) / b.partition[at];
  } else {
    row.face = b.nearest_face[at];
  }
  rows[at] = row;
}

// `face` is the index in its mesh.
template <Color mode, bool general, typename T>
__device__ PixelGradient<T> pixel_at(const Backward<T>& b, const PixelRow<T>* rows, int64_t image, int64_t pixel,
                                     int64_t face) {
  const int64_t plane = int64_t(b.parameters.height) * b.parameters.width;
  PixelGradient<T> g = {};
  if constexpr (mode == Color::none) {
    g.alpha = alpha_gradient<mode, general>(b, image, plane, pixel);
  } else {
    const PixelRow<T> row = rows[image * plane + pixel];
    g.alpha = row.alpha;
    for (int k = 0; k < 3; ++k) g.color[k] = row.color[k];
    g.mean = row.mean;
    g.exponent = row.exponent;
    g.inverse_partition = row.inverse_partition;
    g.seen = row.face == face;
  }
  return g;
}

// ---- which lanes take which pixels -----------------------------------------------------------------

constexpr uint32_t small_pixels = 64;  // up to this many, a face has few_lanes
constexpr int few_lanes = 8, faces_per_warp = warp_size / few_lanes;
constexpr int part_shift = 12;         // the least part has 2^12 pixels
constexpr int64_t many_faces = 8192;   // fewer leave the GPU idle unless each has a warp for itself

// A part of a face that is cut; none where parts is zero.
struct Job {
  int64_t face;
  uint32_t part, parts;
};

// Faces that are cut into parts. The jobs of a face lie one after the other.
struct Jobs {
  Levels levels;    // without levels no face is cut
  int64_t* cursor;  // [images] jobs taken
  Job* job;         // [slots]
  int64_t slots;
  int64_t per_image;

  HOST_DEVICE int64_t first_slot(const Meshes& m, int64_t image) const {
    return first_face_of(m, image) / 16 + image * per_image;
  }
  HOST_DEVICE int64_t capacity(const Meshes& m, int64_t image) const { return mesh_faces(m, image) / 16 + per_image; }
  HOST_DEVICE int level(const Meshes& m, int64_t image) const { return levels.choose(image, capacity(m, image)); }
};

// Write the jobs of all faces that are cut. Which slots a face gets is left to chance; what comes of them
// is not.
__global__ void __launch_bounds__(range_faces) jobs_kernel(Meshes m, const Box* boxes, Jobs jobs) {
  const Range range = range_at(m, blockIdx.x);
  if (range.begin >= range.end) return;  // the whole block
  const int lane = threadIdx.x % warp_size, level = jobs.level(m, range.image);
  const int64_t face = range.begin + threadIdx.x;
  const uint32_t parts = face < range.end ? PartNeed{part_shift}(boxes[face], level) : 0;
  for (unsigned cut = __ballot_sync(all_lanes, parts > 0); cut; cut &= cut - 1) {
    const int source = __ffs(int(cut)) - 1;
    unsigned long long slot = 0;
    if (lane == source) slot = atomicAdd(reinterpret_cast<unsigned long long*>(jobs.cursor + range.image), parts);
    slot = __shfl_sync(all_lanes, slot, source) + jobs.first_slot(m, range.image);
    const uint32_t count = __shfl_sync(all_lanes, parts, source);
    for (uint32_t i = lane; i < count; i += warp_size) jobs.job[slot + i] = {face - lane + source, i, count};
  }
}

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

// ---- the gradient of texels ------------------------------------------------------------------------

// Texels on a face. The lanes of a step note what they add, then lanes of the same texel are added in
// order and each texel is added to once: a texel belongs to one face, and a face to one warp.
template <typename T>
struct SurfaceTexture {
  const T* texels;  // of the face
  T* gradient;
  int side;
  int texel;        // of the pixel of this step, -1 for none
  T noted[3];

  __device__ void color(const Surface<T>& s, T out[3]) const {
    const T* from = texels + 3 * texel_at(s.clipped[0], s.clipped[1], s.clipped[2], side);
    for (int k = 0; k < 3; ++k) out[k] = from[k];
  }
  __device__ void color_vjp(const Surface<T>& s, const T grad_color[3], T[3]) {
    texel = texel_at(s.clipped[0], s.clipped[1], s.clipped[2], side);
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
template <Color mode, bool general, typename T, typename TextureAt, typename EndStep>
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
      Coverage<T> c = cover<general>(face, p, center_x(p, x), center_y(p, y));
      if (c.support) {
        attenuate(c);
        const auto pixel = pixel_at<mode, general>(b, rows, task.image, int64_t(y) * p.width + x, index);
        accumulate_gradient<mode, general>(g, texture, face, c, pixel, p);
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

// Numbers of a gradient: of the corners, x, y, z each, then of their colours.
constexpr int corner_numbers = 9;
template <Color mode> constexpr int gradient_numbers = mode == Color::none ? corner_numbers : 2 * corner_numbers;

// The sums over the lanes of each group, in its first lane, by halves: always in the same order.
template <Color mode, typename T>
__device__ void sum_over_lanes(T (&numbers)[gradient_numbers<mode>], int lanes) {
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < gradient_numbers<mode>; ++i) {
      if (mode == Color::none && i % 3 == 2) continue;  // depth has no part in silhouettes
      numbers[i] += __shfl_down_sync(all_lanes, numbers[i], half, lanes);
    }
  }
}

// What the kernel works with besides the call.
template <typename T>
struct Gathering {
  Faces<T> faces;
  const PixelRow<T>* rows;  // [B, H, W], null without colour
  Jobs jobs;
  T* partials;              // [slots, gradient_numbers]
  int faces_per_warp;
};

template <Color mode, typename T>
__device__ void write(const Backward<T>& b, const Gathering<T>& gathering, const Task& task,
                      const T (&numbers)[gradient_numbers<mode>], bool with_colors) {
  if (task.slot >= 0) {
    T* out = gathering.partials + task.slot * gradient_numbers<mode>;
    for (int i = 0; i < gradient_numbers<mode>; ++i) out[i] = numbers[i];
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

template <Color mode, bool general, typename T>
__device__ void gather(const Backward<T>& b, const Gathering<T>& gathering, const Task& task, int lanes,
                       T (*memory)[3]) {
  const Parameters<T>& p = b.parameters;
  const Face<T> face = gathering.faces.slots[task.face].face;
  FaceGradient<T> g;
  clear(g);
  T numbers[gradient_numbers<mode>] = {};
  const bool surface = general && mode != Color::none && p.texture == Texture::surface;
  if (surface) {
    const int64_t first = task.face * texture_numbers(p);
    SurfaceTexture<T> texture = {b.face_textures + first, b.grad_face_textures + first, p.texture_side, -1, {}};
    walk<mode, general>(b, gathering.rows, task, lanes, face, texture, g,
                        [&] { texture.end_step(threadIdx.x % warp_size / lanes, memory); });
  } else {
    VertexTexture<T, T> texture;
    if constexpr (mode != Color::none) {
      for (int i = 0; i < 9; ++i) texture.corner[i] = b.face_textures[9 * task.face + i];
      texture.clear();
    }
    walk<mode, general>(b, gathering.rows, task, lanes, face, texture, g, [] {});
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
template <Color mode, bool general, typename T>
constexpr int least_blocks = sizeof(T) == 8 ? 2 : general || mode != Color::none ? 4 : 8;

// A warp takes a part of a face, or some whole faces: first those of few pixels, all at once, then the
// others one by one.
template <Color mode, bool general, typename T>
__global__ void __launch_bounds__(block_size, least_blocks<mode, general, T>)
    gather_kernel(Backward<T> b, Gathering<T> gathering) {
  __shared__ T memory[general && mode != Color::none ? block_size : 1][3];
  const Parameters<T>& p = b.parameters;
  const Jobs& jobs = gathering.jobs;
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps + warp - jobs.slots;
  const int64_t first = index * gathering.faces_per_warp;
  const int rounds = index < 0 ? 1 : 1 + gathering.faces_per_warp;
  for (int round = 0; round < rounds; ++round) {
    const bool few = index >= 0 && round == 0;
    const int mine = few ? lane / few_lanes : round - 1;
    const bool idle = few && mine >= gathering.faces_per_warp;
    const Task task = index < 0 ? part_task(p, gathering.faces.boxes, jobs, index + jobs.slots)
                                : face_task(p, gathering.faces.boxes, jobs, idle ? p.faces : first + mine, few);
    if (!__any_sync(all_lanes, task.some)) continue;
    gather<mode, general>(b, gathering, task, few ? few_lanes : warp_size,
                          memory + (general && mode != Color::none ? warp * warp_size : 0));
  }
}

// A thread adds up one number of all parts of a face.
template <Color mode, typename T>
__global__ void __launch_bounds__(block_size) combine_kernel(Backward<T> b, Jobs jobs, const T* partials) {
  constexpr int numbers = gradient_numbers<mode>;
  const int64_t at = int64_t(blockIdx.x) * block_size + threadIdx.x, slot = at / numbers;
  if (slot >= jobs.slots) return;
  const Job job = jobs.job[slot];
  if (job.parts == 0 || job.part > 0) return;
  T sum(0);
  for (uint32_t i = 0; i < job.parts; ++i) sum += partials[at + int64_t(i) * numbers];
  const int number = int(at % numbers);
  if (number < corner_numbers) {
    b.grad_face_vertices[corner_numbers * job.face + number] = sum;
  } else {
    b.grad_face_textures[corner_numbers * job.face + number - corner_numbers] = sum;
  }
}

// ---- memory and launches ---------------------------------------------------------------------------

enum Scratch { slots, boxes, first_face, counts, job, partials, pixels };

int numbers_of(Color color) { return color == Color::none ? corner_numbers : 2 * corner_numbers; }

// Faces are cut where they can have more pixels than the least part, but not those with texels of their
// own, which only one warp may add to.
template <typename T>
Jobs plan_jobs(const Parameters<T>& p) {
  const int64_t plane = int64_t(p.height) * p.width;
  Jobs jobs = {};
  if (p.color != Color::none && p.texture == Texture::surface) return jobs;
  while ((plane - 1) >> (part_shift + jobs.levels.count) > 0) ++jobs.levels.count;
  if (jobs.levels.count == 0) return jobs;
  ++jobs.levels.count;  // at the last level every face is whole
  jobs.per_image = divide_up(plane, int64_t(1024));
  jobs.slots = jobs.first_slot(p, p.images);
  return jobs;
}

template <Color mode, bool general, typename T>
const char* queue_layout(const Backward<T>& b, PixelRow<T>* rows, cudaStream_t stream) {
  const Parameters<T>& p = b.parameters;
  const int64_t blocks = divide_up(p.images * p.height * p.width, int64_t(block_size));
  if (blocks > most_blocks) return "too many pixels in one batch for one launch";
  lay_out_kernel<mode, general, T><<<unsigned(blocks), block_size, 0, stream>>>(b, rows);
  return last_error();
}

template <Color mode, bool general, typename T>
const char* queue_gathering(const Backward<T>& b, const Gathering<T>& gathering, cudaStream_t stream) {
  const Jobs& jobs = gathering.jobs;
  const int64_t units = jobs.slots + divide_up(b.parameters.faces, int64_t(gathering.faces_per_warp));
  const int64_t blocks = divide_up(units, int64_t(warps));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  gather_kernel<mode, general, T><<<unsigned(blocks), block_size, 0, stream>>>(b, gathering);
  if (jobs.slots > 0) {
    const int64_t sums = divide_up(jobs.slots * gradient_numbers<mode>, int64_t(block_size));
    combine_kernel<mode, T><<<unsigned(sums), block_size, 0, stream>>>(b, jobs, gathering.partials);
  }
  return last_error();
}

template <typename T>
const char* queue_kernels(const Backward<T>& b, const Gathering<T>& gathering, PixelRow<T>* rows,
                          cudaStream_t stream) {
  const char* error = nullptr;
  with_modes<T>(b.parameters, [&](auto color, auto general) {
    if constexpr (color.value != Color::none) error = queue_layout<color.value, general.value>(b, rows, stream);
    if (!error) error = queue_gathering<color.value, general.value>(b, gathering, stream);
  });
  return error;
}

// Sum up needs and write the jobs of faces that are cut; totals, cursors and jobs have to be zero before.
const char* queue_jobs(const Meshes& m, const Box* boxes, const Jobs& jobs, cudaStream_t stream) {
  if (jobs.slots == 0) return nullptr;
  jobs_kernel<<<unsigned(count_ranges(m)), range_faces, 0, stream>>>(m, boxes, jobs);
  return last_error();
}

}  // namespace

template <typename T>
std::vector<Buffer> scratch_of(const Backward<T>& b) {
  const Parameters<T>& p = b.parameters;
  const Jobs jobs = plan_jobs(p);
  const bool cut = jobs.slots > 0, color = p.color != Color::none;
  std::vector<Buffer> buffers(7);
  buffers[slots] = {"slots", p.faces * int64_t(sizeof(Slot<T>))};
  buffers[boxes] = {"boxes", p.faces * int64_t(sizeof(Box))};
  buffers[first_face] = {"first_face on the device", count_offsets(p) * 8};
  buffers[counts] = {"counts", cut ? (count_totals(p, jobs.levels) + p.images) * 8 : 0};
  buffers[job] = {"job", jobs.slots * int64_t(sizeof(Job))};
  buffers[partials] = {"partials", jobs.slots * numbers_of(p.color) * int64_t(sizeof(T))};
  buffers[pixels] = {"pixels", color ? p.images * p.height * p.width * int64_t(sizeof(PixelRow<T>)) : 0};
  return buffers;
}

template <typename T>
const char* launch(const Backward<T>& call, void* const* scratch, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  Backward<T> b = call;
  Parameters<T>& p = b.parameters;
  if (p.images == 0 || p.faces == 0) return nullptr;
  if (p.height > most_side || p.width > most_side) return "a picture has a side of more than 65535 pixels";
  Jobs jobs = plan_jobs(p);
  p.first_face = copy_offsets(p, scratch[first_face], stream);
  const int64_t totals = count_totals(p, jobs.levels);
  jobs.levels.totals = static_cast<int64_t*>(scratch[counts]);
  jobs.cursor = jobs.levels.totals + totals;
  jobs.job = static_cast<Job*>(scratch[job]);
  if (jobs.slots > 0) {
    cudaMemsetAsync(scratch[counts], 0, std::size_t(totals + p.images) * 8, stream);
    cudaMemsetAsync(scratch[job], 0, std::size_t(jobs.slots) * sizeof(Job), stream);
  }
  if (p.color != Color::none && p.texture == Texture::surface) {
    cudaMemsetAsync(b.grad_face_textures, 0, std::size_t(p.faces * texture_numbers(p)) * sizeof(T), stream);
  }
  const auto rows = static_cast<PixelRow<T>*>(scratch[pixels]);
  const Faces<T> faces = {static_cast<Slot<T>*>(scratch[slots]), static_cast<Box*>(scratch[boxes])};
  const Gathering<T> gathering = {faces, rows, jobs, static_cast<T*>(scratch[partials]),
                                  p.faces < many_faces ? 1 : faces_per_warp};
  const char* error = setup_faces(b.face_vertices, p, PartNeed{part_shift}, jobs.levels, faces, stream);
  if (!error) error = queue_jobs(p, faces.boxes, jobs, stream);
  return error ? error : queue_kernels(b, gathering, rows, stream);
}

template std::vector<Buffer> scratch_of(const Backward<float>&);
template std::vector<Buffer> scratch_of(const Backward<double>&);
template const char* launch(const Backward<float>&, void* const*, void*);
template const char* launch(const Backward<double>&, void* const*, void*);

}  // namespace renderer
