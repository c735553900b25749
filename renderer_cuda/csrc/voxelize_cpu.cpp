// CPU back end of renderer_cuda::voxelize: one thread takes one image at a time.

#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "voxelize.h"

namespace {

using renderer::BitGrid;
using torch::stable::Tensor;

constexpr int64_t kSoftras = 0, kSolid = 1;
constexpr int64_t kMaxResolution = 1024;

using Words = std::vector<uint64_t>;

// The surface voxels of one image, from its faces [F][3][3].
template <typename Scalar>
void fill_surface(const Scalar* faces, int64_t count, int64_t mode, const BitGrid& grid, Words& surface) {
  const int resolution = grid.resolution;
  const auto mark = [&](int x, int y, int z) { surface[grid.word(x, y, z)] |= BitGrid::bit(z); };
  for (int64_t f = 0; f < count; ++f, faces += 9) {
    if (mode == kSoftras) {
      Scalar face[3][3];
      if (renderer::load_face(faces, resolution, face)) renderer::mark_softras(face, resolution, mark);
    } else {
      double face[3][3];
      if (renderer::load_face(faces, resolution, face)) renderer::mark_solid(face, resolution, mark);
    }
  }
}

// Floods the empty voxels from the border, a word of 64 at a time: a word waits on the stack while
// it has outside bits its neighbours have not seen.
class Flood {
 public:
  Flood(const BitGrid& grid, const Words& surface) : grid_(grid), empty_(surface), outside_(surface.size()) {
    int64_t word = 0;
    for (int x = 0; x < grid.resolution; ++x) {
      for (int y = 0; y < grid.resolution; ++y) {
        for (int w = 0; w < grid.words; ++w, ++word) {
          empty_[word] = ~surface[word] & grid.voxels(w);
          add(word, grid.border(x, y, w));
        }
      }
    }
  }

  // The voxels that the outside reaches.
  const Words& run() {
    while (!waiting_.empty()) {
      const int64_t word = waiting_.back();
      waiting_.pop_back();
      outside_[word] = renderer::flood_word(outside_[word], empty_[word]);
      spread(word);
    }
    return outside_;
  }

 private:
  void add(int64_t word, uint64_t bits) {
    const uint64_t gained = bits & empty_[word] & ~outside_[word];
    if (gained == 0) return;
    outside_[word] |= gained;
    waiting_.push_back(word);
  }

  void spread(int64_t word) {
    const uint64_t bits = outside_[word];
    const int64_t row = word / grid_.words, w = word % grid_.words;
    const int64_t x = row / grid_.resolution, y = row % grid_.resolution;
    const int64_t last = grid_.resolution - 1;
    const int64_t next_y = grid_.words, next_x = next_y * grid_.resolution;
    if (x > 0) add(word - next_x, bits);
    if (x < last) add(word + next_x, bits);
    if (y > 0) add(word - next_y, bits);
    if (y < last) add(word + next_y, bits);
    if (w > 0) add(word - 1, bits << 63);
    if (w + 1 < grid_.words) add(word + 1, bits >> 63);
  }

  BitGrid grid_;
  Words empty_, outside_;
  std::vector<int64_t> waiting_;
};

// occupied [R][R][R] is what the outside does not reach.
void write_occupied(const BitGrid& grid, const Words& outside, bool* occupied) {
  for (int64_t row = 0; row < int64_t(grid.resolution) * grid.resolution; ++row) {
    const uint64_t* words = outside.data() + row * grid.words;
    for (int z = 0; z < grid.resolution; ++z) *occupied++ = !((words[z / 64] >> (z % 64)) & 1);
  }
}

template <typename Scalar>
void voxelize_images(const Tensor& face_vertices, int resolution, int64_t mode, Tensor& occupied) {
  const int64_t faces = face_vertices.size(1), voxels = int64_t(resolution) * resolution * resolution;
  const Scalar* input = face_vertices.const_data_ptr<Scalar>();
  bool* output = occupied.mutable_data_ptr<bool>();
  const BitGrid grid(resolution);
  torch::stable::parallel_for(0, face_vertices.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      Words surface(grid.size());
      fill_surface(input + image * faces * 9, faces, mode, grid, surface);
      write_occupied(grid, Flood(grid, surface).run(), output + image * voxels);
    }
  });
}

Tensor voxelize(const Tensor& face_vertices, int64_t resolution, int64_t mode) {
  STD_TORCH_CHECK(face_vertices.dim() == 4 && face_vertices.size(2) == 3 && face_vertices.size(3) == 3,
                  "face_vertices must have shape [B, F, 3, 3]");
  STD_TORCH_CHECK(resolution >= 1 && resolution <= kMaxResolution, "resolution must be in 1..",
                  kMaxResolution, ", got ", resolution);
  STD_TORCH_CHECK(mode == kSoftras || mode == kSolid, "mode must be 0 or 1, got ", mode);
  const auto dtype = face_vertices.scalar_type();
  const bool is_float = dtype == torch::headeronly::ScalarType::Float;
  STD_TORCH_CHECK(is_float || dtype == torch::headeronly::ScalarType::Double,
                  "face_vertices must be float32 or float64");
  const Tensor input = torch::stable::contiguous(face_vertices);
  Tensor occupied = torch::stable::new_empty(input, {input.size(0), resolution, resolution, resolution},
                                             torch::headeronly::ScalarType::Bool);
  const auto run = is_float ? voxelize_images<float> : voxelize_images<double>;
  run(input, static_cast<int>(resolution), mode, occupied);
  return occupied;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, CPU, library) {
  library.impl("voxelize", TORCH_BOX(&voxelize));
}
