// The CUDA back end: grids, blocks and warps around the mathematics of fragment.h.
//
// Deterministic: a thread owns a pixel forward and meets its faces in ascending order; a warp owns a
// face backward and adds its lanes in a fixed order. There are no floating-point atomics.
#include <cuda_runtime.h>

#include "fragment.h"
#include "rasterize_cuda.h"

namespace renderer {
namespace {

constexpr int tile_side = 16;                       // pixels; one thread each
constexpr int block_size = tile_side * tile_side;   // threads, and faces looked at together
constexpr int warp_size = 32;
constexpr int warps_per_block = block_size / warp_size;
constexpr unsigned all_lanes = 0xffffffffu;

__host__ __device__ int divide_up(int a, int b) { return (a + b - 1) / b; }
int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <typename T>
__device__ T center_x(const Parameters<T>& p, int column) {
  return T(2 * column + 1 - p.width) / p.shorter;
}
template <typename T>
__device__ T center_y(const Parameters<T>& p, int row) {
  return T(p.height - 1 - 2 * row) / p.shorter;
}

// ---- set-up: a thread prepares a face --------------------------------------------------------------

template <typename T>
__global__ void setup_kernel(const T* face_vertices, Parameters<T> p, Face<T>* faces) {
  const int64_t index = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index < p.images * p.faces) setup_face(face_vertices + 9 * index, p, faces[index]);
}

// ---- forward: a block renders a tile ---------------------------------------------------------------

// The faces of one batch of block_size that touch the tile, in ascending order.
template <typename T>
struct Staged {
  Face<T> face[block_size];
  int index[block_size];
  int warp_count[warps_per_block];
};

template <typename T>
__device__ bool touches(const Face<T>& face, int column, int row) {
  return face.first_column < column + tile_side && face.end_column > column &&
         face.first_row < row + tile_side && face.end_row > row;
}

// Stage the faces among [begin, begin + block_size) that touch the tile; returns how many.
template <typename T>
__device__ int stage(const Face<T>* faces, int64_t begin, int64_t end, int column, int row, Staged<T>& staged) {
  const int thread = threadIdx.x, warp = thread / warp_size, lane = thread % warp_size;
  const int64_t index = begin + thread;
  const bool mine = index < end && !faces[index].empty() && touches(faces[index], column, row);
  const unsigned votes = __ballot_sync(all_lanes, mine);
  if (lane == 0) staged.warp_count[warp] = __popc(votes);
  __syncthreads();  // the counts are there, and the faces of the batch before are drawn
  int before = __popc(votes & ((1u << lane) - 1)), total = 0;
  for (int w = 0; w < warps_per_block; ++w) {
    if (w < warp) before += staged.warp_count[w];
    total += staged.warp_count[w];
  }
  if (mine) {
    staged.face[before] = faces[index];
    staged.index[before] = int(index);
  }
  __syncthreads();
  return total;
}

template <typename T>
struct Nearest {
  T depth;
  int32_t index;
  T color[3];
};

template <typename T>
__device__ void accumulate(Nearest<T>& nearest, int32_t index, const Face<T>& face, const T* textures,
                           const Coverage<T>& c, const Parameters<T>& p) {
  const Surface<T> s = surface_at(face, c);
  if (!contains(c, s, p) || !(s.depth < nearest.depth)) return;
  nearest.depth = s.depth;
  nearest.index = index;
  for (int k = 0; k < 3; ++k) nearest.color[k] = color_at(s, textures, k);
}

template <Color mode, typename T>
__global__ void __launch_bounds__(block_size) forward_kernel(Forward<T> f, const Face<T>* all_faces) {
  __shared__ Staged<T> staged;
  const Parameters<T>& p = f.parameters;
  const int tiles_x = divide_up(p.width, tile_side), tiles_y = divide_up(p.height, tile_side);
  const int64_t tile = int64_t(blockIdx.x) % (int64_t(tiles_x) * tiles_y);
  const int64_t image = int64_t(blockIdx.x) / (int64_t(tiles_x) * tiles_y);
  const int column = int(tile % tiles_x) * tile_side, row = int(tile / tiles_x) * tile_side;
  const int x = column + threadIdx.x % tile_side, y = row + threadIdx.x / tile_side;
  const T pixel_x = center_x(p, x), pixel_y = center_y(p, y);

  Opacity<T> opacity = clear_opacity<T>();
  Softmax<T> sum = {};
  Nearest<T> nearest = {};
  if (mode == Color::softmax) sum = clear_softmax<T>(p, f.background);
  if (mode == Color::hard) {
    nearest = {Limits<T>::largest, -1, {f.background[0], f.background[1], f.background[2]}};
  }
  const Face<T>* faces = all_faces + image * p.faces;
  for (int64_t begin = 0; begin < p.faces; begin += block_size) {
    const int count = stage(faces, begin, p.faces, column, row, staged);
    for (int i = 0; i < count; ++i) {
      const Face<T>& face = staged.face[i];
      Coverage<T> c = cover(face, p, pixel_x, pixel_y);
      if (!c.support) continue;
      attenuate(c);
      accumulate(opacity, c);
      if (mode == Color::none || !(face.front || p.double_sided)) continue;
      const T* textures = f.face_textures + 9 * (image * p.faces + staged.index[i]);
      if (mode == Color::softmax) accumulate(sum, face, textures, c, p);
      if (mode == Color::hard) accumulate(nearest, staged.index[i], face, textures, c, p);
    }
  }
  if (x >= p.width || y >= p.height) return;

  const int64_t plane = int64_t(p.height) * p.width, pixel = int64_t(y) * p.width + x;
  const int64_t at = image * plane + pixel;
  f.transmittance[at] = transmittance_of(opacity);
  if (mode == Color::none) {
    f.image[at] = alpha_of(opacity);
    return;
  }
  T* out = f.image + 4 * image * plane + pixel;
  out[3 * plane] = alpha_of(opacity);
  if (mode == Color::softmax) {
    f.peak[at] = sum.peak;
    f.partition[at] = sum.partition;
    const T scale = T(1) / sum.partition;
    for (int k = 0; k < 3; ++k) out[k * plane] = sum.color[k] * scale;
  } else {
    f.nearest_face[at] = nearest.index;
    for (int k = 0; k < 3; ++k) out[k * plane] = nearest.color[k];
  }
}

// ---- backward: a warp gathers the gradient of a face -----------------------------------------------

template <Color mode, typename T>
__device__ PixelGradient<T> load_pixel(const Backward<T>& b, int64_t image, int64_t pixel, int64_t face) {
  const Parameters<T>& p = b.parameters;
  const int64_t plane = int64_t(p.height) * p.width, at = image * plane + pixel;
  PixelGradient<T> g = {};
  if (mode == Color::none) {
    g.alpha = b.grad_image[at] * b.transmittance[at];
    return g;
  }
  const T* grad = b.grad_image + 4 * image * plane + pixel;
  const T* rgba = b.image + 4 * image * plane + pixel;
  g.alpha = grad[3 * plane] * b.transmittance[at];
  for (int k = 0; k < 3; ++k) {
    g.color[k] = grad[k * plane];
    g.mean += grad[k * plane] * rgba[k * plane];
  }
  if (mode == Color::softmax) {
    g.peak = b.peak[at];
    g.inverse_partition = T(1) / b.partition[at];
  } else {
    g.seen = b.nearest_face[at] == face;
  }
  return g;
}

// The sum over the lanes of a warp, in lane 0, by halves: always in the same order.
template <typename T>
__device__ T warp_sum(T value) {
  for (int half = warp_size / 2; half > 0; half /= 2) {
    value += __shfl_down_sync(all_lanes, value, half);
  }
  return value;
}

template <Color mode, typename T>
__global__ void __launch_bounds__(block_size) backward_kernel(Backward<T> b, const Face<T>* faces) {
  const Parameters<T>& p = b.parameters;
  const int lane = threadIdx.x % warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps_per_block + threadIdx.x / warp_size;
  if (index >= p.images * p.faces) return;  // the whole warp: one face each
  const int64_t image = index / p.faces, face_index = index % p.faces;
  const Face<T> face = faces[index];
  const T* textures = mode == Color::none ? nullptr : b.face_textures + 9 * index;

  FaceGradient<T> g;
  clear(g);
  const int64_t columns = face.end_column - face.first_column;
  const int64_t pixels = face.empty() ? 0 : columns * (face.end_row - face.first_row);
  for (int64_t i = lane; i < pixels; i += warp_size) {
    const int x = face.first_column + int(i % columns), y = face.first_row + int(i / columns);
    Coverage<T> c = cover(face, p, center_x(p, x), center_y(p, y));
    if (!c.support) continue;
    attenuate(c);
    const auto pixel = load_pixel<mode>(b, image, int64_t(y) * p.width + x, face_index);
    accumulate_gradient<mode>(g, face, textures, c, pixel, p);
  }

  T* vertices = b.grad_face_vertices + 9 * index;
  for (int k = 0; k < 3; ++k) {
    const T x = warp_sum(g.x[k]), y = warp_sum(g.y[k]), z = warp_sum(g.z[k]);
    if (lane == 0) {
      vertices[3 * k] = x;
      vertices[3 * k + 1] = y;
      vertices[3 * k + 2] = z;
    }
  }
  if (mode == Color::none) return;
  for (int k = 0; k < 9; ++k) {
    const T texture = warp_sum(g.texture[k]);
    if (lane == 0) b.grad_face_textures[9 * index + k] = texture;
  }
}

// ---- launches --------------------------------------------------------------------------------------

constexpr int64_t most_blocks = 2147483647;  // gridDim.x

const char* last_error() {
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

template <typename T>
const char* setup(const T* face_vertices, const Parameters<T>& p, Face<T>* faces, cudaStream_t stream) {
  const int64_t blocks = divide_up(p.images * p.faces, int64_t(block_size));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  setup_kernel<<<unsigned(blocks), block_size, 0, stream>>>(face_vertices, p, faces);
  return last_error();
}

template <Color mode, typename T>
const char* forward(const Forward<T>& f, const Face<T>* faces, cudaStream_t stream) {
  const Parameters<T>& p = f.parameters;
  const int64_t blocks = p.images * divide_up(p.width, tile_side) * divide_up(p.height, tile_side);
  if (blocks > most_blocks) return "too many pixels in one batch for one launch";
  forward_kernel<mode><<<unsigned(blocks), block_size, 0, stream>>>(f, faces);
  return last_error();
}

template <Color mode, typename T>
const char* backward(const Backward<T>& b, const Face<T>* faces, cudaStream_t stream) {
  const Parameters<T>& p = b.parameters;
  const int64_t blocks = divide_up(p.images * p.faces, int64_t(warps_per_block));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  backward_kernel<mode><<<unsigned(blocks), block_size, 0, stream>>>(b, faces);
  return last_error();
}

}  // namespace

template <typename T> std::size_t bytes_per_face() { return sizeof(Face<T>); }

template <typename T>
const char* launch_forward(const Forward<T>& f, void* memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  const auto faces = static_cast<Face<T>*>(memory);
  if (f.parameters.images == 0) return nullptr;
  if (f.parameters.faces > 0) {
    if (const char* error = setup(f.face_vertices, f.parameters, faces, stream)) return error;
  }
  switch (f.parameters.color) {
    case Color::none: return forward<Color::none>(f, faces, stream);
    case Color::softmax: return forward<Color::softmax>(f, faces, stream);
    default: return forward<Color::hard>(f, faces, stream);
  }
}

template <typename T>
const char* launch_backward(const Backward<T>& b, void* memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  const auto faces = static_cast<Face<T>*>(memory);
  if (b.parameters.images == 0 || b.parameters.faces == 0) return nullptr;
  if (const char* error = setup(b.face_vertices, b.parameters, faces, stream)) return error;
  switch (b.parameters.color) {
    case Color::none: return backward<Color::none>(b, faces, stream);
    case Color::softmax: return backward<Color::softmax>(b, faces, stream);
    default: return backward<Color::hard>(b, faces, stream);
  }
}

template std::size_t bytes_per_face<float>();
template std::size_t bytes_per_face<double>();
template const char* launch_forward<float>(const Forward<float>&, void*, void*);
template const char* launch_forward<double>(const Forward<double>&, void*, void*);
template const char* launch_backward<float>(const Backward<float>&, void*, void*);
template const char* launch_backward<double>(const Backward<double>&, void*, void*);

}  // namespace renderer
