// The CPU's backward: each face gathers its gradient from its pixels and writes it once.
//
// Compiled once for each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#include "lanes.h"

namespace renderer {
namespace {

// ---- what is read of a pixel -----------------------------------------------------------------------

// Silhouettes read one number a pixel, see alpha_vjp; with colour the channels lie together. Rows are
// padded by zeros, so that lanes beyond the right border add nothing.
constexpr int color_channels = 8;
// Those of every_mode have another for what is kept of the state of alpha: the second of silhouettes, and with colour one
// which the mode leaves free.
enum Channel { alpha_channel, red_channel, mean_channel = 4, exponent_channel, partition_channel, face_channel };

template <typename T>
HOST_DEVICE int stride_of(const Parameters<T>& p) { return p.width + lanes<T>; }

template <Color mode, bool every_mode>
constexpr int channels_of = mode != Color::none ? color_channels : every_mode ? 2 : 1;

template <Color mode>
constexpr int kept_channel = mode == Color::none ? 1 : mode == Color::softmax ? face_channel : mean_channel;

template <typename T>
int64_t pixels_size(const Parameters<T>& p) {
  int channels = 0;
  with_modes<T>(p, [&](auto color, auto every_mode) { channels = channels_of<color.value, every_mode.value>; });
  return int64_t(channels) * stride_of(p) * p.height;
}

template <Color mode, typename T>
HOST_DEVICE void lay_out_color(const Backward<T>& b, int64_t image, int64_t pixel, T* out) {
  const Parameters<T>& p = b.parameters;
  const int64_t plane = int64_t(p.height) * p.width, place = image * plane + pixel;
  const T* grad = b.grad_image + 4 * image * plane + pixel;
  const T* rgb = b.image + 4 * image * plane + pixel;
  out[mean_channel] = out[exponent_channel] = out[partition_channel] = T(0);
  Int<T> seen = -1;
  for (int k = 0; k < 3; ++k) {
    out[red_channel + k] = grad[k * plane];
    out[mean_channel] += grad[k * plane] * rgb[k * plane];
  }
  if (mode == Color::softmax) {
    out[exponent_channel] = b.peak[place];
    out[partition_channel] = T(1) / b.partition[place];
  } else {
    seen = b.nearest_face[place];
  }
  __builtin_memcpy(out + face_channel, &seen, sizeof(seen));
}

template <Color mode, bool every_mode, typename T>
void lay_out_rows(const Backward<T>& b, int64_t image, int begin, int end, T* pixels) {
  const Parameters<T>& p = b.parameters;
  constexpr int channels = channels_of<mode, every_mode>;
  const int stride = stride_of(p);
  const int64_t plane = int64_t(p.height) * p.width, faces = mesh_faces(p, image);
  const T* grad_alpha = b.grad_image + (mode == Color::none ? image : 4 * image + 3) * plane;
  for (int y = begin; y < end; ++y) {
    T* row = pixels + int64_t(y) * stride * channels;
    const int64_t first = int64_t(y) * p.width;
    for (int x = 0; x < p.width; ++x) {
      const int64_t pixel = first + x;
      const auto alpha = alpha_vjp<every_mode>(grad_alpha[pixel], b.transmittance, image * plane + pixel, faces, p);
      if constexpr (mode != Color::none) lay_out_color<mode>(b, image, pixel, row + x * channels);
      row[x * channels] = alpha.common;
      if constexpr (every_mode) row[x * channels + kept_channel<mode>] = alpha.kept;
    }
    for (int i = p.width * channels; i < stride * channels; ++i) row[i] = T(0);
  }
}

// The indices in their mesh of the faces in the lanes.
template <typename T>
HOST_DEVICE IntVector<T> in_mesh(const int32_t (&face)[lanes<T>], int32_t first_face) {
  IntVector<T> mine;
  for (int lane = 0; lane < lanes<T>; ++lane) mine[lane] = first_face + face[lane];
  return mine;
}

// Note what is kept of the state of alpha: of the maximum it is the index of a face.
template <typename T>
HOST_DEVICE void keep(Real<T> kept, const int32_t (&face)[lanes<T>], int32_t first_face, PixelGradient<Real<T>>& out) {
  out.kept = kept;
  const auto mine = __builtin_convertvector(in_mesh<T>(face, first_face), typename Real<T>::Vector);
  out.greatest = kept == Real<T>(mine);
}

// Load what silhouettes need of the pixels at[0], at[1], ..., one a lane.
template <Color mode, bool every_mode, typename T>
HOST_DEVICE void load_alpha(const T* pixels, const Int<T> (&at)[lanes<T>], const int32_t (&face)[lanes<T>],
                            int32_t first_face, PixelGradient<Real<T>>& out) {
  constexpr int channels = channels_of<mode, every_mode>;
  for (int lane = 0; lane < lanes<T>; ++lane) out.alpha.v[lane] = pixels[int64_t(at[lane]) * channels];
  if constexpr (every_mode) {
    Real<T> kept;
    for (int lane = 0; lane < lanes<T>; ++lane) kept.v[lane] = pixels[int64_t(at[lane]) * channels + kept_channel<mode>];
    keep<T>(kept, face, first_face, out);
  }
}

// The lanes whose faces can show in the colour of their pixels: with softmax see hidden_gap, which is added to
// most_exponent in `most`; with hard colour those that are seen.
template <Color mode, typename T>
HOST_DEVICE Mask<T> can_show(const T* pixels, const Int<T> (&at)[lanes<T>], const int32_t (&face)[lanes<T>],
                             int32_t first_face, Mask<T> support, Real<T> most) {
  constexpr int channel = mode == Color::softmax ? exponent_channel : face_channel;
  Real<T> number;
  for (int lane = 0; lane < lanes<T>; ++lane) {
    number.v[lane] = pixels[int64_t(at[lane]) * color_channels + channel];
  }
  if constexpr (mode == Color::softmax) return support & (most >= number);
  return support & Mask<T>{(IntVector<T>)number.v == in_mesh<T>(face, first_face)};
}

// Load what renders with colour need of the pixels at[0], at[1], ..., one a lane.
template <Color mode, bool every_mode, typename T>
HOST_DEVICE void load_pixels(const T* pixels, const Int<T> (&at)[lanes<T>], const int32_t (&face)[lanes<T>],
                             int32_t first_face, PixelGradient<Real<T>>& out) {
  Real<T> channel[color_channels];
  for (int first = 0; first < color_channels; first += lanes<T>) {
    Real<T> rows[lanes<T>];
    for (int i = 0; i < lanes<T>; ++i) rows[i] = Real<T>::load(pixels + int64_t(at[i]) * color_channels + first);
    transpose(rows);
    for (int i = 0; i < lanes<T>; ++i) channel[first + i] = rows[i];
  }
  out.alpha = channel[alpha_channel];
  for (int k = 0; k < 3; ++k) out.color[k] = channel[red_channel + k];
  out.mean = channel[mean_channel];
  out.exponent = channel[exponent_channel];
  out.inverse_partition = channel[partition_channel];
  out.seen = {(IntVector<T>)channel[face_channel].v == in_mesh<T>(face, first_face)};
  if constexpr (every_mode) keep<T>(channel[kept_channel<mode>], face, first_face, out);
}

// ---- the gradient of faces -------------------------------------------------------------------------

// What belongs to a block of faces of one mesh, and the pixels they are seen in.
template <typename T>
struct Block {
  int32_t first;  // index in the mesh of the first face of the block
  Textures<const T> textures;
  Textures<T> grad_textures;
  T* grad_vertices;
  const T* pixels;
  T gap;       // see hidden_gap
  bool hides;  // whether a face can hide another
};

// Add the gradient of `count` pixels in each lane to the faces in the lanes, or to one face.
template <Color mode, bool every_mode, int count, typename R, typename TextureAt, typename T>
HOST_DEVICE void add_pixels(const Block<T>& block, const Outline<R>& faces, Real<T> most,
                            const int32_t (&index)[lanes<T>], const Coverage<Real<T>> (&c)[count],
                            const Int<T> (&at)[count][lanes<T>], TextureAt& texture, const Parameters<T>& p,
                            FaceGradient<Real<T>>& g) {
  PixelGradient<Real<T>> pixel[count];
  if constexpr (mode != Color::none) {
    bool shown = !block.hides;
    for (int i = 0; i < count && !shown; ++i) {
      shown = any(can_show<mode>(block.pixels, at[i], index, block.first, c[i].support, most));
    }
    if (shown) {
      for (int i = 0; i < count; ++i) {
        load_pixels<mode, every_mode>(block.pixels, at[i], index, block.first, pixel[i]);
      }
      for (int i = 0; i < count; ++i) {
        accumulate_gradient<mode, every_mode>(g, texture, faces, c[i], pixel[i], p);
      }
      return;
    }
  }
  for (int i = 0; i < count; ++i) {
    load_alpha<mode, every_mode>(block.pixels, at[i], index, block.first, pixel[i]);
  }
  for (int i = 0; i < count; ++i) accumulate_gradient<Color::none, every_mode>(g, texture, faces, c[i], pixel[i], p);
}

// The nine numbers of the gradient in the order of face_vertices.
template <typename T>
HOST_DEVICE void order(const FaceGradient<Real<T>>& g, Real<T> (&out)[9]) {
  for (int k = 0; k < 3; ++k) {
    out[3 * k] = g.outline.x[k];
    out[3 * k + 1] = g.outline.y[k];
    out[3 * k + 2] = g.z[k];
  }
}

// Write nine numbers for the face in each lane.
template <typename T>
HOST_DEVICE void write_each(const Real<T> (&numbers)[9], T* out, const int32_t (&face)[lanes<T>], int count) {
  for (int i = 0; i < 9; ++i) {
    T each[lanes<T>];
    numbers[i].store(each);
    for (int lane = 0; lane < count; ++lane) out[9 * int64_t(face[lane]) + i] = each[lane];
  }
}

// Write nine sums over the lanes.
template <typename T>
HOST_DEVICE void write_sums(const Real<T> (&numbers)[9], T* out) {
  for (int i = 0; i < 9; ++i) out[i] = lane_sum(numbers[i]);
}

// Small faces: one in each lane, which sums over the pixels of its own face.
template <Color mode, bool every_mode, typename TextureAt, typename T>
HOST_DEVICE void walk_small(const Block<T>& block, const FacePack<T>& faces, const int32_t (&index)[lanes<T>],
                            TextureAt& texture, Tile tile, const Parameters<T>& p, FaceGradient<Real<T>>& g) {
  clear(g);
  const Real<T> most = faces.most_exponent + Real<T>(block.gap);
  for (Walk<T> walk(faces, tile, stride_of(p), p); any(walk.active());) {
    Coverage<Real<T>> c[steps];
    Int<T> at[steps][lanes<T>];
    cover_steps<every_mode>(faces, walk, p, c, at);
    add_pixels<mode, every_mode, steps>(block, faces, most, index, c, at, texture, p, g);
  }
}

// A large face: neighbouring pixels in the lanes.
template <Color mode, bool every_mode, typename TextureAt, typename T>
HOST_DEVICE void walk_large(const Block<T>& block, const Face<T>& face, const int32_t (&index)[lanes<T>],
                            TextureAt& texture, Tile tile, const Parameters<T>& p, FaceGradient<Real<T>>& g) {
  clear(g);
  const Real<T> most(face.most_exponent + block.gap);
  for (int y = tile.first_row; y < tile.end_row; ++y) {
    const Real<T> center(center_y(p, y));
    for (int x = tile.first_column; x < tile.end_column; x += lanes<T>) {
      const Real<T> centers = centers_x(p, x);
      Coverage<Real<T>> c[1] = {cover<every_mode>(face, p, centers, center)};
      c[0].support = c[0].support & before(p, tile.end_column, centers);
      if (!any(c[0].support)) continue;
      attenuate<every_mode>(c[0], p);
      const Int<T> first = Int<T>(y) * stride_of(p) + x;
      Int<T> at[1][lanes<T>];
      for (int lane = 0; lane < lanes<T>; ++lane) at[0][lane] = first + lane;
      add_pixels<mode, every_mode, 1>(block, face, most, index, c, at, texture, p, g);
    }
  }
}

template <Color mode, bool every_mode, typename T>
void gather_small(const Block<T>& block, const Face<T>* const (&picked)[lanes<T>], const int32_t (&index)[lanes<T>],
                  int count, Tile tile, const Parameters<T>& p) {
  FacePack<T> faces;
  load_faces(picked, faces);
  FaceGradient<Real<T>> g;
  if (every_mode && mode != Color::none && p.texture == Texture::surface) {
    SurfaceTexture<T> texture = {block.textures, block.grad_textures, index, p.texture_side};
    walk_small<mode, every_mode>(block, faces, index, texture, tile, p, g);
  } else {
    VertexTexture<Real<T>, Real<T>> texture;
    if constexpr (mode != Color::none) {
      load_corners(block.textures, index, texture);
      texture.clear();
    }
    walk_small<mode, every_mode>(block, faces, index, texture, tile, p, g);
    if constexpr (mode != Color::none) write_each<T>(texture.grad, block.grad_textures.data, index, count);
  }
  Real<T> numbers[9];
  order<T>(g, numbers);
  write_each<T>(numbers, block.grad_vertices, index, count);
}

template <Color mode, bool every_mode, typename T>
void gather_large(const Block<T>& block, const Face<T>& face, int32_t index, Tile tile, const Parameters<T>& p) {
  int32_t indices[lanes<T>];
  for (int lane = 0; lane < lanes<T>; ++lane) indices[lane] = index;
  FaceGradient<Real<T>> g;
  if (every_mode && mode != Color::none && p.texture == Texture::surface) {
    SurfaceTexture<T> texture = {block.textures, block.grad_textures, indices, p.texture_side};
    walk_large<mode, every_mode>(block, face, indices, texture, clip(face, tile), p, g);
  } else {
    VertexTexture<Real<T>, T> texture;
    if constexpr (mode != Color::none) {
      __builtin_memcpy(texture.corner, block.textures.of(index), 9 * sizeof(T));
      texture.clear();
    }
    walk_large<mode, every_mode>(block, face, indices, texture, clip(face, tile), p, g);
    if constexpr (mode != Color::none) write_sums<T>(texture.grad, block.grad_textures.of(index));
  }
  Real<T> numbers[9];
  order<T>(g, numbers);
  write_sums<T>(numbers, block.grad_vertices + 9 * int64_t(index));
}

// Prepared together: 96 KiB in float.
constexpr int faces_at_once = 1024;
static_assert(faces_at_once <= sorted_at_once);

// Gather the gradient of `count` faces from `begin` on, at most faces_at_once.
template <Color mode, bool every_mode, typename T>
void gather_block(const Backward<T>& b, int64_t image, int64_t begin, int count, const T* pixels) {
  const Parameters<T>& p = b.parameters;
  Face<T> faces[faces_at_once];
  const Textures<const T> textures = textures_from(b.face_textures, begin, p);
  setup_faces(b.face_vertices + 9 * begin, textures, count, p, faces);
  const Tile whole = {0, p.width, 0, p.height};
  Sorted sorted;
  sort_faces<T>(faces, nullptr, 0, count, whole, sorted);
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  const Block<T> block = {int32_t(begin - first_face_of(p, image)),
                          textures,
                          {b.grad_face_textures + begin * textures.numbers, textures.numbers},
                          b.grad_face_vertices + 9 * begin,
                          pixels,
                          gap,
                          mode == Color::hard || sorted.depths > double(gap)};
  __builtin_memset(block.grad_vertices, 0, sizeof(T) * 9 * size_t(count));
  if (mode != Color::none) __builtin_memset(block.grad_textures.data, 0, sizeof(T) * size_t(textures.numbers) * size_t(count));
  const Face<T> nothing = no_face(p);
  for (int i = 0; i < sorted.small_count; i += lanes<T>) {
    const Face<T>* picked[lanes<T>];
    int32_t index[lanes<T>];
    pick(faces, sorted, i, nothing, picked, index);
    const int some = sorted.small_count - i < lanes<T> ? sorted.small_count - i : lanes<T>;
    gather_small<mode, every_mode>(block, picked, index, some, whole, p);
  }
  for (int i = 0; i < sorted.large_count; ++i) {
    gather_large<mode, every_mode>(block, faces[sorted.large[i]], sorted.large[i], whole, p);
  }
}

template <typename T>
void lay_out(const Backward<T>& b, int64_t image, int begin, int end, T* pixels) {
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    lay_out_rows<color.value, every_mode.value>(b, image, begin, end, pixels);
  });
}

template <typename T>
void gather(const Backward<T>& b, int64_t image, int64_t begin, int64_t end, const T* pixels) {
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    for (int64_t first = begin; first < end; first += faces_at_once) {
      const int count = end - first < faces_at_once ? int(end - first) : faces_at_once;
      gather_block<color.value, every_mode.value>(b, image, first, count, pixels);
    }
  });
}

template <typename T>
constexpr BackwardKernels<T> kernels = {lay_out<T>, pixels_size<T>, gather<T>};

}  // namespace

const BackwardKernels<float>& RENDERER_JOIN(float_backward_, INSTRUCTION_SET)() { return kernels<float>; }
const BackwardKernels<double>& RENDERER_JOIN(double_backward_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
