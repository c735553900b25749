// CPU back end of renderer_cuda::voxelize: threads take whole images, or share one where there are few.

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "voxelize.h"

namespace renderer {
namespace {

using Words = std::vector<uint64_t>;

constexpr int64_t faces_per_task = 256, planes_per_task = 8;

// Call work(begin, end) for parts of [begin, end): in this thread, or in all of torch's, each part of
// at least `least` numbers.
template <typename Work>
void split(bool parallel, int64_t begin, int64_t end, int64_t least, const Work& work) {
  if (parallel) {
    torch::stable::parallel_for(begin, end, least, work);
  } else {
    work(begin, end);
  }
}

// Marks the surface voxels of faces [begin, end). Threads may mark the same words at once.
template <Mode mode, typename T>
void mark_faces(const Voxelization<T>& v, int64_t begin, int64_t end, const BitGrid& grid, Words& surface) {
  const auto mark = [&](int x, int y, int z) {
    uint64_t* word = &surface[size_t(grid.word(x, y, z))];
    const uint64_t bit = BitGrid::bit(z);
    // Most voxels are marked many times, and looking is much cheaper than locking.
    if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit)) __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
  };
  for (int64_t f = begin; f < end; ++f) mark_face<mode>(v.face_vertices + 9 * f, v.resolution, kWhole, mark);
}

// Floods the empty voxels from the border, a word of 64 at a time: a word waits on the stack while
// it has outside bits its neighbours have not seen.
class Flood {
 public:
  Flood(const BitGrid& grid, const Words& surface) : grid_(grid), empty_(surface), outside_(surface.size()) {
    int64_t word = 0;
    for (int w = 0; w < grid.words; ++w) {
      for (int x = 0; x < grid.resolution; ++x) {
        for (int y = 0; y < grid.resolution; ++y, ++word) {
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
      outside_[word] = flood_word(outside_[word], empty_[word]);
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
    const int64_t next_x = grid_.resolution, next_w = next_x * next_x, last = grid_.resolution - 1;
    const int64_t w = word / next_w, x = word / next_x % next_x, y = word % next_x;
    if (x > 0) add(word - next_x, bits);
    if (x < last) add(word + next_x, bits);
    if (y > 0) add(word - 1, bits);
    if (y < last) add(word + 1, bits);
    if (w > 0) add(word - next_w, bits << 63);
    if (w + 1 < grid_.words) add(word + next_w, bits >> 63);
  }

  BitGrid grid_;
  Words empty_, outside_;
  std::vector<int64_t> waiting_;
};

// Planes [begin, end) of occupied [R][R][R]: what the outside does not reach.
void write_occupied(const BitGrid& grid, const Words& outside, int64_t begin, int64_t end, bool* occupied) {
  const int resolution = grid.resolution;
  occupied += begin * resolution * resolution;
  for (int x = int(begin); x < int(end); ++x) {
    for (int y = 0; y < resolution; ++y, occupied += resolution) {
      for (int first = 0; first < resolution; first += 64) {
        const uint64_t bits = ~outside[size_t(grid.word(x, y, first))];
        const int count = resolution - first < 64 ? resolution - first : 64;
        for (int z = 0; z < count; ++z) occupied[first + z] = bits >> z & 1;
      }
    }
  }
}

template <Mode mode, typename T>
void voxelize_image(const Voxelization<T>& v, int64_t image, bool parallel) {
  const BitGrid grid(v.resolution);
  Words surface(size_t(grid.size()));
  const int64_t first = first_face_of(v.meshes, image), end_face = first + mesh_faces(v.meshes, image);
  split(parallel, first, end_face, faces_per_task, [&](int64_t begin, int64_t end) {
    mark_faces<mode>(v, begin, end, grid, surface);
  });
  Flood flood(grid, surface);
  const Words& outside = flood.run();
  const int64_t voxels = int64_t(v.resolution) * v.resolution * v.resolution;
  split(parallel, 0, v.resolution, planes_per_task, [&](int64_t begin, int64_t end) {
    write_occupied(grid, outside, begin, end, v.occupied + image * voxels);
  });
}

template <Mode mode, typename T>
void voxelize_images(const Voxelization<T>& v) {
  const bool whole_images = v.meshes.images >= int64_t(torch::stable::get_num_threads());
  split(whole_images, 0, v.meshes.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) voxelize_image<mode>(v, image, !whole_images);
  });
}

struct CpuBackEnd {
  template <typename T>
  static void voxelize(const Voxelization<T>& v, const torch::stable::Tensor&) {
    v.mode == Mode::softras ? voxelize_images<Mode::softras>(v) : voxelize_images<Mode::solid>(v);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "voxelize_ops.h"
