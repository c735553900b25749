// The ops of renderer_cuda on CPU tensors, by the CUDA kernels in the emulator.
#include <stdexcept>
#include <string>

#include "memory.h"
#include "rasterize_cuda.h"

#include <torch/csrc/stable/tensor.h>

namespace renderer {
namespace {

struct EmulatedBackEnd {
  template <typename Call, typename Launch>
  static void run(const Call& call, std::size_t face_bytes, Launch launch, emulator::DeviceMemory& memory) {
    const auto& p = call.parameters;
    void* faces = memory.scratch("faces", int64_t(face_bytes) * p.images * p.faces);
    if (const char* error = launch(call, faces, nullptr)) {
      throw std::runtime_error(std::string("emulator: ") + error);
    }
    memory.finish();
  }

  template <typename T>
  static void forward(Forward<T> f, const torch::stable::Tensor&) {
    const Parameters<T>& p = f.parameters;
    const bool soft = p.color == Color::softmax, hard = p.color == Color::hard;
    const int64_t pixels = p.images * p.height * p.width, corners = 9 * p.images * p.faces;
    emulator::DeviceMemory memory;
    f.face_vertices = memory.input("face_vertices", f.face_vertices, corners);
    f.face_textures = memory.input("face_textures", f.face_textures, corners);
    f.background = memory.input("background", f.background, 3);
    f.image = memory.output("image", f.image, p.color == Color::none ? pixels : 4 * pixels);
    f.transmittance = memory.output("transmittance", f.transmittance, pixels);
    f.peak = memory.output("peak", f.peak, soft ? pixels : 0);
    f.partition = memory.output("partition", f.partition, soft ? pixels : 0);
    f.nearest_face = memory.output("nearest_face", f.nearest_face, hard ? pixels : 0);
    run(f, bytes_per_face<T>(), launch_forward<T>, memory);
  }

  template <typename T>
  static void backward(Backward<T> b, const torch::stable::Tensor&) {
    const Parameters<T>& p = b.parameters;
    const bool soft = p.color == Color::softmax, hard = p.color == Color::hard;
    const int64_t pixels = p.images * p.height * p.width, corners = 9 * p.images * p.faces;
    const int64_t numbers = p.color == Color::none ? pixels : 4 * pixels;
    emulator::DeviceMemory memory;
    b.face_vertices = memory.input("face_vertices", b.face_vertices, corners);
    b.face_textures = memory.input("face_textures", b.face_textures, corners);
    b.image = memory.input("image", b.image, numbers);
    b.transmittance = memory.input("transmittance", b.transmittance, pixels);
    b.peak = memory.input("peak", b.peak, soft ? pixels : 0);
    b.partition = memory.input("partition", b.partition, soft ? pixels : 0);
    b.nearest_face = memory.input("nearest_face", b.nearest_face, hard ? pixels : 0);
    b.grad_image = memory.input("grad_image", b.grad_image, numbers);
    b.grad_face_vertices = memory.output("grad_face_vertices", b.grad_face_vertices, corners);
    b.grad_face_textures = memory.output("grad_face_textures", b.grad_face_textures, corners);
    run(b, bytes_per_face<T>(), launch_backward<T>, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "rasterize_ops.h"
