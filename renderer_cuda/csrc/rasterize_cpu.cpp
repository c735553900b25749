// The CPU back end: which images, tiles and faces at once.
#include "rasterize_cpu.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "order_cpu.h"
#include "processor.h"
#include "threads.h"
#include "tiles_cpu.h"
#include "visibility_cpu.h"

namespace renderer {
namespace {

using torch::stable::Tensor;

// ---- the kernels of this processor -----------------------------------------------------------------

template <typename T>
struct Kernels {
  const ForwardKernels<T>& forward;
  const BackwardKernels<T>& backward;
};

template <typename T> const Kernels<T>& kernels();
#define RENDERER_CHOOSE_KERNELS(T)                                                                            \
  template <> const Kernels<T>& kernels() {                                                                   \
    static const Kernels<T> chosen = {RENDERER_CALL_BEST(T##_forward), RENDERER_CALL_BEST(T##_backward)};     \
    return chosen;                                                                                            \
  }
RENDERER_CHOOSE_KERNELS(float)
RENDERER_CHOOSE_KERNELS(double)

// ---- which faces are wide ---------------------------------------------------------------------------

// An image is one of wide faces where their boxes have more than so many pixels on average. Measured with AVX-512: at 430
// pixels the forward of silhouettes still gains by lanes of faces and that of colours by rows, and both must choose alike, as
// alpha has the same bits with and without colour; the backward gains by lanes of faces in both.
constexpr int64_t wide_forward = 300, wide_backward = 600;

// ---- what tests look at ----------------------------------------------------------------------------

std::atomic<int> wanted_side{0};  // of tiles, instead of what suits the threads; or 0

// How the work, counted in pixels of the boxes of faces, is shared among the tasks that draw or gather.
struct Work {
  std::atomic<bool> counted{false};
  std::atomic<int64_t> total{0}, most{0};

  template <typename Pixels>
  void add(const Pixels& pixels_of_task) {
    if (!counted.load(std::memory_order_relaxed)) return;
    const int64_t pixels = pixels_of_task();
    total += pixels;
    for (int64_t before = most; before < pixels && !most.compare_exchange_weak(before, pixels);) {}
  }
};
Work work_of_tasks;

// ---- which images at once --------------------------------------------------------------------------

// Images [first, first + count) of a batch. Threads take the tasks of all of them from one list, or one thread does all.
struct Group {
  int64_t first, count;
  bool parallel;
};

constexpr int tasks_per_thread = 4;  // at least, where an image can be cut into as many

template <typename T>
int64_t tiles_of(const Parameters<T>& p, int side) {
  return int64_t((p.width + side - 1) / side) * ((p.height + side - 1) / side);
}

// Call work(group) for all images. Threads take whole images, whose faces and pixels then stay in their caches, where
// there are many; else as many images at once as make enough tasks. The faces and pixels of a group are in memory.
template <typename T, typename Work>
void for_each_group(const Parameters<T>& p, const Work& work) {
  const int64_t wanted = tasks_per_thread * int64_t(torch::stable::get_num_threads());
  if (wanted == tasks_per_thread || p.images >= wanted) {
    for_each<char>(p.images, true, 0, [&](int64_t image, char*) { work(Group{image, 1, false}); });
    return;
  }
  const int64_t tiles = tiles_of(p, tile_side), most = (wanted + tiles - 1) / tiles;
  for (int64_t first = 0; first < p.images; first += most) work(Group{first, std::min(most, p.images - first), true});
}

// Where something begins that there are count_of(image) of for each image of a group; the last is their sum.
template <typename Count>
std::vector<int64_t> offsets_of(const Group& group, const Count& count_of) {
  std::vector<int64_t> begin(size_t(group.count + 1));
  for (int64_t i = 0; i < group.count; ++i) begin[size_t(i + 1)] = begin[size_t(i)] + count_of(group.first + i);
  return begin;
}

// Call work(place of the image in the group, number of the task in the image, scratch) for all tasks of a group.
template <typename T, typename Work>
void for_each_task(const Group& group, const std::vector<int64_t>& begin, int64_t scratch_size, const Work& work) {
  for_each<T>(begin.back(), group.parallel, scratch_size, [&](int64_t task, T* scratch) {
    const auto after = std::upper_bound(begin.begin(), begin.end(), task);
    const int64_t image = after - begin.begin() - 1;
    work(image, task - begin[size_t(image)], scratch);
  });
}

// The prepared faces of a group, and room for two whole numbers of each.
template <typename T>
struct GroupFaces {
  std::vector<int64_t> begin;  // of each image
  Scratch faces, numbers;

  GroupFaces(const Group& group, const Meshes& meshes)
      : begin(offsets_of(group, [&](int64_t image) { return mesh_faces(meshes, image); })),
        faces(sizeof(Face<T>) * size_t(begin.back())),
        numbers(2 * sizeof(int32_t) * size_t(begin.back())) {}
  int64_t count(int64_t i) const { return begin[size_t(i + 1)] - begin[size_t(i)]; }
  Face<T>* of(int64_t i) const { return faces.template get<Face<T>>() + begin[size_t(i)]; }
  int32_t* list(int64_t i) const { return numbers.get<int32_t>() + begin[size_t(i)]; }
  int32_t* keys(int64_t i) const { return list(i) + begin.back(); }
};

// ---- forward ---------------------------------------------------------------------------------------

// The faces of one image, ready to be drawn. Those of a tile are listed in `bins`, unless there is one tile only.
template <typename T>
struct Drawing {
  FaceList<T> all;
  Bins bins;

  FaceList<T> at(int64_t tile) const {
    if (bins.count() == 1) return all;
    const int64_t begin = bins.first[size_t(tile)], end = bins.first[size_t(tile + 1)];
    return {all.faces, all.keys, bins.list.data() + begin, end - begin, all.wide, 0, T(0)};
  }
};

// The side of the tiles of an image of wide faces, whose bits do not depend on it: smaller where there would be less tasks
// than a few for each thread. Other faces are sorted within a tile, so there its side is always the same.
template <typename T>
int wide_side(const Parameters<T>& p, const Group& group) {
  constexpr int least_side = 16;
  if (const int chosen = wanted_side) return chosen;
  int side = tile_side;
  if (!group.parallel) return side;
  const int64_t wanted = tasks_per_thread * int64_t(torch::stable::get_num_threads());
  while (side > least_side && group.count * tiles_of(p, side) < wanted) side /= 2;
  return side;
}

// `list` holds an index for each face, `keys` a key.
template <typename T>
Drawing<T> prepare_drawing(const Forward<T>& f, const Group& group, int64_t image, bool parallel, Face<T>* faces,
                           int32_t* list, int32_t* keys) {
  const Parameters<T>& p = f.parameters;
  const int64_t first = first_face_of(p, image), count = mesh_faces(p, image);
  const Ranges ranges(count);
  std::vector<FaceSizes> each(size_t(ranges.count));
  for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
    const int64_t begin = ranges.begin(range);
    each[size_t(range)] =
        kernels<T>().forward.setup(f, first + begin, first + ranges.end(range), faces + begin, keys + begin);
  });
  FaceSizes sizes = {0, 0};
  for (const FaceSizes& some : each) sizes.add(some);
  if (!sizes.wider_than(wide_forward)) {
    return {{faces, keys, nullptr, count, false, 0, T(0)}, sort_into_tiles(faces, ranges, p.height, p.width, parallel)};
  }
  const int64_t some = sort_near_first(faces, ranges, parallel, list);
  return {{faces, keys, list, some, true, 0, T(0)},
          sort_into_tiles(faces, Ranges(some), p.height, p.width, parallel, list, wide_side(p, group))};
}

// The pixels of the boxes of faces inside of a tile.
template <typename T>
int64_t pixels_within(const FaceList<T>& list, Tile tile) {
  int64_t pixels = 0;
  for (int64_t i = 0; i < list.count; ++i) {
    const Face<T>& face = list.faces[list.list ? list.list[i] : i];
    const int left = std::max(int(face.first_column), tile.first_column);
    const int right = std::min(int(face.end_column), tile.end_column);
    const int top = std::max(int(face.first_row), tile.first_row), bottom = std::min(int(face.end_row), tile.end_row);
    pixels += int64_t(std::max(right - left, 0)) * std::max(bottom - top, 0);
  }
  return pixels;
}

template <typename T>
void forward_group(const Forward<T>& f, const Group& group) {
  const Parameters<T>& p = f.parameters;
  const ForwardKernels<T>& k = kernels<T>().forward;
  const GroupFaces<T> all(group, p);
  std::vector<Drawing<T>> drawings(size_t(group.count), {{}, Bins(tile_side, p.height, p.width)});
  // Threads share large meshes, and take small ones one by one.
  const bool share = group.parallel && all.begin.back() > group.count * Ranges(0).size;
  for_each<char>(group.count, group.parallel && !share, 0, [&](int64_t i, char*) {
    drawings[size_t(i)] = prepare_drawing(f, group, group.first + i, share, all.of(i), all.list(i), all.keys(i));
  });
  if (p.color == Color::hard) see_images(f, group.first, group.first + group.count, group.parallel);
  int widest = 0;
  for (const Drawing<T>& drawing : drawings) widest = std::max(widest, drawing.bins.side);
  const int64_t scratch_size = k.scratch_size(p, std::min(widest, p.width), std::min(widest, p.height));
  const auto tiles = offsets_of(group, [&](int64_t image) {
    return drawings[size_t(image - group.first)].bins.count();
  });
  for_each_task<T>(group, tiles, scratch_size, [&](int64_t i, int64_t tile, T* scratch) {
    const Drawing<T>& drawing = drawings[size_t(i)];
    const FaceList<T> list = drawing.at(tile);
    const Tile pixels = drawing.bins.tile(tile, p.height, p.width);
    work_of_tasks.add([&] { return pixels_within(list, pixels); });
    k.render(f, group.first + i, list, pixels, scratch);
  });
}

template <typename T>
void forward_cpu(const Forward<T>& f) {
  for_each_group(f.parameters, [&](const Group& group) { forward_group(f, group); });
}

// ---- backward --------------------------------------------------------------------------------------

constexpr int rows_per_task = 32;
constexpr int64_t faces_per_block = 1024;  // sorted together: neighbours in the mesh share pixels
// A task has about this many pixels of faces. A face that has more is cut into parts of whole rows; how, depends on its
// box alone, and the sums of the parts are added in order, so the bits do not depend on threads.
constexpr int64_t pixels_per_task = 4096;

// Faces [begin, end) of an image, and their number among the blocks of a group.
struct Block {
  size_t number;
  int64_t begin, end;
};

template <typename T>
struct BlockSizes {
  FaceSizes sizes;
  T depths;  // see FaceList
};

// Faces of one image, or a part of one face.
template <typename T>
struct GatherTask {
  FaceList<T> list;
  int part, parts;  // parts is 0 for whole faces
};

// Into how many parts a face is cut, from its key.
template <typename T>
int parts_of(const Face<T>& face, int32_t key) {
  const int parts = int((key / 2 + pixels_per_task - 1) / pixels_per_task);
  return parts > 1 ? std::min(parts, int(face.end_row - face.first_row)) : 1;
}

// The tasks of a list of faces, in order, with about `most` pixels each. Small faces stay together in whole packs, however
// many lanes there are.
template <typename T>
void plan_tasks(const FaceList<T>& all, int64_t most, std::vector<GatherTask<T>>& tasks) {
  constexpr int64_t widest = 16;
  const auto some_of = [&](int64_t begin, int64_t end) {
    const int64_t small = std::clamp<int64_t>(all.small - begin, 0, end - begin);
    return FaceList<T>{all.faces, all.keys, all.list + begin, end - begin, all.wide, small, all.depths};
  };
  int64_t begin = 0, pixels = 0;
  const auto close = [&](int64_t end) {
    if (begin < end) tasks.push_back({some_of(begin, end), 0, 0});
    begin = end;
    pixels = 0;
  };
  for (int64_t i = 0; i < all.count; ++i) {
    const int32_t key = all.keys[all.list[i]];
    if (pixels >= most && (i >= all.small || i % widest == 0)) close(i);
    const int parts = key / 2 > pixels_per_task ? parts_of(all.faces[all.list[i]], key) : 1;
    pixels += key / 2;
    if (parts == 1) continue;
    close(i);
    for (int part = 0; part < parts; ++part) tasks.push_back({some_of(i, i + 1), part, parts});
    begin = i + 1;
  }
  close(all.count);
}

// Clear the gradient of a face, which no other kernel writes, or which the sums of parts are added to; of texels the gather
// writes only those that a pixel shows.
template <typename T>
void clear_gradient(const Backward<T>& b, int64_t face, bool texture) {
  std::fill_n(b.grad_face_vertices + 9 * face, 9, T(0));
  const int64_t numbers = texture && b.grad_face_textures ? texture_numbers(b.parameters) : 0;
  std::fill_n(b.grad_face_textures + numbers * face, numbers, T(0));
}

// Prepare faces [begin, end) of an image and their keys, and clear the gradients that are not written as a whole.
template <typename T>
BlockSizes<T> prepare_block(const Backward<T>& b, int64_t image, int64_t begin, int64_t end, Face<T>* faces,
                            int32_t* keys) {
  const Parameters<T>& p = b.parameters;
  const int64_t start = first_face_of(p, image), count = end - begin;
  const FaceSizes sizes = kernels<T>().backward.setup(b, start + begin, start + end, faces + begin, keys + begin);
  const bool texels = b.grad_face_textures && p.texture == Texture::surface;
  WeightRange<T> weights;
  for (int64_t f = begin; f < end; ++f) {
    const bool drawn = KeyClasses::has_pixels(keys[f]);
    if (drawn) weights.add(faces[f]);
    if (!drawn || keys[f] / 2 > pixels_per_task) clear_gradient(b, start + f, !texels);
  }
  if (texels) {
    const int64_t numbers = texture_numbers(p);
    std::fill_n(b.grad_face_textures + numbers * (start + begin), numbers * count, T(0));
  }
  return {sizes, weights.depths()};
}

template <typename T>
void gather_task(const Backward<T>& b, int64_t image, const GatherTask<T>& task, const T* pixels, T* partial) {
  const BackwardKernels<T>& k = kernels<T>().backward;
  if (task.parts == 0) {
    work_of_tasks.add([&] { return pixels_within(task.list, {0, b.parameters.width, 0, b.parameters.height}); });
    return k.gather(b, image, task.list, pixels);
  }
  const Face<T>& face = task.list.faces[task.list.list[0]];
  work_of_tasks.add([&] { return box_pixels(face) / task.parts; });
  const int64_t top = face.first_row, rows = face.end_row - face.first_row;
  const int begin = int(top + rows * task.part / task.parts), end = int(top + rows * (task.part + 1) / task.parts);
  k.gather_part(b, image, task.list, begin, end, pixels, partial);
}

// Add the sums of the parts of a face in order.
template <typename T>
void add_part(const Backward<T>& b, int64_t image, const GatherTask<T>& task, const T* partial) {
  const int64_t face = first_face_of(b.parameters, image) + task.list.list[0];
  for (int k = 0; k < 9; ++k) b.grad_face_vertices[9 * face + k] += partial[k];
  const int64_t numbers = b.grad_face_textures ? texture_numbers(b.parameters) : 0;
  for (int64_t k = 0; k < numbers; ++k) b.grad_face_textures[numbers * face + k] += partial[9 + k];
}

// Gather what is planned for the blocks of a group.
template <typename T, typename Pixels>
void gather_planned(const Backward<T>& b, const Group& group, const std::vector<int64_t>& blocks,
                    const std::vector<std::vector<GatherTask<T>>>& planned, const Pixels& pixels_of_image) {
  struct Item {
    int64_t image;  // place in the group
    const GatherTask<T>* task;
    int64_t partial;  // which of the parts
  };
  std::vector<Item> items;
  int64_t parts = 0;
  for (int64_t i = 0; i < group.count; ++i) {
    for (int64_t block = blocks[size_t(i)]; block < blocks[size_t(i + 1)]; ++block) {
      for (const GatherTask<T>& task : planned[size_t(block)]) {
        items.push_back({i, &task, parts});
        parts += task.parts > 0 ? 1 : 0;
      }
    }
  }
  const int64_t numbers = 9 + (b.grad_face_textures ? texture_numbers(b.parameters) : 0);
  std::vector<T> partials(size_t(parts * numbers));
  const auto partial_of = [&](const Item& item) { return partials.data() + item.partial * numbers; };
  for_each<char>(int64_t(items.size()), group.parallel, 0, [&](int64_t i, char*) {
    const Item& item = items[size_t(i)];
    gather_task(b, group.first + item.image, *item.task, pixels_of_image(item.image), partial_of(item));
  });
  for (const Item& item : items) {
    if (item.task->parts > 0) add_part(b, group.first + item.image, *item.task, partial_of(item));
  }
}

template <typename T>
void backward_group(const Backward<T>& b, const Group& group) {
  const Parameters<T>& p = b.parameters;
  const BackwardKernels<T>& k = kernels<T>().backward;
  const GroupFaces<T> all(group, p);
  const auto blocks = offsets_of(group, [&](int64_t image) {
    return (mesh_faces(p, image) + faces_per_block - 1) / faces_per_block;
  });
  const auto block_of = [&](int64_t i, int64_t block) {
    return Block{size_t(blocks[size_t(i)] + block), block * faces_per_block,
                 std::min((block + 1) * faces_per_block, all.count(i))};
  };
  std::vector<BlockSizes<T>> sizes(size_t(blocks.back()));
  for_each_task<char>(group, blocks, 0, [&](int64_t i, int64_t task, char*) {
    const Block block = block_of(i, task);
    sizes[block.number] = prepare_block(b, group.first + i, block.begin, block.end, all.of(i), all.keys(i));
  });
  std::vector<FaceSizes> images(size_t(group.count), {0, 0});
  for (int64_t i = 0; i < group.count; ++i) {
    for (int64_t block = blocks[size_t(i)]; block < blocks[size_t(i + 1)]; ++block) {
      images[size_t(i)].add(sizes[size_t(block)].sizes);
    }
  }
  const int64_t size = k.pixels_size(p);
  const Scratch pixels(sizeof(T) * size_t(group.count * size));
  const auto pixels_of_image = [&](int64_t i) { return pixels.get<T>() + i * size; };
  const auto rows = offsets_of(group, [&](int64_t) { return (p.height + rows_per_task - 1) / rows_per_task; });
  for_each_task<char>(group, rows, 0, [&](int64_t i, int64_t task, char*) {
    const int begin = int(task) * rows_per_task, end = std::min(begin + rows_per_task, p.height);
    k.lay_out(b, group.first + i, begin, end, images[size_t(i)].wider_than(wide_backward), pixels_of_image(i));
  });
  std::vector<std::vector<GatherTask<T>>> planned(size_t(blocks.back()));
  for_each_task<char>(group, blocks, 0, [&](int64_t i, int64_t task, char*) {
    const Block block = block_of(i, task);
    const bool wide = images[size_t(i)].wider_than(wide_backward);
    int32_t* list = all.list(i) + block.begin;
    const T depths = sizes[block.number].depths;
    const FaceList<T> sorted = sort_by_keys(all.of(i), all.keys(i), block.begin, block.end, wide, depths, list);
    plan_tasks(sorted, group.parallel ? pixels_per_task : INT64_MAX, planned[block.number]);
  });
  gather_planned(b, group, blocks, planned, pixels_of_image);
}

template <typename T>
void backward_cpu(const Backward<T>& b) {
  for_each_group(b.parameters, [&](const Group& group) { backward_group(b, group); });
}

// ---- ops -------------------------------------------------------------------------------------------

struct CpuBackEnd {
  template <typename T> static void forward(const Forward<T>& f, const Tensor&) { forward_cpu(f); }
  template <typename T> static void backward(const Backward<T>& b, const Tensor&) { backward_cpu(b); }
};

}  // namespace
}  // namespace renderer

// For the report of `python -m renderer_cuda`.
extern "C" __attribute__((visibility("default"))) const char* renderer_cuda_instruction_set() {
  return renderer::name_of(renderer::instruction_set());
}

// For tests: the side of tiles in pixels from now on, or 0 for what suits the threads.
extern "C" __attribute__((visibility("default"))) void renderer_cuda_use_tiles(int side) { renderer::wanted_side = side; }

// For tests: start counting what the tasks of the CPU work on, or stop it and write the total and the most of one task.
extern "C" __attribute__((visibility("default"))) void renderer_cuda_count_work(int64_t* result) {
  renderer::Work& work = renderer::work_of_tasks;
  work.counted = result == nullptr;
  const int64_t total = work.total.exchange(0), most = work.most.exchange(0);
  if (result) {
    result[0] = total;
    result[1] = most;
  }
}

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "rasterize_ops.h"
