// The op gather_faces on CPU tensors, by the CUDA kernel in the emulator.
#include "emulated_launch.h"
#include "gather_cuda.h"
#include "tensors.h"

namespace renderer {
namespace {

struct EmulatedBackEnd {
  template <typename T>
  static void gather(Gather<T> g, const torch::stable::Tensor&) {
    const GatherShape& s = g.shape;
    emulator::DeviceMemory memory;
    g.vertices = memory.input("vertices", g.vertices, s.images * s.vertices * s.channels);
    g.faces = memory.input("faces", g.faces, s.corners);
    g.corners = memory.output("corners", g.corners, s.images * s.corners * s.channels);
    launch_emulated(g, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "gather_ops.h"
