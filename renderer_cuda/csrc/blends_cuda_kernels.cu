// Faces with numbers of their own on the GPU: a thread owns a pixel, and a warp gathers the gradient of a face.
//
// set-up -> bins -> render, and set-up -> pixels -> gather in the backward. A pixel meets its faces in ascending order
// and keeps nothing of them but what they make of it, so that the host waits for nothing.
#include "blends_cuda.h"
#include "layers_cuda_pixels.h"

namespace renderer {
namespace {

// ---- pixels ----------------------------------------------------------------------------------------

// Add the colour of a face at a pixel to it, where it can show: with softmax see hidden_gap.
template <typename T>
__device__ void add_color(Blended<T>& all, const LayersForward<T>& f, int64_t first_face, int32_t number, const Face<T>& face,
                          const Coverage<T>& c, T opacity, T gap, const LayerParameters<T>& p) {
  const bool soft = p.color == Color::softmax;
  if (soft ? face.most_exponent + gap < all.sum.exponent : !within(c.weight)) return;
  const Surface<T> s = mixed_surface_at<true>(face, p, c);
  if (!visible_at(face, c, s, p)) return;
  T color[3];
  color_of(f, first_face + number, s, color);
  if (soft) accumulate(all.sum, weight_of_opacity(s.depth, opacity, p), color);
  else add_nearest(all, number, s.depth, color);
}

template <typename T>
__device__ Blended<T> blend_at(const LayersForward<T>& f, const Faces<T>& faces, const Bins& bins, Scaled<T> behind,
                               const PixelPlace& pixel) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t first_face = first_face_of(p, pixel.image);
  const T gap = hidden_gap<T>(mesh_faces(p, pixel.image)), x = center_x(p, pixel.column), y = center_y(p, pixel.row);
  Blended<T> all = clear_blended<true>(behind, p);
  for_each_face_at(bins, faces.boxes, pixel, [&](int32_t number) {
    const Slot<T> slot = faces.slots[first_face + number];  // as a whole, see Slot
    const Face<T>& face = slot.face;
    const LayerParameters<T> own = parameters_of_face(f, first_face + number);
    Coverage<T> c = cover<true>(face, own, x, y);
    if (!c.support) return;
    attenuate<true>(c, own);
    const Opacity<T> a = opacity_at<true>(c, own);
    add_state<true>(all, number, state_of<true>(a, own), own);
    if (p.color != Color::none) add_color(all, f, first_face, number, face, c, a.own, gap, own);
  });
  return all;
}

// One block on a multiprocessor is enough, says the bound: the compiler takes the registers it needs and spills none.
template <typename T>
__global__ void __launch_bounds__(block_size, 1) blend_kernel(LayersForward<T> f, Faces<T> faces, Bins bins) {
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const Scaled<T> behind = scaled_exponential(p.background_logit);
  const Blended<T> all = blend_at(f, faces, bins, behind, pixel);
  write_blended(f, all, behind, pixel.image, int64_t(pixel.row) * p.width + pixel.column);
}

// ---- backward --------------------------------------------------------------------------------------

// What the gradient of faces needs of a pixel.
template <typename T>
struct alignas(16) BlendRow {
  T alpha, kept, color[3], mean, exponent, inverse_partition;
  int32_t noted, nearest;  // see Blended
};

template <typename T>
__device__ PixelGradient<T> gradient_of(const BlendRow<T>& row, int32_t face) {
  PixelGradient<T> g = {};
  g.alpha = row.alpha;
  g.kept = row.kept;
  for (int k = 0; k < 3; ++k) g.color[k] = row.color[k];
  g.mean = row.mean;
  g.exponent = row.exponent;
  g.inverse_partition = row.inverse_partition;
  g.greatest = row.noted == face;
  g.seen = row.nearest == face;
  return g;
}

template <typename T>
__global__ void __launch_bounds__(block_size) blend_pixels_kernel(LayersBackward<T> b, BlendRow<T>* rows) {
  const LayerParameters<T>& p = b.forward.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const Blended<T> all = kept_blended(b.kept + pixel.at * kept_numbers(p), p);
  const auto g = blended_vjp<true>(b, all, pixel.image, int64_t(pixel.row) * p.width + pixel.column);
  rows[pixel.at] = {g.alpha,    g.kept,     {g.color[0], g.color[1], g.color[2]}, g.mean,
                    g.exponent, g.inverse_partition, all.noted,                   all.nearest};
}

// Whether a face can show in the colour of a pixel.
template <typename T>
__device__ bool can_show(const Face<T>& face, const PixelGradient<T>& pixel, T gap, const Parameters<T>& p) {
  if (p.color == Color::softmax) return face.most_exponent + gap >= pixel.exponent;
  return p.color == Color::hard && pixel.seen;
}

template <typename T>
__global__ void __launch_bounds__(block_size, gather_blocks<T>)
    blend_gather_kernel(LayersBackward<T> b, Faces<T> faces, const BlendRow<T>* rows) {
  __shared__ T memory[block_size][3];
  const LayersForward<T>& f = b.forward;
  const int warp = threadIdx.x / warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps + warp;
  if (index >= f.parameters.faces) return;  // the whole warp
  const Face<T> face = faces.slots[index].face;
  const LayerParameters<T> p = parameters_of_face(f, index);
  const int64_t image = image_of(p, index), plane = int64_t(p.height) * p.width;
  const int32_t number = int32_t(index - first_face_of(p, image));
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  gather_face(b, index, face, faces.boxes[index], memory + warp * warp_size,
              [&](LayerGradient<T>& g, auto& texture, int column, int row) {
    Coverage<T> c = cover<true>(face, p, center_x(p, column), center_y(p, row));
    if (!c.support) return;
    attenuate<true>(c, p);
    const Opacity<T> a = opacity_at<true>(c, p);
    const PixelGradient<T> pixel = gradient_of(rows[image * plane + int64_t(row) * p.width + column], number);
    T grad_opacity = alpha_gradient<true>(pixel, a, p);
    if (can_show(face, pixel, gap, p)) grad_opacity += face_color_vjp<true>(g, texture, face, c, a.own, pixel, true, p);
    opacity_at_vjp<true>(g, face, c, a, p, grad_opacity);
  });
}

// ---- memory and launches ---------------------------------------------------------------------------

template <typename T>
struct BackwardScratch {
  Faces<T> faces;
  int64_t* first_face;  // [B + 1] of a packed batch, on the device
  BlendRow<T>* rows;    // [B H W]
};

template <typename T>
BackwardScratch<T> take_scratch(const LayersForward<T>& f, ScratchMemory& memory) {
  return {take_faces<T>(f.parameters, memory), memory.take<int64_t>("first_face on the device", count_offsets(f.parameters)),
          memory.take<BlendRow<T>>("rows of pixels", count_pixels(f))};
}

}  // namespace

template <typename T>
int64_t scratch_bytes(const RenderBlends<T>& r) {
  ScratchBlock measure;
  take_bin_scratch<T>(r.call.parameters, plan_bins<T>(r.call.parameters), measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const RenderBlends<T>& r, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  LayersForward<T> f = r.call;
  if (f.parameters.images == 0) return nullptr;
  if (const char* error = refuse(f)) return error;
  Bins bins = plan_bins<T>(f.parameters);
  const BinScratch<T> s = take_bin_scratch<T>(f.parameters, bins, memory);
  if (const char* error = queue_bins(f, bins, s, stream)) return error;
  blend_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(f, s.faces, bins);
  return last_error();
}

template <typename T>
int64_t scratch_bytes(const RenderBlendsBackward<T>& r) {
  ScratchBlock measure;
  take_scratch(r.call.forward, measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const RenderBlendsBackward<T>& r, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  LayersBackward<T> b = r.call;
  LayersForward<T>& f = b.forward;
  LayerParameters<T>& p = f.parameters;
  if (p.images == 0 || p.faces == 0) return nullptr;
  if (const char* error = refuse(f)) return error;
  const BackwardScratch<T> s = take_scratch(f, memory);
  p.first_face = bring_offsets(p, s.first_face, stream);
  const Levels none = {nullptr, 0};
  if (const char* error = setup_faces_of(LayerFaces<T>{f}, BinNeed{0}, none, s.faces, stream)) return error;
  queue_clear_texels(b, stream);
  blend_pixels_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(b, s.rows);
  if (const char* error = last_error()) return error;
  blend_gather_kernel<T><<<unsigned(divide_up(p.faces, int64_t(warps))), block_size, 0, stream>>>(b, s.faces, s.rows);
  return last_error();
}

#define RENDERER_BLENDS(T)                                                          \
  template int64_t scratch_bytes(const RenderBlends<T>&);                           \
  template int64_t scratch_bytes(const RenderBlendsBackward<T>&);                   \
  template const char* launch(const RenderBlends<T>&, ScratchMemory&, void*);       \
  template const char* launch(const RenderBlendsBackward<T>&, ScratchMemory&, void*)
RENDERER_BLENDS(float);
RENDERER_BLENDS(double);

}  // namespace renderer
