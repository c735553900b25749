// The CPU back end: loops over faces, rows and packs of pixels around the mathematics of fragment.h.
//
// This file is compiled once for each instruction set, with INSTRUCTION_SET naming it. All is in an
// anonymous namespace and nothing of the standard library is instantiated, so that no function made
// for a newer processor can be linked into code for an older one.
#include "rasterize_cpu.h"

namespace renderer {
namespace {

template <typename T> struct Lanes;
template <> struct Lanes<float> { static constexpr int count = 8; };
template <> struct Lanes<double> { static constexpr int count = 4; };
template <typename T> using Real = Pack<T, Lanes<T>::count>;

// A Real holds a block of pixels, two rows of block_columns: most faces of a mesh are a few pixels
// wide, and a block wastes fewer lanes on them than a longer run within one row.
constexpr int block_rows = 2;
template <typename T> constexpr int block_columns = Lanes<T>::count / block_rows;

template <typename T>
HOST_DEVICE Real<T> block_x(Centers<T> centers, int x) {
  return Real<T>::load(centers.x + x, centers.x + x);
}
template <typename T>
HOST_DEVICE Real<T> block_y(Centers<T> centers, int y) {
  const typename Real<T>::Half zero = {};
  return Real<T>::join(centers.y[y] - zero, centers.y[y + 1] - zero);
}

constexpr int opacity_channels = 2;  // linear, product
constexpr int color_channels = 5;    // peak, partition | depth, index; then RGB

constexpr int channels_of(Color mode) {
  return opacity_channels + (mode == Color::none ? 0 : color_channels);
}

// ---- set-up ----------------------------------------------------------------------------------------

// Prepare `count` faces, at most as many as a Real has lanes.
template <typename T>
HOST_DEVICE void setup_group(const T* face_vertices, int count, const Parameters<T>& p, Face<T>* out) {
  using R = Real<T>;
  constexpr int lanes = Lanes<T>::count;
  R corners[9];
  for (int i = 0; i < 9; ++i) {
    for (int lane = 0; lane < lanes; ++lane) {
      corners[i].v[lane] = lane < count ? face_vertices[9 * lane + i] : T(0);  // zeros: not drawable
    }
  }
  const Prepared<R> f = prepare<R>(corners, p);
  for (int lane = 0; lane < count; ++lane) take_face(f, lane, out[lane]);
}

template <typename T>
void setup(const T* face_vertices, const Parameters<T>& p, int64_t begin, int64_t end, Face<T>* out) {
  for (int64_t f = begin; f < end; f += Lanes<T>::count) {
    const int count = end - f < Lanes<T>::count ? int(end - f) : Lanes<T>::count;
    setup_group(face_vertices + 9 * f, count, p, out + (f - begin));
  }
}

// ---- forward ---------------------------------------------------------------------------------------

// The running state of the pixels of a tile, channel after channel within each row. Rows and columns
// are padded, so that a block may reach over the right and lower border.
template <typename T>
struct Canvas {
  T* data;
  int stride, channels;
  T* at(int row, int channel) const { return data + (int64_t(row) * channels + channel) * stride; }
  int64_t row_size() const { return int64_t(channels) * stride; }
};

template <typename T>
int64_t forward_scratch(Color mode, int columns, int rows) {
  return int64_t(channels_of(mode)) * (columns + Lanes<T>::count) * (rows + block_rows);
}

// The nearest face so far, as the hard colour keeps it.
template <typename T>
struct Nearest {
  Real<T> depth;
  typename Real<T>::IntVector index;
  Real<T> color[3];
};

template <typename T>
HOST_DEVICE void accumulate(Nearest<T>& nearest, int32_t index, const Face<T>& face, const T* textures,
                            const Coverage<Real<T>>& c, const Parameters<T>& p) {
  const Surface<Real<T>> s = surface_at(face, c);
  const auto closer = contains(c, s, p) & (s.depth < nearest.depth);
  if (!any(closer)) return;
  nearest.depth = select(closer, s.depth, nearest.depth);
  const typename Real<T>::IntVector mine = typename Real<T>::Int(index) - typename Real<T>::IntVector{};
  nearest.index = closer.v ? mine : nearest.index;
  for (int k = 0; k < 3; ++k) {
    nearest.color[k] = select(closer, color_at(s, textures, k), nearest.color[k]);
  }
}

template <typename T>
void fill(T* row, int count, T value) {
  for (int i = 0; i < count; ++i) row[i] = value;
}

template <Color mode, typename T>
void clear(const Canvas<T>& canvas, int rows, const Parameters<T>& p, const T* background) {
  for (int row = 0; row < rows; ++row) {
    fill(canvas.at(row, 0), canvas.stride, T(0));
    fill(canvas.at(row, 1), canvas.stride, T(1));
    if (mode == Color::none) continue;
    const bool soft = mode == Color::softmax;
    fill(canvas.at(row, 2), canvas.stride, soft ? p.background_logit : Limits<T>::largest);
    if (soft) {
      fill(canvas.at(row, 3), canvas.stride, T(1));
    } else {
      auto* index = reinterpret_cast<typename Real<T>::Int*>(canvas.at(row, 3));
      for (int i = 0; i < canvas.stride; ++i) index[i] = -1;
    }
    for (int k = 0; k < 3; ++k) fill(canvas.at(row, 4 + k), canvas.stride, background[k]);
  }
}

// The channels of one block of the canvas.
template <typename T>
struct Cell {
  T *upper, *lower;
  int stride;
  HOST_DEVICE Real<T> load(int channel) const {
    return Real<T>::load(upper + channel * stride, lower + channel * stride);
  }
  HOST_DEVICE void store(int channel, Real<T> value) const {
    value.store(upper + channel * stride, lower + channel * stride);
  }
};

// Let one face act on the pixels of one block.
template <Color mode, typename T>
HOST_DEVICE void draw_block(const Cell<T>& cell, int32_t index, const Face<T>& face, const T* textures,
                            Coverage<Real<T>>& c, const Parameters<T>& p) {
  using R = Real<T>;
  attenuate(c);
  Opacity<R> opacity = {cell.load(0), cell.load(1)};
  accumulate(opacity, c);
  cell.store(0, opacity.linear);
  cell.store(1, opacity.product);
  if (mode == Color::none || !(face.front || p.double_sided)) return;
  if (mode == Color::softmax) {
    Softmax<R> sum = {cell.load(2), cell.load(3), {cell.load(4), cell.load(5), cell.load(6)}};
    accumulate(sum, face, textures, c, p);
    cell.store(2, sum.peak);
    cell.store(3, sum.partition);
    for (int k = 0; k < 3; ++k) cell.store(4 + k, sum.color[k]);
  } else {
    Nearest<T> nearest;
    nearest.depth = cell.load(2);
    nearest.index = (typename R::IntVector)cell.load(3).v;
    for (int k = 0; k < 3; ++k) nearest.color[k] = cell.load(4 + k);
    accumulate(nearest, index, face, textures, c, p);
    cell.store(2, nearest.depth);
    cell.store(3, R((typename R::Vector)nearest.index));
    for (int k = 0; k < 3; ++k) cell.store(4 + k, nearest.color[k]);
  }
}

template <Color mode, typename T>
void draw_face(const Canvas<T>& canvas, Tile tile, int32_t index, const Face<T>& face,
               const T* textures, Centers<T> centers, const Parameters<T>& p) {
  const int left = face.first_column > tile.first_column ? face.first_column : tile.first_column;
  const int right = face.end_column < tile.end_column ? face.end_column : tile.end_column;
  const int top = face.first_row > tile.first_row ? face.first_row : tile.first_row;
  const int bottom = face.end_row < tile.end_row ? face.end_row : tile.end_row;
  for (int y = top; y < bottom; y += block_rows) {
    const Real<T> center_y = block_y(centers, y);
    for (int x = left; x < right; x += block_columns<T>) {
      auto c = cover(face, p, block_x(centers, x), center_y);
      if (!any(c.support)) continue;
      T* upper = canvas.at(y - tile.first_row, 0) + (x - tile.first_column);
      const Cell<T> cell = {upper, upper + canvas.row_size(), canvas.stride};
      draw_block<mode>(cell, index, face, textures, c, p);
    }
  }
}

// Copy the lanes of a pack that lie inside of the tile.
template <typename T>
HOST_DEVICE void put(Real<T> value, T* address, int count) {
  if (count >= Lanes<T>::count) return value.store(address);
  T part[Lanes<T>::count];
  value.store(part);
  for (int i = 0; i < count; ++i) address[i] = part[i];
}

template <Color mode, typename T>
void finish_pack(const Canvas<T>& canvas, int row, int x, int64_t pixel, int64_t image, int count,
                 const Forward<T>& f) {
  using R = Real<T>;
  const int64_t plane = int64_t(f.parameters.height) * f.parameters.width;
  const T* at = canvas.at(row, 0) + x;
  const int stride = canvas.stride;
  const Opacity<R> opacity = {R::load(at), R::load(at + stride)};
  put(transmittance_of(opacity), f.transmittance + image * plane + pixel, count);
  T* out = f.image + (mode == Color::none ? image : 4 * image) * plane + pixel;
  put(alpha_of(opacity), out + (mode == Color::none ? 0 : 3 * plane), count);
  if (mode == Color::none) return;
  at += 2 * stride;
  R scale(T(1));
  if (mode == Color::softmax) {
    const R partition = R::load(at + stride);
    put(R::load(at), f.peak + image * plane + pixel, count);
    put(partition, f.partition + image * plane + pixel, count);
    scale = R(T(1)) / partition;
  } else {
    const auto* index = reinterpret_cast<const typename Real<T>::Int*>(at + stride);
    for (int i = 0; i < count; ++i) f.nearest_face[image * plane + pixel + i] = int32_t(index[i]);
  }
  for (int k = 0; k < 3; ++k) put(R::load(at + (2 + k) * stride) * scale, out + k * plane, count);
}

template <Color mode, typename T>
void render_tile(const Forward<T>& f, int64_t image, const Face<T>* faces, const int32_t* list,
                 int64_t count, Tile tile, Centers<T> centers, T* scratch) {
  const Parameters<T>& p = f.parameters;
  const int columns = tile.end_column - tile.first_column, rows = tile.end_row - tile.first_row;
  const Canvas<T> canvas = {scratch, columns + Lanes<T>::count, channels_of(mode)};
  clear<mode>(canvas, rows + block_rows, p, f.background);
  const T* textures = mode == Color::none ? nullptr : f.face_textures + 9 * image * p.faces;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = list ? list[i] : i;
    const Face<T>& face = faces[index];
    if (face.empty()) continue;
    const T* corner_colors = mode == Color::none ? nullptr : textures + 9 * index;
    draw_face<mode>(canvas, tile, int32_t(index), face, corner_colors, centers, p);
  }
  for (int row = 0; row < rows; ++row) {
    const int64_t start = int64_t(tile.first_row + row) * p.width + tile.first_column;
    for (int x = 0; x < columns; x += Lanes<T>::count) {
      finish_pack<mode>(canvas, row, x, start + x, image, columns - x, f);
    }
  }
}

template <typename T>
void forward_tile(const Forward<T>& f, int64_t image, const Face<T>* faces, const int32_t* list,
                  int64_t count, Tile tile, Centers<T> centers, T* scratch) {
  switch (f.parameters.color) {
    case Color::none: return render_tile<Color::none>(f, image, faces, list, count, tile, centers, scratch);
    case Color::softmax: return render_tile<Color::softmax>(f, image, faces, list, count, tile, centers, scratch);
    case Color::hard: return render_tile<Color::hard>(f, image, faces, list, count, tile, centers, scratch);
  }
}

// ---- backward --------------------------------------------------------------------------------------

// What the backward reads of each pixel: planes [channel][H + padding][W + padding]; the padding is
// zero, so that lanes beyond the right and lower border add nothing.
enum Plane { alpha_plane, red_plane, mean_plane = 4, index_plane = 4, peak_plane, partition_plane };

constexpr int planes_of(Color mode) {
  return mode == Color::none ? 1 : mode == Color::hard ? 5 : 7;
}

template <typename T>
int64_t backward_scratch(Color mode, int width, int height) {
  return int64_t(planes_of(mode)) * (width + Lanes<T>::count) * (height + block_rows);
}

template <typename T>
void backward_planes(const Backward<T>& b, int64_t image, int begin, int end, T* planes) {
  const Parameters<T>& p = b.parameters;
  const Color mode = p.color;
  const int64_t size = int64_t(p.height) * p.width, stride = p.width + Lanes<T>::count;
  const int64_t first = image * size, rgba = (mode == Color::none ? 1 : 4) * first;
  const int64_t padded = stride * (p.height + block_rows);
  if (end == p.height) {
    for (int plane = 0; plane < planes_of(mode); ++plane) {
      fill(planes + plane * padded + stride * end, int(stride) * block_rows, T(0));
    }
  }
  for (int y = begin; y < end; ++y) {
    T* row = planes + y * stride;
    for (int plane = 0; plane < planes_of(mode); ++plane) {
      fill(row + plane * padded + p.width, Lanes<T>::count, T(0));
    }
    for (int x = 0; x < p.width; ++x) {
      const int64_t pixel = int64_t(y) * p.width + x;
      const T* grad = b.grad_image + rgba + pixel;
      T* out = row + x;
      out[0] = grad[mode == Color::none ? 0 : 3 * size] * b.transmittance[first + pixel];
      if (mode == Color::none) continue;
      T mean = T(0);
      for (int k = 0; k < 3; ++k) {
        out[(red_plane + k) * padded] = grad[k * size];
        mean += grad[k * size] * b.image[rgba + pixel + k * size];
      }
      if (mode == Color::softmax) {
        out[mean_plane * padded] = mean;
        out[peak_plane * padded] = b.peak[first + pixel];
        out[partition_plane * padded] = T(1) / b.partition[first + pixel];
      } else {
        // As integer bits, so that any index is exact.
        const typename Real<T>::Int index = b.nearest_face[first + pixel];
        __builtin_memcpy(out + index_plane * padded, &index, sizeof(index));
      }
    }
  }
}

template <Color mode, typename T>
HOST_DEVICE PixelGradient<Real<T>> load_pixel(const T* at, int64_t stride, int64_t plane, int64_t face) {
  using R = Real<T>;
  const auto load = [=](int index) {
    return R::load(at + index * plane, at + index * plane + stride);
  };
  PixelGradient<R> pixel;
  pixel.alpha = load(alpha_plane);
  if (mode == Color::none) return pixel;
  for (int k = 0; k < 3; ++k) pixel.color[k] = load(red_plane + k);
  if (mode == Color::softmax) {
    pixel.mean = load(mean_plane);
    pixel.peak = load(peak_plane);
    pixel.inverse_partition = load(partition_plane);
  } else {
    pixel.seen = {(typename R::IntVector)load(index_plane).v == typename R::Int(face)};
  }
  return pixel;
}

template <Color mode, typename T>
HOST_DEVICE void gather(FaceGradient<Real<T>>& gradient, const Face<T>& face, int64_t index, const T* textures,
            const Parameters<T>& p, Centers<T> centers, const T* planes) {
  const int64_t stride = p.width + Lanes<T>::count, plane = stride * (p.height + block_rows);
  for (int y = face.first_row; y < face.end_row; y += block_rows) {
    const Real<T> center_y = block_y(centers, y);
    for (int x = face.first_column; x < face.end_column; x += block_columns<T>) {
      auto c = cover(face, p, block_x(centers, x), center_y);
      if (!any(c.support)) continue;
      attenuate(c);
      const auto pixel = load_pixel<mode>(planes + y * stride + x, stride, plane, index);
      accumulate_gradient<mode>(gradient, face, textures, c, pixel, p);
    }
  }
}

template <Color mode, typename T>
HOST_DEVICE void write(const FaceGradient<Real<T>>& gradient, T* vertices, T* textures) {
  for (int k = 0; k < 3; ++k) {
    vertices[3 * k] = lane_sum(gradient.x[k]);
    vertices[3 * k + 1] = lane_sum(gradient.y[k]);
    vertices[3 * k + 2] = mode == Color::softmax ? lane_sum(gradient.z[k]) : T(0);
  }
  if (mode == Color::none) return;
  for (int k = 0; k < 9; ++k) textures[k] = lane_sum(gradient.texture[k]);
}

template <Color mode, typename T>
void gather_faces(const Backward<T>& b, int64_t image, int64_t begin, int64_t end,
                  Centers<T> centers, const T* planes) {
  constexpr int lanes = Lanes<T>::count;
  const Parameters<T>& p = b.parameters;
  Face<T> group[lanes];
  for (int64_t f = begin; f < end; ++f) {
    const int64_t at = 9 * (image * p.faces + f);
    const int member = int((f - begin) % lanes);
    if (member == 0) {
      setup_group(b.face_vertices + at, end - f < lanes ? int(end - f) : lanes, p, group);
    }
    const Face<T>& face = group[member];
    const T* textures = mode == Color::none ? nullptr : b.face_textures + at;
    T* grad_textures = mode == Color::none ? nullptr : b.grad_face_textures + at;
    FaceGradient<Real<T>> gradient;
    clear(gradient);
    if (!face.empty()) gather<mode>(gradient, face, f, textures, p, centers, planes);
    write<mode>(gradient, b.grad_face_vertices + at, grad_textures);
  }
}

template <typename T>
void backward_faces(const Backward<T>& b, int64_t image, int64_t begin, int64_t end,
                    Centers<T> centers, const T* planes) {
  switch (b.parameters.color) {
    case Color::none: return gather_faces<Color::none>(b, image, begin, end, centers, planes);
    case Color::softmax: return gather_faces<Color::softmax>(b, image, begin, end, centers, planes);
    case Color::hard: return gather_faces<Color::hard>(b, image, begin, end, centers, planes);
  }
}

template <typename T>
constexpr CpuKernels<T> kernels = {Lanes<T>::count,      setup<T>,           forward_tile<T>,
                                   forward_scratch<T>,   backward_planes<T>, backward_scratch<T>,
                                   backward_faces<T>};

}  // namespace

#define RENDERER_JOIN_(a, b) a##b
#define RENDERER_JOIN(a, b) RENDERER_JOIN_(a, b)
const CpuKernels<float>& RENDERER_JOIN(float_kernels_, INSTRUCTION_SET)() { return kernels<float>; }
const CpuKernels<double>& RENDERER_JOIN(double_kernels_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
