// Layered colours on the GPU: a thread owns a pixel and its layers, and a warp gathers the gradient of a face.
//
// set-up -> bins -> count, and when the host knows how many pairs there are, set-up -> bins -> render; or layers -> gather in the
// backward. The faces of a pixel are listed in ascending order, in memory that `count` has measured, and sorted by numbers
// of their places in the list, so that a face finds its place by its index.
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
__global__ void __launch_bounds__(block_size) count_kernel(LayersForward<T> f, const Box* boxes, Bins bins, int64_t* begin) {
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  const int64_t pixels = p.images * p.height * p.width;
  if (pixel.at > pixels) return;
  int64_t count = 0;
  if (pixel.at < pixels) for_each_face_at(bins, boxes, pixel, [&](int32_t) { ++count; });
  begin[pixel.at] = count;
}

// What the backward notes of a layer: first the transmittance in front of it, its opacity a, 1 - a and its value, see
// opacity_gradient; then, in the first three, what comes back to it, see LayerUpstream.
template <typename T>
struct alignas(16) LayerState {
  T share, opacity, through, value;
};

// The layers of all pixels: those of a pixel are at begin[pixel], ..., with room for as many as there are pairs.
template <typename T>
struct LayerLists {
  const int64_t* begin;   // [B H W + 1]
  int32_t* count;         // [B H W] layers of each pixel
  int32_t* face;          // [pairs] index in its mesh, ascending
  int32_t* order;         // [pairs] numbers of places in the list, near ones first
  int32_t* spare;         // [pairs]
  T* key;                 // [pairs]
  LayerState<T>* states;  // [pairs] in the backward, else null
};

// One layer, evaluated.
template <typename T>
struct Shaded {
  Layer<T> layer;
  T color[3];
};

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

template <typename T>
__device__ Shaded<T> shade(const LayersForward<T>& f, const Slot<T>* slots, int64_t face, const PixelPlace& pixel) {
  const Slot<T> slot = slots[face];  // as a whole, see Slot
  const Face<T>& outline = slot.face;
  const LayerParameters<T> p = parameters_of_face(f, face, outline);
  Shaded<T> out;
  out.layer = layer_at(outline, p, center_x(p, pixel.column), center_y(p, pixel.row));
  open_window(out.layer, p);
  color_of(f, face, out.layer.s, out.color);
  return out;
}

// List the faces that a pixel shows, and sort them.
template <typename T>
__device__ int32_t list_layers(const LayersForward<T>& f, const Faces<T>& faces, const Bins& bins,
                               const LayerLists<T>& lists, const PixelPlace& pixel) {
  const int64_t begin = lists.begin[pixel.at], first_face = first_face_of(f.parameters, pixel.image);
  int32_t count = 0;
  for_each_face_at(bins, faces.boxes, pixel, [&](int32_t index) {
    const Slot<T> slot = faces.slots[first_face + index];  // as a whole, see Slot
    const Face<T>& face = slot.face;
    const LayerParameters<T> p = parameters_of_face(f, first_face + index, face);
    const Layer<T> layer = layer_at(face, p, center_x(p, pixel.column), center_y(p, pixel.row));
    if (!layer.visible) return;
    lists.face[begin + count] = index;
    lists.key[begin + count] = order_key(layer, p);
    lists.order[begin + count] = count;
    ++count;
  });
  sort_by_key(lists.order + begin, lists.spare + begin, count, lists.key + begin);
  return count;
}

// ---- forward ---------------------------------------------------------------------------------------

// Blocks on a multiprocessor at once that the compiler saves registers for: the most without spilling.
template <typename T>
constexpr int least_blocks = sizeof(T) == 8 ? 1 : 7;

template <typename T>
__global__ void __launch_bounds__(block_size, least_blocks<T>)
    render_kernel(LayersForward<T> f, Faces<T> faces, Bins bins, LayerLists<T> lists) {
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const int32_t count = list_layers(f, faces, bins, lists, pixel);
  const int64_t begin = lists.begin[pixel.at], first_face = first_face_of(p, pixel.image);
  LayerSum<T> sum = {T(1), {T(0), T(0), T(0)}};
  for (int32_t i = 0; i < count && !(sum.transmittance < p.stop_transmittance); ++i) {
    const int32_t face = lists.face[begin + lists.order[begin + i]];
    const Shaded<T> shaded = shade(f, faces.slots, first_face + face, pixel);
    add_layer(sum, shaded.layer.opacity, shaded.layer.through, shaded.color);
  }
  write_pixel(f, sum, pixel.image, int64_t(pixel.row) * p.width + pixel.column);
}

// ---- backward: layers ------------------------------------------------------------------------------

// One block on a multiprocessor is enough, says the bound: the compiler takes the registers it needs and spills none.
template <typename T>
__global__ void __launch_bounds__(block_size, 1)
    layers_kernel(LayersBackward<T> b, Faces<T> faces, Bins bins, LayerLists<T> lists) {
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const int32_t count = list_layers(f, faces, bins, lists, pixel);
  lists.count[pixel.at] = count;
  const int64_t begin = lists.begin[pixel.at], first_face = first_face_of(p, pixel.image);
  const int64_t place = int64_t(pixel.row) * p.width + pixel.column;
  T grad[4], behind(0), transmittance(1);
  gradient_at(b, pixel.image, place, grad);
  int32_t seen = 0;
  for (; seen < count && !(transmittance < p.stop_transmittance); ++seen) {
    const int64_t slot = begin + lists.order[begin + seen];
    const Shaded<T> shaded = shade(f, faces.slots, first_face + lists.face[slot], pixel);
    lists.states[slot] = {transmittance, shaded.layer.opacity, shaded.layer.through, value_of(grad, shaded.color)};
    transmittance *= shaded.layer.through;
  }
  for (int32_t i = seen; i < count; ++i) lists.states[begin + lists.order[begin + i]] = {T(0), T(0), T(0), T(0)};
  for (int k = 0; k < 3; ++k) behind += grad[k] * background_at(f, pixel.image, k, place);
  for (int32_t i = seen - 1; i >= 0; --i) {
    LayerState<T>& state = lists.states[begin + lists.order[begin + i]];
    const LayerState<T> s = state;
    state.share = s.share * s.opacity;
    state.opacity = opacity_gradient(s.share, s.opacity, s.through, s.value, behind);
    state.through = T(0);
  }
}

// ---- blends ----------------------------------------------------------------------------------------

// The i-th fragment of a pixel, evaluated.
template <typename T>
__device__ BlendedFragment<T> blended_fragment(const LayersForward<T>& f, const Faces<T>& faces, const LayerLists<T>& lists,
                                               const PixelPlace& pixel, int32_t number) {
  const int64_t slot = lists.begin[pixel.at] + number;
  const int64_t first_face = first_face_of(f.parameters, pixel.image);
  const Shaded<T> shaded = shade(f, faces.slots, first_face + lists.face[slot], pixel);
  return {number, lists.key[slot], shaded.layer.opacity, shaded.layer.through,
          {shaded.color[0], shaded.color[1], shaded.color[2]}};
}

template <typename T>
__global__ void __launch_bounds__(block_size, 1)
    blend_kernel(LayersForward<T> f, Faces<T> faces, Bins bins, LayerLists<T> lists) {
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const int32_t count = list_layers(f, faces, bins, lists, pixel);
  const int32_t* order = lists.order + lists.begin[pixel.at];
  const auto at = [&](int64_t i) { return blended_fragment(f, faces, lists, pixel, order[i]); };
  write_blended(f, blend(p, count, at), pixel.image, int64_t(pixel.row) * p.width + pixel.column);
}

template <typename T>
__global__ void __launch_bounds__(block_size, 1)
    blend_vjp_kernel(LayersBackward<T> b, Faces<T> faces, Bins bins, LayerLists<T> lists) {
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  const PixelPlace pixel = pixel_of_thread(p.height, p.width);
  if (pixel.at >= p.images * p.height * p.width) return;
  const int32_t count = list_layers(f, faces, bins, lists, pixel);
  lists.count[pixel.at] = count;
  const int64_t begin = lists.begin[pixel.at], mesh = mesh_faces(p, pixel.image);
  const int32_t* order = lists.order + begin;
  const auto at = [&](int64_t i) { return blended_fragment(f, faces, lists, pixel, order[i]); };
  const Blended<T> all = blend(p, count, at);
  const BlendGradient<T> common = blend_gradient(b, all, pixel.image, int64_t(pixel.row) * p.width + pixel.column);
  for (int32_t i = 0; i < count; ++i) {
    const FragmentGradient<T> mine = fragment_vjp(common, all, at(i), mesh, p);
    lists.states[begin + order[i]] = {mine.share, mine.opacity, mine.depth, T(0)};
  }
}

// ---- backward: gather ------------------------------------------------------------------------------

// The place of a face in the list of a pixel, or -1.
template <typename T>
__device__ int64_t find(const LayerLists<T>& lists, int64_t pixel, int32_t face) {
  int64_t low = lists.begin[pixel], high = low + lists.count[pixel];
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (lists.face[middle] == face) return middle;
    lists.face[middle] < face ? low = middle + 1 : high = middle;
  }
  return -1;
}

// Each lane sums over every 32nd pixel of the box of a face. `end_step` is called by all lanes.
template <typename T, typename TextureAt, typename EndStep>
__device__ void walk(const LayersBackward<T>& b, const LayerLists<T>& lists, int64_t index, Box box, const Face<T>& face,
                     const LayerParameters<T>& p, TextureAt& texture, LayerGradient<T>& g, const EndStep& end_step) {
  const int64_t image = image_of(p, index), plane = int64_t(p.height) * p.width;
  const int32_t number = int32_t(index - first_face_of(p, image));
  const uint32_t lane = threadIdx.x % warp_size, pixels = box.pixels();
  for (uint32_t first = 0; first < pixels; first += warp_size) {
    const uint32_t at = first + lane;
    if (at < pixels) {
      const int column = box.first_column + int(at % box.columns()), row = box.first_row + int(at / box.columns());
      const int64_t place = int64_t(row) * p.width + column, slot = find(lists, image * plane + place, number);
      if (slot >= 0) {
        T grad[4];
        gradient_at(b, image, place, grad);
        const LayerState<T> state = lists.states[slot];
        const LayerUpstream<T> upstream = {state.share, state.opacity, state.through, {grad[0], grad[1], grad[2]}};
        Layer<T> layer = layer_at(face, p, center_x(p, column), center_y(p, row));
        open_window(layer, p);
        layer_vjp(g, texture, face, layer, p, upstream, true);
      }
    }
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

template <typename T>
__global__ void __launch_bounds__(block_size, gather_blocks<T>) gather_kernel(LayersBackward<T> b, Faces<T> faces, LayerLists<T> lists) {
  __shared__ T memory[block_size][3];
  const LayersForward<T>& f = b.forward;
  const int warp = threadIdx.x / warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps + warp;
  if (index >= f.parameters.faces) return;  // the whole warp
  const Face<T> face = faces.slots[index].face;
  const LayerParameters<T> p = parameters_of_face(f, index, face);
  LayerGradient<T> g;
  clear(g);
  T numbers[21] = {};
  const bool surface = p.texture == Texture::surface;
  if (surface) {
    const int64_t first = index * texture_numbers(p);
    SurfaceTexture<T> texture = {f.face_textures + first, b.grad_face_textures + first, p.texture_side, -1, {}};
    walk(b, lists, index, faces.boxes[index], face, p, texture, g, [&] { texture.end_step(0, memory + warp * warp_size); });
  } else {
    VertexTexture<T, T> texture;
    for (int i = 0; i < 9; ++i) texture.corner[i] = f.face_textures[9 * index + i];
    texture.clear();
    walk(b, lists, index, faces.boxes[index], face, p, texture, g, [] {});
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

template <typename T>
LayerLists<T> take_lists(const LayersForward<T>& f, const int64_t* begin, int64_t pairs, bool backward,
                         ScratchMemory& memory) {
  return {begin,
          memory.take<int32_t>("layers of pixels", backward ? count_pixels(f) : 0),
          memory.take<int32_t>("faces of layers", pairs),
          memory.take<int32_t>("order of layers", pairs),
          memory.take<int32_t>("spare order", pairs),
          memory.take<T>("keys of layers", pairs),
          memory.take<LayerState<T>>("states of layers", backward ? pairs : 0)};
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

}  // namespace

template <typename T>
int64_t scratch_bytes(const CountPairs<T>& c) {
  ScratchBlock measure;
  take_bin_scratch<T>(c.call.parameters, plan_bins<T>(c.call.parameters), measure);
  measure.take<int64_t>("sums of pairs", count_scan_sums(count_pixels(c.call) + 1));
  return measure.bytes();
}

template <typename T>
const char* launch(const CountPairs<T>& c, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  LayersForward<T> f = c.call;
  *c.total = 0;
  if (f.parameters.images == 0) return nullptr;
  if (const char* error = refuse(f)) return error;
  const int64_t numbers = count_pixels(f) + 1;
  Bins bins = plan_bins<T>(f.parameters);
  const BinScratch<T> s = take_bin_scratch<T>(f.parameters, bins, memory);
  int64_t* sums = memory.take<int64_t>("sums of pairs", count_scan_sums(numbers));
  if (const char* error = queue_bins(f, bins, s, stream)) return error;
  count_kernel<T><<<pixel_blocks(f, 1), block_size, 0, stream>>>(f, s.faces.boxes, bins, c.begin);
  if (const char* error = last_error()) return error;
  if (const char* error = queue_scan(c.begin, numbers, sums, stream)) return error;
  cudaMemcpyAsync(c.total, c.begin + numbers - 1, sizeof(int64_t), cudaMemcpyDeviceToHost, stream);
  const cudaError_t status = cudaStreamSynchronize(stream);
  if (const char* error = last_error()) return error;
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

template <typename T>
int64_t scratch_bytes(const RenderLayers<T>& r) {
  ScratchBlock measure;
  take_bin_scratch<T>(r.call.parameters, plan_bins<T>(r.call.parameters), measure);
  take_lists(r.call, r.begin, r.pairs, false, measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const RenderLayers<T>& r, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  LayersForward<T> f = r.call;
  if (f.parameters.images == 0) return nullptr;
  Bins bins = plan_bins<T>(f.parameters);
  const BinScratch<T> s = take_bin_scratch<T>(f.parameters, bins, memory);
  const LayerLists<T> lists = take_lists(f, r.begin, r.pairs, false, memory);
  if (const char* error = queue_bins(f, bins, s, stream)) return error;
  if (f.parameters.over) {
    render_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(f, s.faces, bins, lists);
  } else {
    blend_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(f, s.faces, bins, lists);
  }
  return last_error();
}

template <typename T>
int64_t scratch_bytes(const RenderLayersBackward<T>& r) {
  const LayersForward<T>& f = r.call.forward;
  ScratchBlock measure;
  take_bin_scratch<T>(f.parameters, plan_bins<T>(f.parameters), measure);
  take_lists(f, r.begin, r.pairs, true, measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const RenderLayersBackward<T>& r, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  LayersBackward<T> b = r.call;
  LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  if (p.images == 0 || p.faces == 0) return nullptr;
  Bins bins = plan_bins<T>(p);
  const BinScratch<T> s = take_bin_scratch<T>(p, bins, memory);
  const LayerLists<T> lists = take_lists(f, r.begin, r.pairs, true, memory);
  if (const char* error = queue_bins(f, bins, s, stream)) return error;
  if (p.texture == Texture::surface) {
    cudaMemsetAsync(b.grad_face_textures, 0, std::size_t(p.faces * texture_numbers(p)) * sizeof(T), stream);
  }
  if (p.over) {
    layers_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(b, s.faces, bins, lists);
  } else {
    blend_vjp_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(b, s.faces, bins, lists);
  }
  if (const char* error = last_error()) return error;
  const unsigned blocks = unsigned(divide_up(p.faces, int64_t(warps)));
  gather_kernel<T><<<blocks, block_size, 0, stream>>>(b, s.faces, lists);
  return last_error();
}

#define RENDERER_LAYERS(T)                                                         \
  template int64_t scratch_bytes(const CountPairs<T>&);                            \
  template int64_t scratch_bytes(const RenderLayers<T>&);                          \
  template int64_t scratch_bytes(const RenderLayersBackward<T>&);                  \
  template const char* launch(const CountPairs<T>&, ScratchMemory&, void*);        \
  template const char* launch(const RenderLayers<T>&, ScratchMemory&, void*);      \
  template const char* launch(const RenderLayersBackward<T>&, ScratchMemory&, void*)
RENDERER_LAYERS(float);
RENDERER_LAYERS(double);

}  // namespace renderer
