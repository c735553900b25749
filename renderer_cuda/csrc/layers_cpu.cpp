// The CPU back end of layered colours and of blends: which images, tiles and faces at once, and the layers of each pixel.
//
// The faces of a tile are evaluated one after the other. Layers: this gives fragments; those of a pixel are sorted and
// composed. The backward does the same again, notes what comes back to each fragment, and then each face gathers from its own.
// Blends need no order, so that nothing is held of a face at a pixel, and in the backward each face gathers from its pixels.
// Results do not depend on the threads.
#include "layers_cpu.h"

#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "blends_cpu.h"
#include "processor.h"
#include "threads.h"
#include "tiles_cpu.h"

namespace renderer {

// ---- memory of fragments ---------------------------------------------------------------------------

namespace {

template <typename N>
void resize(N*& numbers, int64_t count) {
  void* memory = std::realloc(static_cast<void*>(numbers), sizeof(N) * size_t(std::max<int64_t>(count, 1)));
  if (!memory) throw std::bad_alloc();
  numbers = static_cast<N*>(memory);
}

template <typename N>
void release(N*& numbers) {
  std::free(static_cast<void*>(numbers));
  numbers = nullptr;
}

}  // namespace

template <typename T>
Fragments<T>::~Fragments() {
  release(pixel);
  release(layer);
  release(share);
  release(opacity);
}

template <typename T>
void Fragments<T>::grow(int64_t least) {
  const int64_t room = std::max(least, room_ + room_ / 2);
  resize(pixel, room);
  resize(layer, room);
  room_ = room;
}

template <typename T>
void Fragments<T>::make_room_for_upstream() {
  resize(share, count);
  resize(opacity, count);
}

template <typename T>
void Fragments<T>::drop_layers() {
  release(layer);
  resize(pixel, count);
  room_ = count;
}

template class Fragments<float>;
template class Fragments<double>;

namespace {

using torch::stable::Tensor;

template <typename T>
struct Kernels {
  const LayerKernels<T>& layers;
  const BlendKernels<T>& blends;
};

template <typename T> const Kernels<T>& kernels();
#define RENDERER_CHOOSE_KERNELS(T)                                                                            \
  template <> const Kernels<T>& kernels() {                                                                   \
    static const Kernels<T> chosen = {RENDERER_CALL_BEST(T##_layers), RENDERER_CALL_BEST(T##_blends)};        \
    return chosen;                                                                                            \
  }
RENDERER_CHOOSE_KERNELS(float)
RENDERER_CHOOSE_KERNELS(double)

// ---- the layers of pixels --------------------------------------------------------------------------

// The fragments of the pixels of a tile: those of pixel i are order[begin[i]], ..., order[begin[i + 1] - 1], near ones first.
struct Layering {
  Tile tile;
  std::vector<int64_t> begin;
  std::vector<int32_t> order;
};

template <typename T>
Layering sort_fragments(const Fragments<T>& fragments, Tile tile) {
  const int64_t pixels = int64_t(tile.columns()) * tile.rows();
  Layering out = {tile, std::vector<int64_t>(size_t(pixels + 1)), std::vector<int32_t>(size_t(fragments.count))};
  const auto place = [&](int64_t i) {
    const int row = int(fragments.pixel[i] >> 16), column = int(fragments.pixel[i] & 0xffff);
    return size_t(row - tile.first_row) * size_t(tile.columns()) + size_t(column - tile.first_column);
  };
  for (int64_t i = 0; i < fragments.count; ++i) ++out.begin[place(i) + 1];
  for (size_t i = 0; i < size_t(pixels); ++i) out.begin[i + 1] += out.begin[i];
  std::vector<int64_t> next(out.begin.begin(), out.begin.end() - 1);
  for (int64_t i = 0; i < fragments.count; ++i) out.order[size_t(next[place(i)]++)] = int32_t(i);
  std::vector<T> keys(size_t(fragments.count));
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = fragments.layer[i].key;
  std::vector<int32_t> spare(size_t(fragments.count));
  for (size_t i = 0; i < size_t(pixels); ++i) {
    const int64_t begin = out.begin[i];
    sort_by_key(out.order.data() + begin, spare.data() + begin, out.begin[i + 1] - begin, keys.data());
  }
  return out;
}

// Call visit(number of the pixel in the image, its fragments, how many) for the pixels of a tile.
template <typename Visit>
void for_each_pixel(const Layering& layering, int width, const Visit& visit) {
  const Tile& tile = layering.tile;
  size_t i = 0;
  for (int y = tile.first_row; y < tile.end_row; ++y) {
    for (int x = tile.first_column; x < tile.end_column; ++x, ++i) {
      const int64_t begin = layering.begin[i];
      visit(int64_t(y) * width + x, layering.order.data() + begin, layering.begin[i + 1] - begin);
    }
  }
}

template <typename T>
void compose(const LayersForward<T>& f, int64_t image, const Fragments<T>& fragments, const Layering& layering) {
  const LayerParameters<T>& p = f.parameters;
  for_each_pixel(layering, p.width, [&](int64_t pixel, const int32_t* order, int64_t count) {
    LayerSum<T> sum = {T(1), {T(0), T(0), T(0)}};
    for (int64_t i = 0; i < count && !(sum.transmittance < p.stop_transmittance); ++i) {
      const auto& layer = fragments.layer[order[i]];
      add_layer(sum, layer.opacity, layer.through, layer.color);
    }
    write_pixel(f, sum, image, pixel);
  });
}

// Note what comes back to each fragment: forwards its transmittance, then backwards the rest.
template <typename T>
void compose_vjp(const LayersBackward<T>& b, int64_t image, Fragments<T>& fragments, const Layering& layering) {
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  fragments.make_room_for_upstream();
  for_each_pixel(layering, p.width, [&](int64_t pixel, const int32_t* order, int64_t count) {
    T transmittance(1);
    int64_t seen = 0;
    for (; seen < count && !(transmittance < p.stop_transmittance); ++seen) {
      fragments.share[order[seen]] = transmittance;
      transmittance *= fragments.layer[order[seen]].through;
    }
    for (int64_t i = seen; i < count; ++i) fragments.share[order[i]] = fragments.opacity[order[i]] = T(0);
    T grad[4], behind(0);
    gradient_at(b, image, pixel, grad);
    for (int k = 0; k < 3; ++k) behind += grad[k] * background_at(f, image, k, pixel);
    for (int64_t i = seen - 1; i >= 0; --i) {
      const auto& layer = fragments.layer[order[i]];
      const T value = value_of(grad, layer.color), before = fragments.share[order[i]];
      fragments.opacity[order[i]] = opacity_gradient(before, layer.opacity, layer.through, value, behind);
      fragments.share[order[i]] = before * layer.opacity;
    }
  });
}

// ---- images ----------------------------------------------------------------------------------------

// An image, its prepared faces, and the tiles they are sorted into.
template <typename T>
struct LayeredImage {
  int64_t image, first_face, count;
  std::vector<Face<T>> faces;
  Bins bins;

  bool single() const { return bins.count() == 1; }
  int64_t entries_begin(int64_t tile) const { return single() ? 0 : bins.first[size_t(tile)]; }
  int64_t entries(int64_t tile) const { return single() ? count : bins.first[size_t(tile + 1)] - entries_begin(tile); }
  const int32_t* list(int64_t tile) const { return single() ? nullptr : bins.list.data() + entries_begin(tile); }
};

template <typename T>
std::vector<Face<T>> prepare_faces(const LayersForward<T>& f, int64_t image, bool parallel) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t first = first_face_of(p, image), count = mesh_faces(p, image);
  std::vector<Face<T>> faces((size_t(count)));
  const Ranges ranges(count);
  const auto setup = p.over ? kernels<T>().layers.setup : kernels<T>().blends.setup;
  for_each<char>(ranges.count, parallel, 0, [&](int64_t range, char*) {
    const int64_t begin = ranges.begin(range);
    setup(f, first + begin, first + ranges.end(range), faces.data() + begin);
  });
  return faces;
}

template <typename T>
LayeredImage<T> prepare_image(const LayersForward<T>& f, int64_t image, bool parallel) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t count = mesh_faces(p, image);
  LayeredImage<T> out = {image, first_face_of(p, image), count, prepare_faces(f, image, parallel),
                         Bins(1, p.height, p.width)};
  out.bins = sort_into_tiles(out.faces.data(), Ranges(count), p.height, p.width, parallel);
  return out;
}

// Collect and sort the fragments of a tile; `first` has a place for each entry of the tile and one more.
template <typename T>
Layering collect_tile(const LayersForward<T>& f, const LayeredImage<T>& m, int64_t tile, Fragments<T>& fragments,
                      std::vector<int64_t>& first) {
  const LayerParameters<T>& p = f.parameters;
  const Tile area = m.bins.tile(tile, p.height, p.width);
  first.resize(size_t(m.entries(tile) + 1));
  kernels<T>().layers.collect(f, m.image, m.faces.data(), m.list(tile), m.entries(tile), area, fragments, first.data());
  return sort_fragments(fragments, area);
}

// ---- layers of images ------------------------------------------------------------------------------

template <typename T>
void render_layers(const LayersForward<T>& f, int64_t image, bool parallel) {
  const LayeredImage<T> m = prepare_image(f, image, parallel);
  for_each<char>(m.bins.count(), parallel, 0, [&](int64_t tile, char*) {
    Fragments<T> fragments;
    std::vector<int64_t> first;
    const Layering layering = collect_tile(f, m, tile, fragments, first);
    compose(f, image, fragments, layering);
  });
}

// The fragments of all tiles, and where those of each face are.
template <typename T>
struct ImageFragments {
  std::vector<Fragments<T>> tiles;
  std::vector<std::vector<int64_t>> first;  // of each entry of a tile

  explicit ImageFragments(int64_t count) : tiles(size_t(count)), first(size_t(count)) {}

  FragmentRun<T> run(int64_t tile, int64_t entry) const {
    const Fragments<T>& t = tiles[size_t(tile)];
    const int64_t begin = first[size_t(tile)][size_t(entry)], end = first[size_t(tile)][size_t(entry + 1)];
    return {t.pixel + begin, t.share + begin, t.opacity + begin, end - begin};
  }
};

// The runs of each face that has fragments, tiles ascending: those of face i are from begin[i] on.
template <typename T>
struct Runs {
  std::vector<int64_t> begin;
  std::vector<FragmentRun<T>> runs;
};

template <typename T>
Runs<T> find_runs(const LayeredImage<T>& m, const ImageFragments<T>& fragments) {
  Runs<T> out = {std::vector<int64_t>(size_t(m.count + 1)), {}};
  const auto visit_runs = [&](const auto& visit) {
    for (int64_t tile = 0; tile < m.bins.count(); ++tile) {
      const int32_t* list = m.list(tile);
      for (int64_t entry = 0; entry < m.entries(tile); ++entry) {
        const FragmentRun<T> run = fragments.run(tile, entry);
        if (run.count > 0) visit(size_t(list ? list[entry] : entry), run);
      }
    }
  };
  visit_runs([&](size_t face, const FragmentRun<T>&) { ++out.begin[face + 1]; });
  for (size_t face = 0; face < size_t(m.count); ++face) out.begin[face + 1] += out.begin[face];
  out.runs.resize(size_t(out.begin.back()));
  std::vector<int64_t> next(out.begin.begin(), out.begin.end() - 1);
  visit_runs([&](size_t face, const FragmentRun<T>& run) { out.runs[size_t(next[face]++)] = run; });
  return out;
}

constexpr int64_t faces_per_task = 256;
inline int64_t gather_tasks(int64_t faces) { return (faces + faces_per_task - 1) / faces_per_task; }

template <typename T>
void render_layers_vjp(const LayersBackward<T>& b, int64_t image, bool parallel) {
  const LayeredImage<T> m = prepare_image(b.forward, image, parallel);
  ImageFragments<T> fragments(m.bins.count());
  for_each<char>(m.bins.count(), parallel, 0, [&](int64_t tile, char*) {
    Fragments<T>& mine = fragments.tiles[size_t(tile)];
    const Layering layering = collect_tile(b.forward, m, tile, mine, fragments.first[size_t(tile)]);
    compose_vjp(b, image, mine, layering);
    mine.drop_layers();
  });
  const Runs<T> runs = find_runs(m, fragments);
  for_each<char>(gather_tasks(m.count), parallel, 0, [&](int64_t task, char*) {
    for (int64_t i = task * faces_per_task; i < std::min(m.count, (task + 1) * faces_per_task); ++i) {
      const size_t face = size_t(i);
      const int64_t begin = runs.begin[face];
      kernels<T>().layers.gather(b, image, m.first_face + i, m.faces[face], runs.runs.data() + begin, runs.begin[face + 1] - begin);
    }
  });
}

// ---- blends of images ------------------------------------------------------------------------------

template <typename T>
void render_blends(const LayersForward<T>& f, int64_t image, bool parallel) {
  const LayerParameters<T>& p = f.parameters;
  const LayeredImage<T> m = prepare_image(f, image, parallel);
  const int64_t most = int64_t(std::min(m.bins.side, p.width)) * std::min(m.bins.side, p.height);
  for_each<Blended<T>>(m.bins.count(), parallel, most, [&](int64_t tile, Blended<T>* scratch) {
    const TileFaces<T> faces = {m.faces.data(), m.list(tile), m.entries(tile)};
    kernels<T>().blends.render(f, image, faces, m.bins.tile(tile, p.height, p.width), scratch);
  });
}

template <typename T>
void render_blends_vjp(const LayersBackward<T>& b, int64_t image, bool parallel) {
  const LayerParameters<T>& p = b.forward.parameters;
  const BlendKernels<T>& k = kernels<T>().blends;
  const std::vector<Face<T>> faces = prepare_faces(b.forward, image, parallel);
  const int64_t count = int64_t(faces.size());
  const Scratch rows(sizeof(T) * size_t(int64_t(p.height) * p.width * blend_row_size(p)));
  constexpr int rows_per_task = 32;
  for_each<char>((p.height + rows_per_task - 1) / rows_per_task, parallel, 0, [&](int64_t task, char*) {
    const int begin = int(task) * rows_per_task;
    k.lay_out(b, image, begin, std::min(p.height, begin + rows_per_task), rows.get<T>());
  });
  for_each<char>(gather_tasks(count), parallel, 0, [&](int64_t task, char*) {
    const int64_t begin = task * faces_per_task;
    k.gather(b, image, faces.data(), begin, std::min(count, begin + faces_per_task), rows.get<T>());
  });
}

// ---- ops -------------------------------------------------------------------------------------------

template <typename Call, typename Work>
void for_each_image(const Call& parameters, const Work& work) {
  const bool whole_images = images_fill_threads(parameters.images);
  for_each<char>(parameters.images, whole_images, 0, [&](int64_t image, char*) { work(image, !whole_images); });
}

struct CpuBackEnd {
  template <typename T>
  static void forward(const LayersForward<T>& f, const Tensor&) {
    for_each_image(f.parameters, [&](int64_t image, bool parallel) {
      f.parameters.over ? render_layers(f, image, parallel) : render_blends(f, image, parallel);
    });
  }
  template <typename T>
  static void backward(const LayersBackward<T>& b, const Tensor&) {
    for_each_image(b.forward.parameters, [&](int64_t image, bool parallel) {
      b.forward.parameters.over ? render_layers_vjp(b, image, parallel) : render_blends_vjp(b, image, parallel);
    });
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CpuBackEnd
#define RENDERER_DISPATCH_KEY CPU
#include "layers_ops.h"
