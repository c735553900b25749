// The CPU's backward: each face gathers its gradient from its pixels and writes it once.
//
// Compiled once for each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#include "small_faces.h"
#include "spans.h"

namespace renderer {
namespace {

// ---- what is read of a pixel -----------------------------------------------------------------------

// Silhouettes read one number a pixel, see alpha_vjp; with colour the channels of a pixel lie together or, for wide faces,
// those of a row one after the other. Rows are padded by zeros, so that lanes beyond the right border add nothing.
constexpr int color_channels = 8;
// Those of every_mode have another for what is kept of the state of alpha: the second of silhouettes, and with colour one
// which the mode leaves free.
enum Channel { alpha_channel, red_channel, mean_channel = 4, exponent_channel, partition_channel, face_channel };

template <typename T>
HOST_DEVICE int stride_of(const Parameters<T>& p) { return p.width + row_padding<T>; }

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

// `step` from channel to channel.
template <Color mode, typename T>
HOST_DEVICE void lay_out_color(const Backward<T>& b, int64_t image, int64_t pixel, int step, T* out) {
  const Parameters<T>& p = b.parameters;
  const int64_t plane = int64_t(p.height) * p.width, place = image * plane + pixel;
  const T* grad = b.grad_image + 4 * image * plane + pixel;
  const T* rgb = b.image + 4 * image * plane + pixel;
  T mean(T(0)), exponent(T(0)), inverse_partition(T(0));
  Int<T> seen = -1;
  for (int k = 0; k < 3; ++k) {
    out[(red_channel + k) * step] = grad[k * plane];
    mean += grad[k * plane] * rgb[k * plane];
  }
  if (mode == Color::softmax) {
    exponent = b.peak[place];
    inverse_partition = T(1) / b.partition[place];
  } else {
    seen = b.nearest_face[place];
  }
  out[mean_channel * step] = mean;
  out[exponent_channel * step] = exponent;
  out[partition_channel * step] = inverse_partition;
  __builtin_memcpy(out + face_channel * step, &seen, sizeof(seen));
}

template <Color mode, bool every_mode, bool wide, typename T>
void lay_out_rows(const Backward<T>& b, int64_t image, int begin, int end, T* pixels) {
  const Parameters<T>& p = b.parameters;
  constexpr int channels = channels_of<mode, every_mode>;
  const int stride = stride_of(p), step = wide ? stride : 1, next = wide ? 1 : channels;
  const int64_t plane = int64_t(p.height) * p.width, faces = mesh_faces(p, image);
  const T* grad_alpha = b.grad_image + (mode == Color::none ? image : 4 * image + 3) * plane;
  for (int y = begin; y < end; ++y) {
    T* row = pixels + int64_t(y) * stride * channels;
    const int64_t first = int64_t(y) * p.width;
    for (int x = 0; x < p.width; ++x) {
      const int64_t pixel = first + x;
      const auto alpha = alpha_vjp<every_mode>(grad_alpha[pixel], b.transmittance, image * plane + pixel, faces, p);
      if constexpr (mode != Color::none) lay_out_color<mode>(b, image, pixel, step, row + x * next);
      row[x * next] = alpha.common;
      if constexpr (every_mode) row[x * next + kept_channel<mode> * step] = alpha.kept;
    }
    for (int x = p.width; x < stride; ++x) {
      for (int k = 0; k < channels; ++k) row[x * next + k * step] = T(0);
    }
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
  for (int first = 0; first < color_channels; first += columns<T>) {
    load_columns<T, lanes<T>>([&](int lane) { return pixels + int64_t(at[lane]) * color_channels + first; }, channel + first);
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

// Where the textures and gradients of faces lie, and the pixels they are seen in.
template <typename T>
struct Block {
  int32_t first;  // index in the mesh of the face that the block counts as 0
  Textures<const T> textures;
  Textures<T> grad_textures;
  T* grad_vertices;
  const T* pixels;
  T gap;       // see hidden_gap
  bool hides;  // whether a face can hide another
};

// Whether any of the faces in the lanes can show in the colour of its pixel.
template <Color mode, typename T>
HOST_DEVICE bool shows(const Block<T>& block, const Int<T> (&at)[lanes<T>], const int32_t (&face)[lanes<T>],
                       Mask<T> support, Real<T> most) {
  if constexpr (mode == Color::none) return false;
  return !block.hides || any(can_show<mode>(block.pixels, at, face, block.first, support, most));
}

// Add the gradient of `count` pixels in each lane to the faces in the lanes, or to one face.
template <Color mode, bool every_mode, int count, typename R, typename TextureAt, typename T>
HOST_DEVICE void add_pixels(const Block<T>& block, const Outline<R>& faces, Real<T> most,
                            const int32_t (&index)[lanes<T>], const Coverage<Real<T>> (&c)[count],
                            const Int<T> (&at)[count][lanes<T>], TextureAt& texture, const Parameters<T>& p,
                            FaceGradient<Real<T>>& g) {
  bool shown[count];
  Surface<Real<T>> surface[count];  // of all before any is used: a pack waits for its own divisions
  for (int i = 0; i < count; ++i) {
    shown[i] = shows<mode>(block, at[i], index, c[i].support, most);
    if constexpr (mode != Color::none) {
      if (shown[i]) surface[i] = mixed_surface_at<every_mode>(faces, p, c[i]);
    }
  }
  for (int i = 0; i < count; ++i) {
    PixelGradient<Real<T>> pixel;
    if (shown[i]) {
      load_pixels<mode, every_mode>(block.pixels, at[i], index, block.first, pixel);
      accumulate_gradient<mode, every_mode>(g, texture, faces, c[i], surface[i], pixel, p);
    } else {
      load_alpha<mode, every_mode>(block.pixels, at[i], index, block.first, pixel);
      accumulate_gradient<Color::none, every_mode>(g, texture, faces, c[i], pixel, p);
    }
  }
}

// The nine numbers of the gradient in the order of face_vertices.
template <typename P>
HOST_DEVICE void order(const FaceGradient<P>& g, P (&out)[9]) {
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
template <typename T, int N>
HOST_DEVICE void write_sums(const Pack<T, N> (&numbers)[9], T* out) {
  for (int i = 0; i < 9; ++i) out[i] = lane_sum(numbers[i]);
}

// Small faces: one in each lane, which sums over the pixels of its own face.
template <Color mode, bool every_mode, typename TextureAt, typename T>
HOST_DEVICE void walk_small(const Block<T>& block, const FacePack<T>& faces, const int32_t (&index)[lanes<T>],
                            TextureAt& texture, Tile tile, const Parameters<T>& p, FaceGradient<Real<T>>& g) {
  clear(g);
  const Real<T> most = faces.most_exponent + Real<T>(block.gap);
  for_each_pixels<every_mode>(faces, tile, stride_of(p), p, [&](const auto& c, const auto& at) {
    add_pixels<mode, every_mode, steps>(block, faces, most, index, c, at, texture, p, g);
  });
}

// A large face: neighbouring pixels in the lanes.
template <Color mode, bool every_mode, typename TextureAt, typename T>
HOST_DEVICE void walk_large(const Block<T>& block, const Face<T>& face, const int32_t (&index)[lanes<T>],
                            TextureAt& texture, Tile tile, const Parameters<T>& p, FaceGradient<Real<T>>& g) {
  clear(g);
  const Real<T> most(face.most_exponent + block.gap);
  for_each_pack(face, tile, p, [&](int column, int row, int end_column) {
    Coverage<Real<T>> c[1];
    if (!cover_pack<every_mode>(face, column, row, end_column, p, c[0])) return;
    const Int<T> first = Int<T>(row) * stride_of(p) + column;
    Int<T> at[1][lanes<T>];
    for (int lane = 0; lane < lanes<T>; ++lane) at[0][lane] = first + lane;
    add_pixels<mode, every_mode, 1>(block, face, most, index, c, at, texture, p, g);
  });
}

// Where textures are texels the gradients of texels that no pixel shows are not written.
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
  order(g, numbers);
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
    if constexpr (mode != Color::none) write_sums(texture.grad, block.grad_textures.of(index));
  }
  Real<T> numbers[9];
  order(g, numbers);
  write_sums(numbers, block.grad_vertices + 9 * int64_t(index));
}

// ---- wide faces ------------------------------------------------------------------------------------

// Load what the backward needs of the pixels from `at` on, for face `own` of the mesh; of their colours only where
// `shown`.
template <Color mode, bool every_mode, typename T, int N>
HOST_DEVICE void load_row(const T* at, int stride, int32_t own, bool shown, PixelGradient<Pack<T, N>>& out) {
  using P = Pack<T, N>;
  const auto channel = [&](int k) { return P::load(at + k * stride); };
  out.alpha = channel(alpha_channel);
  if constexpr (every_mode) {
    const int32_t faces[lanes<T>] = {};
    keep<T>(channel(kept_channel<mode>), faces, own, out);
  }
  if (mode == Color::none || !shown) return;
  for (int k = 0; k < 3; ++k) out.color[k] = channel(red_channel + k);
  out.mean = channel(mean_channel);
  out.exponent = channel(exponent_channel);
  out.inverse_partition = channel(partition_channel);
  out.seen = {(typename P::IntVector)channel(face_channel).v == own};
}

// Whether a face can show in the colours of the pixels from `at` on; see the other can_show.
template <Color mode, typename T, int N>
HOST_DEVICE bool shows_in_row(const T* at, int stride, int32_t own, Pack<T, N> most) {
  using P = Pack<T, N>;
  if constexpr (mode == Color::none) return false;
  if constexpr (mode == Color::softmax) return any(most >= P::load(at + exponent_channel * stride));
  return any(typename Traits<P>::Mask{(typename P::IntVector)P::load(at + face_channel * stride).v == own});
}

// Whether no gradient of alpha comes back to the pixels from `at` on: nothing got through them, or nobody asks.
template <bool every_mode, typename P, typename T>
HOST_DEVICE bool is_alpha_settled(const T* at, const Parameters<T>& p) {
  if (every_mode && p.alpha != Alpha::product) return false;
  const P alpha = P::load(at);
  return !any(typename Traits<P>::Mask{~(alpha == P(T(0))).v});
}

template <Color mode, bool every_mode, typename TextureAt, typename T>
HOST_DEVICE void walk_wide(const Block<T>& block, const Face<T>& face, int32_t index, TextureAt& texture, Tile tile,
                           const Parameters<T>& p, FaceGradient<Real<T>>& g) {
  using P = Real<T>;
  clear(g);
  const P most(face.most_exponent + block.gap);
  const int stride = stride_of(p), row_size = stride * channels_of<mode, every_mode>;
  const int32_t own = block.first + index;
  for_each_pack(face, tile, p, [&](int column, int row, int end_column) {
    const T* at = block.pixels + int64_t(row) * row_size + column;
    const bool shown = shows_in_row<mode>(at, stride, own, most);
    if (!shown && is_alpha_settled<every_mode, P>(at, p)) return;
    Coverage<P> c;
    if (!cover_pack<every_mode>(face, column, row, end_column, p, c)) return;
    PixelGradient<P> pixel;
    load_row<mode, every_mode>(at, stride, own, shown, pixel);
    if (mode != Color::none && shown) {
      accumulate_gradient<mode, every_mode>(g, texture, face, c, pixel, p);
    } else {
      accumulate_gradient<Color::none, every_mode>(g, texture, face, c, pixel, p);
    }
  });
}

template <Color mode, bool every_mode, typename T>
HOST_DEVICE void gather_wide(const Block<T>& block, const Face<T>& face, int32_t index, Tile tile, const Parameters<T>& p) {
  using P = Real<T>;
  FaceGradient<P> g;
  const Tile part = clip(face, tile);
  const auto walk = [&](auto& texture) { walk_wide<mode, every_mode>(block, face, index, texture, part, p, g); };
  if constexpr (every_mode && mode != Color::none) {
    if (p.texture == Texture::surface) {
      int32_t indices[lanes<T>];
      for (int lane = 0; lane < lanes<T>; ++lane) indices[lane] = index;
      SurfaceTexture<T> texture = {block.textures, block.grad_textures, indices, p.texture_side};
      walk(texture);
      P numbers[9];
      order(g, numbers);
      return write_sums(numbers, block.grad_vertices + 9 * int64_t(index));
    }
  }
  VertexTexture<P, T> texture;
  if constexpr (mode != Color::none) {
    __builtin_memcpy(texture.corner, block.textures.of(index), 9 * sizeof(T));
    texture.clear();
  }
  walk(texture);
  if constexpr (mode != Color::none) write_sums(texture.grad, block.grad_textures.of(index));
  P numbers[9];
  order(g, numbers);
  write_sums(numbers, block.grad_vertices + 9 * int64_t(index));
}

// ---- lists of faces --------------------------------------------------------------------------------

template <Color mode, bool every_mode, typename T>
HOST_DEVICE void gather_one(const Block<T>& block, const FaceList<T>& list, const Face<T>& face, int32_t index, Tile tile,
                            const Parameters<T>& p) {
  if (list.wide) return gather_wide<mode, every_mode>(block, face, index, tile, p);
  gather_large<mode, every_mode>(block, face, index, tile, p);
}

template <Color mode, typename T>
HOST_DEVICE bool any_hidden(const FaceList<T>& list, T gap) {
  return mode == Color::hard || list.depths > gap;
}

template <Color mode, bool every_mode, typename T>
void gather_list(const Backward<T>& b, int64_t image, const FaceList<T>& list, const T* pixels) {
  const Parameters<T>& p = b.parameters;
  const int64_t first = first_face_of(p, image);
  const Textures<const T> textures = textures_from(b.face_textures, first, p);
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  const Block<T> block = {0,
                          textures,
                          {b.grad_face_textures + first * textures.numbers, textures.numbers},
                          b.grad_face_vertices + 9 * first,
                          pixels,
                          gap,
                          any_hidden<mode>(list, gap)};
  const Tile whole = {0, p.width, 0, p.height};
  const Face<T> nothing = no_face(p);
  for (int64_t i = 0; i < list.small; i += lanes<T>) {
    const Face<T>* picked[lanes<T>];
    int32_t index[lanes<T>];
    const int some = list.small - i < lanes<T> ? int(list.small - i) : lanes<T>;
    pick(list.faces, list.list + i, some, nothing, picked, index);
    gather_small<mode, every_mode>(block, picked, index, some, whole, p);
  }
  for (int64_t i = list.small; i < list.count; ++i) {
    gather_one<mode, every_mode>(block, list, list.faces[list.list[i]], list.list[i], whole, p);
  }
}

// The face of a list of one.
template <Color mode, bool every_mode, typename T>
void gather_rows(const Backward<T>& b, int64_t image, const FaceList<T>& list, Tile rows, const T* pixels, T* partial) {
  const Parameters<T>& p = b.parameters;
  const int32_t index = list.list[0];
  const Textures<const T> textures = textures_from(b.face_textures, first_face_of(p, image) + index, p);
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  const Block<T> block = {index, textures, {partial + 9, textures.numbers}, partial, pixels, gap,
                          any_hidden<mode>(list, gap)};
  gather_one<mode, every_mode>(block, list, list.faces[index], 0, rows, p);
}

template <typename T>
void lay_out(const Backward<T>& b, int64_t image, int begin, int end, bool wide, T* pixels) {
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    if (wide) return lay_out_rows<color.value, every_mode.value, true>(b, image, begin, end, pixels);
    lay_out_rows<color.value, every_mode.value, false>(b, image, begin, end, pixels);
  });
}

template <typename T>
FaceSizes setup(const Backward<T>& b, int64_t begin, int64_t end, Face<T>* out, int32_t* keys) {
  const Parameters<T>& p = b.parameters;
  return setup_faces(b.face_vertices + 9 * begin, textures_from(b.face_textures, begin, p), end - begin, p, out, keys);
}

template <typename T>
void gather(const Backward<T>& b, int64_t image, const FaceList<T>& list, const T* pixels) {
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    gather_list<color.value, every_mode.value>(b, image, list, pixels);
  });
}

template <typename T>
void gather_part(const Backward<T>& b, int64_t image, const FaceList<T>& list, int begin, int end, const T* pixels,
                 T* partial) {
  with_modes<T>(b.parameters, [&](auto color, auto every_mode) {
    const Tile rows = {0, b.parameters.width, begin, end};
    gather_rows<color.value, every_mode.value>(b, image, list, rows, pixels, partial);
  });
}

template <typename T>
constexpr BackwardKernels<T> kernels = {lay_out<T>, pixels_size<T>, setup<T>, gather<T>, gather_part<T>};

}  // namespace

const BackwardKernels<float>& RENDERER_JOIN(float_backward_, INSTRUCTION_SET)() { return kernels<float>; }
const BackwardKernels<double>& RENDERER_JOIN(double_backward_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
