// The op voxelize on CPU tensors, by the CUDA kernels in the emulator.
#include "emulated_launch.h"
#include "tensors.h"
#include "voxelize_cuda.h"

namespace renderer {
namespace {

struct EmulatedBackEnd {
  template <typename T>
  static void voxelize(Voxelization<T> v, const torch::stable::Tensor&) {
    const int64_t side = v.resolution;
    emulator::DeviceMemory memory;
    place_offsets(v.meshes, memory);
    v.face_vertices = memory.input("face_vertices", v.face_vertices, 9 * v.meshes.faces);
    v.occupied = memory.output("occupied", v.occupied, v.meshes.images * side * side * side);
    launch_emulated(v, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "voxelize_ops.h"
