// The ops of renderer_cuda on CPU tensors, by the CUDA kernels in the emulator.
#include "emulated_launch.h"
#include "rasterize_cuda.h"

#include <torch/csrc/stable/tensor.h>

namespace renderer {
namespace {

// How many numbers the tensors of a call have.
struct Sizes {
  int64_t corners, textures, background, pixels, image, transmittance, soft, hard;

  template <typename T>
  explicit Sizes(const Parameters<T>& p) {
    const bool color = p.color != Color::none;
    const int64_t texture = p.texture == Texture::vertex ? 9 : 3 * p.texture_side * p.texture_side;
    corners = 9 * p.faces;
    textures = color ? texture * p.faces : 0;
    pixels = p.images * p.height * p.width;
    background = !color ? 0 : p.background_image ? 3 * pixels : 3;
    image = color ? 4 * pixels : pixels;
    transmittance = keeps_state(p.alpha) ? pixels : 0;
    soft = p.color == Color::softmax ? pixels : 0;
    hard = p.color == Color::hard ? pixels : 0;
  }
};

struct EmulatedBackEnd {
  template <typename T>
  static void forward(Forward<T> f, const torch::stable::Tensor&) {
    const Sizes sizes(f.parameters);
    emulator::DeviceMemory memory;
    place_offsets(f.parameters, memory);
    f.face_vertices = memory.input("face_vertices", f.face_vertices, sizes.corners);
    f.face_textures = memory.input("face_textures", f.face_textures, sizes.textures);
    f.background = memory.input("background", f.background, sizes.background);
    f.image = memory.output("image", f.image, sizes.image);
    f.transmittance = memory.output("transmittance", f.transmittance, sizes.transmittance);
    f.peak = memory.output("peak", f.peak, sizes.soft);
    f.partition = memory.output("partition", f.partition, sizes.soft);
    f.nearest_face = memory.output("nearest_face", f.nearest_face, sizes.hard);
    launch_emulated(f, memory);
  }

  template <typename T>
  static void backward(Backward<T> b, const torch::stable::Tensor&) {
    const Sizes sizes(b.parameters);
    emulator::DeviceMemory memory;
    place_offsets(b.parameters, memory);
    b.face_vertices = memory.input("face_vertices", b.face_vertices, sizes.corners);
    b.face_textures = memory.input("face_textures", b.face_textures, sizes.textures);
    b.image = memory.input("image", b.image, sizes.image);
    b.transmittance = memory.input("transmittance", b.transmittance, sizes.transmittance);
    b.peak = memory.input("peak", b.peak, sizes.soft);
    b.partition = memory.input("partition", b.partition, sizes.soft);
    b.nearest_face = memory.input("nearest_face", b.nearest_face, sizes.hard);
    b.grad_image = memory.input("grad_image", b.grad_image, sizes.image);
    b.grad_face_vertices = memory.output("grad_face_vertices", b.grad_face_vertices, sizes.corners);
    b.grad_face_textures = memory.output("grad_face_textures", b.grad_face_textures, sizes.textures);
    launch_emulated(b, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "rasterize_ops.h"
