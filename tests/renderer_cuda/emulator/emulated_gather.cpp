// The ops gather_faces and sum_rows on CPU tensors, by the CUDA kernels in the emulator.
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

  template <typename T>
  static void sum_rows(Scatter<T> s, const torch::stable::Tensor&) {
    RowSums& sums = s.sums;
    emulator::DeviceMemory memory;
    s.rows = memory.input("rows", s.rows, sums.images * sums.rows * sums.channels);
    sums.order = memory.input("order", sums.order, sums.rows);
    sums.first = memory.input("first", sums.first, sums.places + 1);
    s.totals = memory.output("totals", s.totals, sums.images * sums.places * sums.channels);
    launch_emulated(s, memory);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END EmulatedBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "gather_ops.h"
#include "sum_rows_ops.h"
