// The ops of layered colours and of blends on CPU tensors, by the CUDA kernels in the emulator.
#include "blends_cuda.h"
#include "emulated_launch.h"
#include "layers_cuda.h"

#include <torch/csrc/stable/tensor.h>

#include <vector>

namespace renderer {
namespace {

// What a call reads, in memory of the device; `begin` and `total` of its pairs are of the host.
template <typename T>
struct DeviceCall {
  LayersForward<T> call;

  DeviceCall(const LayersForward<T>& f, emulator::DeviceMemory& memory) : call(f) {
    const LayerParameters<T>& p = f.parameters;
    const int64_t texture = p.texture == Texture::vertex ? 9 : 3 * p.texture_side * p.texture_side;
    call.face_vertices = memory.input("face_vertices", f.face_vertices, 9 * p.faces);
    call.face_textures = memory.input("face_textures", f.face_textures, texture * p.faces);
    call.face_opacity = memory.input("face_opacity", f.face_opacity, p.faces);
    call.face_sigma = memory.input("face_sigma", f.face_sigma, p.faces);
    call.background = memory.input("background", f.background, p.background_image ? 3 * count_pixels(f) : 3);
  }
};

struct PairCounts {
  std::vector<int64_t> begin;
  int64_t total = 0;
};

template <typename T>
PairCounts count_pairs(const LayersForward<T>& f) {
  PairCounts out = {std::vector<int64_t>(std::size_t(count_pixels(f) + 1))};
  if (f.parameters.images == 0) return out;
  emulator::DeviceMemory memory;
  const DeviceCall<T> device(f, memory);
  int64_t* begin = memory.output("begin", out.begin.data(), int64_t(out.begin.size()));
  launch_emulated(CountPairs<T>{device.call, begin, &out.total}, memory);
  return out;
}

struct EmulatedBackEnd {
  template <typename T>
  static void forward(const LayersForward<T>& f, const torch::stable::Tensor&) {
    const PairCounts pairs = f.parameters.over ? count_pairs(f) : PairCounts();
    emulator::DeviceMemory memory;
    DeviceCall<T> device(f, memory);
    device.call.image = memory.output("image", f.image, 4 * count_pixels(f));
    device.call.transmittance = memory.output("transmittance", f.transmittance, count_pixels(f));
    device.call.kept = memory.output("kept", f.kept, count_pixels(f) * kept_numbers(f.parameters));
    if (!f.parameters.over) return launch_emulated(RenderBlends<T>{device.call}, memory);
    const int64_t* begin = memory.input("begin", pairs.begin.data(), int64_t(pairs.begin.size()));
    launch_emulated(RenderLayers<T>{device.call, begin, pairs.total}, memory);
  }

  template <typename T>
  static void backward(const LayersBackward<T>& b, const torch::stable::Tensor&) {
    const LayerParameters<T>& p = b.forward.parameters;
    const PairCounts pairs = p.over ? count_pairs(b.forward) : PairCounts();
    emulator::DeviceMemory memory;
    const int64_t texture = p.texture == Texture::vertex ? 9 : 3 * p.texture_side * p.texture_side;
    LayersBackward<T> call = b;
    call.forward = DeviceCall<T>(b.forward, memory).call;
    call.image = memory.input("image", b.image, 4 * count_pixels(b.forward));
    call.kept = memory.input("kept", b.kept, count_pixels(b.forward) * kept_numbers(p));
    call.grad_image = memory.input("grad_image", b.grad_image, 4 * count_pixels(b.forward));
    call.grad_face_vertices = memory.output("grad_face_vertices", b.grad_face_vertices, 9 * p.faces);
    call.grad_face_textures = memory.output("grad_face_textures", b.grad_face_textures, texture * p.faces);
    call.grad_face_opacity = memory.output("grad_face_opacity", b.grad_face_opacity, p.faces);
    call.grad_face_sigma = memory.output("grad_face_sigma", b.grad_face_sigma, p.faces);
    if (!p.over) return launch_emulated(RenderBlendsBackward<T>{call}, memory);
    const int64_t* begin = memory.input("begin", pairs.begin.data(), int64_t(pairs.begin.size()));
    launch_emulated(RenderLayersBackward<T>{call, begin, pairs.total}, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "layers_ops.h"
