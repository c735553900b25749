// Layered colours on the GPU: a thread owns a pixel and its layers, and a warp gathers the gradient of a face.
//
// set-up -> bins -> count, and when the host knows how many pairs there are, set-up -> bins -> render; or layers -> gather in the
// backward. The faces of a pixel are listed in ascending order, in memory that `count` has measured, and sorted by numbers
// of their places in the list, so that a face finds its place by its index.
#include "layers_cuda.h"
#include "layers_cuda_pixels.h"

namespace renderer {
namespace {

// ---- the faces of a pixel --------------------------------------------------------------------------

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
// opacity_gradient; then, in the first two, what comes back to it, see LayerUpstream.
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

template <typename T>
__global__ void __launch_bounds__(block_size, gather_blocks<T>) gather_kernel(LayersBackward<T> b, Faces<T> faces, LayerLists<T> lists) {
  __shared__ T memory[block_size][3];
  const LayersForward<T>& f = b.forward;
  const int warp = threadIdx.x / warp_size;
  const int64_t index = int64_t(blockIdx.x) * warps + warp;
  if (index >= f.parameters.faces) return;  // the whole warp
  const Face<T> face = faces.slots[index].face;
  const LayerParameters<T> p = parameters_of_face(f, index, face);
  const int64_t image = image_of(p, index), plane = int64_t(p.height) * p.width;
  const int32_t number = int32_t(index - first_face_of(p, image));
  gather_face(b, index, face, faces.boxes[index], memory + warp * warp_size,
              [&](LayerGradient<T>& g, auto& texture, int column, int row) {
    const int64_t place = int64_t(row) * p.width + column, slot = find(lists, image * plane + place, number);
    if (slot < 0) return;
    T grad[4];
    gradient_at(b, image, place, grad);
    const LayerState<T> state = lists.states[slot];
    const LayerUpstream<T> upstream = {state.share, state.opacity, {grad[0], grad[1], grad[2]}};
    Layer<T> layer = layer_at(face, p, center_x(p, column), center_y(p, row));
    open_window(layer, p);
    layer_vjp(g, texture, face, layer, p, upstream, true);
  });
}

// ---- memory and launches ---------------------------------------------------------------------------

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
  render_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(f, s.faces, bins, lists);
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
  queue_clear_texels(b, stream);
  layers_kernel<T><<<pixel_blocks(f, 0), block_size, 0, stream>>>(b, s.faces, bins, lists);
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
