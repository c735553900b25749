// What the kernels of layers and of blends share on the GPU: a thread owns a pixel, and a warp gathers the gradient of a face.
#pragma once

#include "layers_cuda.h"
#include "layers_cuda_faces.h"
#include "rasterize_cuda_texels.h"

namespace renderer {
namespace {

constexpr int block_size = 128;
constexpr int warps = block_size / warp_size;

// ---- the faces of a pixel --------------------------------------------------------------------------

struct PixelPlace {
  int64_t at, image;  // number in the batch
  int column, row;
};

// The pixel of this thread; `at` is that of no pixel in the last threads.
__device__ PixelPlace pixel_of_thread(int height, int width) {
  const int64_t at = int64_t(blockIdx.x) * block_size + threadIdx.x, plane = int64_t(height) * width;
  const int64_t pixel = at % plane;
  return {at, at / plane, int(pixel % width), int(pixel / width)};
}

__device__ bool contains(Box box, int column, int row) {
  return (column >= box.first_column) & (column < box.end_column) & (row >= box.first_row) & (row < box.end_row);
}

// Call visit(index in its mesh) for each face whose box holds a pixel, in ascending order.
template <typename Visit>
__device__ void for_each_face_at(const Bins& bins, const Box* boxes, const PixelPlace& pixel, const Visit& visit) {
  const Box* mine = boxes + first_face_of(bins.meshes, pixel.image);
  const BinFaces faces = faces_at(bins, pixel.image, pixel.column, pixel.row);
  for (int64_t i = 0; i < faces.count; ++i) {
    const int32_t index = faces.list ? faces.list[i] : int32_t(i);
    if (contains(mine[index], pixel.column, pixel.row)) visit(index);
  }
}

template <typename T>
__device__ void color_of(const LayersForward<T>& f, int64_t face, const Surface<T>& s, T out[3]) {
  const LayerParameters<T>& p = f.parameters;
  const T* from = f.face_textures + face * texture_numbers(p);
  if (p.texture == Texture::surface) {
    from += 3 * texel_at(s.mixing[0], s.mixing[1], s.mixing[2], p.texture_side);
    for (int k = 0; k < 3; ++k) out[k] = from[k];
    return;
  }
  VertexTexture<T, T> texture;
  for (int i = 0; i < 9; ++i) texture.corner[i] = from[i];
  texture.color(s, out);
}

// ---- the pixels of a face --------------------------------------------------------------------------

// Call visit(column, row) for every 32nd pixel of a box, in each lane for others; `end_step` is called by all lanes.
template <typename Visit, typename EndStep>
__device__ void walk(Box box, const Visit& visit, const EndStep& end_step) {
  const uint32_t lane = threadIdx.x % warp_size, pixels = box.pixels();
  for (uint32_t first = 0; first < pixels; first += warp_size) {
    const uint32_t at = first + lane;
    if (at < pixels) visit(box.first_column + int(at % box.columns()), box.first_row + int(at / box.columns()));
    end_step();
  }
}

// The sums over a warp, in lane 0, by halves: always in the same order.
template <typename T, int count>
__device__ void sum_over_warp(T (&numbers)[count]) {
  for (int half = warp_size / 2; half > 0; half /= 2) {
    for (int i = 0; i < count; ++i) numbers[i] += __shfl_down_sync(all_lanes, numbers[i], half);
  }
}

template <typename T>
__device__ void write_gradient(const LayersBackward<T>& b, int64_t index, const Face<T>& face, bool drawn, T (&numbers)[21],
                               bool with_colors) {
  T grad_x[3] = {numbers[0], numbers[3], numbers[6]}, grad_y[3] = {numbers[1], numbers[4], numbers[7]};
  if (b.forward.parameters.window == Window::incenter && drawn) inradius_vjp<T>(face, numbers[20], grad_x, grad_y);
  T* out = b.grad_face_vertices + 9 * index;
  for (int k = 0; k < 3; ++k) {
    out[3 * k] = grad_x[k];
    out[3 * k + 1] = grad_y[k];
    out[3 * k + 2] = numbers[3 * k + 2];
  }
  for (int i = 0; i < 9 && with_colors; ++i) b.grad_face_textures[9 * index + i] = numbers[9 + i];
  if (b.grad_face_opacity) b.grad_face_opacity[index] = numbers[18];
  if (b.grad_face_sigma) b.grad_face_sigma[index] = numbers[19];
}

// Blocks on a multiprocessor at once: four, for which a few numbers are spilled, rather than three.
template <typename T>
constexpr int gather_blocks = sizeof(T) == 8 ? 2 : 4;

// Gather the gradient of the face of a warp: visit(gradient, texture, column, row) adds what a pixel of its box brings.
// `memory` is shared by the warp.
template <typename T, typename Visit>
__device__ void gather_face(const LayersBackward<T>& b, int64_t index, const Face<T>& face, Box box, T (*memory)[3],
                            const Visit& visit) {
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  LayerGradient<T> g;
  clear(g);
  T numbers[21] = {};
  const bool surface = p.texture == Texture::surface;
  if (surface) {
    const int64_t first = index * texture_numbers(p);
    SurfaceTexture<T> texture = {f.face_textures + first, b.grad_face_textures + first, p.texture_side, -1, {}};
    walk(box, [&](int column, int row) { visit(g, texture, column, row); }, [&] { texture.end_step(0, memory); });
  } else {
    VertexTexture<T, T> texture;
    for (int i = 0; i < 9; ++i) texture.corner[i] = f.face_textures[9 * index + i];
    texture.clear();
    walk(box, [&](int column, int row) { visit(g, texture, column, row); }, [] {});
    for (int i = 0; i < 9; ++i) numbers[9 + i] = texture.grad[i];
  }
  for (int k = 0; k < 3; ++k) {
    numbers[3 * k] = g.face.outline.x[k];
    numbers[3 * k + 1] = g.face.outline.y[k];
    numbers[3 * k + 2] = g.face.z[k];
  }
  numbers[18] = g.opacity;
  numbers[19] = g.sigma;
  numbers[20] = g.inradius;
  sum_over_warp(numbers);
  if (threadIdx.x % warp_size == 0) write_gradient(b, index, face, !face.empty(), numbers, !surface);
}

// ---- memory and launches ---------------------------------------------------------------------------

// Set up and bin the faces of a call, whose first_face becomes one of the device.
template <typename T>
const char* queue_bins(LayersForward<T>& f, Bins& bins, const BinScratch<T>& s, cudaStream_t stream) {
  LayerParameters<T>& p = f.parameters;
  p.first_face = bring_offsets(p, s.first_face, stream);
  place_bins(p, s, bins, stream);
  const char* error = setup_faces_of(LayerFaces<T>{f}, BinNeed{bins.shift}, bins.levels, s.faces, stream);
  if (!error && bins.levels.count > 0) error = sort_into_bins(bins, s.faces.boxes, stream);
  return error;
}

// What is too large for the kernels, or null.
template <typename T>
const char* refuse(const LayersForward<T>& f) {
  const LayerParameters<T>& p = f.parameters;
  if (p.height > most_side || p.width > most_side) return "an image has a side of more than 65535 pixels";
  if (divide_up(count_pixels(f) + 1, int64_t(block_size)) > most_blocks) return "too many pixels in one batch for one launch";
  if (divide_up(p.faces, int64_t(warps)) > most_blocks) return "too many faces in one batch for one launch";
  return nullptr;
}

template <typename T>
unsigned pixel_blocks(const LayersForward<T>& f, int64_t more) {
  return unsigned(divide_up(count_pixels(f) + more, int64_t(block_size)));
}

// What faces with texels do not write, texels that no pixel shows, is zero before.
template <typename T>
void queue_clear_texels(const LayersBackward<T>& b, cudaStream_t stream) {
  const LayerParameters<T>& p = b.forward.parameters;
  if (p.texture != Texture::surface) return;
  cudaMemsetAsync(b.grad_face_textures, 0, std::size_t(p.faces * texture_numbers(p)) * sizeof(T), stream);
}

}  // namespace
}  // namespace renderer
