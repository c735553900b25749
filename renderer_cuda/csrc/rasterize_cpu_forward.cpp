// The CPU's forward: the faces of a tile act on the pixels of the tile.
//
// Compiled once for each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#include "order_in_tile.h"
#include "small_faces.h"
#include "spans.h"

namespace renderer {
namespace {

// ---- the state of the pixels -----------------------------------------------------------------------

// The pixels of a tile, rows of `stride`; some columns more than the tile has, so that a pack of
// pixels may reach over its right border.
template <typename T>
struct Canvas {
  T* opacity;     // see opacity_of
  T* color;       // softmax: partition and RGB, four numbers a pixel or, for wide faces, planes of `plane` pixels
  T* exponent;    // of those; both are null without colour
  T* greatest;    // see combine_face; null unless alpha is the maximum
  int stride;
  int64_t plane;  // 0 unless there are planes
};

constexpr int color_channels = 4;

template <typename T>
int64_t scratch_size(const Parameters<T>& p, int columns, int rows) {
  const int64_t numbers = (p.color == Color::softmax ? 2 + color_channels : 1) + (p.alpha == Alpha::maximum ? 1 : 0);
  return numbers * (columns + row_padding<T>) * rows;
}

// The background behind `count` pixels of a row.
template <typename T>
HOST_DEVICE Real<T> background_of(const Forward<T>& f, int64_t image, int channel, int64_t pixel, int count) {
  const Parameters<T>& p = f.parameters;
  if (!p.background_image) return Real<T>(f.background[channel]);
  const T* behind = f.background + (3 * image + channel) * p.height * p.width + pixel;
  if (count >= lanes<T>) return Real<T>::load(behind);
  Real<T> part(T(0));
  for (int i = 0; i < count; ++i) part.v[i] = behind[i];
  return part;
}

template <Color mode, bool every_mode, typename T>
void clear(const Canvas<T>& canvas, int rows, const Parameters<T>& p) {
  const int64_t pixels = int64_t(rows) * canvas.stride;
  const T opacity = clear_opacity<every_mode>(p);
  for (int64_t i = 0; i < pixels; ++i) canvas.opacity[i] = opacity;
  for (int64_t i = 0; canvas.greatest && i < pixels; ++i) canvas.greatest[i] = T(-1);
  if constexpr (mode == Color::softmax) {
    const Scaled<T> behind = scaled_exponential(p.background_logit);
    const int64_t next = canvas.plane ? 1 : color_channels;
    for (int64_t i = 0; i < color_channels * pixels; ++i) canvas.color[i] = T(0);
    for (int64_t i = 0; i < pixels; ++i) canvas.color[i * next] = behind.fraction;
    for (int64_t i = 0; i < pixels; ++i) canvas.exponent[i] = behind.exponent;
  }
}

// ---- what a pack of faces or pixels does to them ---------------------------------------------------

// Colours of texels, each lane from its own face.
template <typename T, int N>
HOST_DEVICE void load_texels(const Textures<const T>& textures, const int32_t (&face)[N], int side,
                             const Surface<Pack<T, N>>& s, Pack<T, N> out[3]) {
  for (int lane = 0; lane < N; ++lane) {
    const T* texel = textures.of(face[lane]) + 3 * texel_in_lane(s, lane, side);
    for (int k = 0; k < 3; ++k) out[k].v[lane] = texel[k];
  }
}

// What each lane does to the colour of its pixel: its weight, that times its colour, and the exponent of both. A lane
// that is not visible weighs zero times two to the least power.
template <typename P>
struct Contribution {
  P channel[4];
  P exponent;
};

template <typename P>
HOST_DEVICE Contribution<P> contribution_of(Scaled<P> weight, const P color[3], typename Traits<P>::Mask visible) {
  using T = typename Traits<P>::Scalar;
  const P zero(T(0));
  Contribution<P> out;
  out.exponent = select(visible, weight.exponent, P(-Limits<T>::largest));
  out.channel[0] = select(visible, weight.fraction, zero);
  for (int k = 0; k < 3; ++k) out.channel[1 + k] = select(visible, weight.fraction * color[k], zero);
  return out;
}

// `texture` gives vertex colours; texels are looked up through `textures`.
template <bool every_mode, typename R, typename TextureAt, typename T, int N>
HOST_DEVICE Contribution<Pack<T, N>> shade(const Outline<R>& face, const Coverage<Pack<T, N>>& c,
                                           const TextureAt& texture, const Textures<const T>& textures,
                                           const int32_t (&index)[N], const Parameters<T>& p) {
  Pack<T, N> color[3];
  const auto s = mixed_surface_at<every_mode>(face, p, c);
  if (every_mode && p.texture == Texture::surface) {
    load_texels(textures, index, p.texture_side, s, color);
  } else {
    texture.color(s, color);
  }
  return contribution_of(softmax_weight<every_mode>(c, s, p), color, visible_at(face, c, s, p));
}

// The exponents of the pixels of the lanes, as far as faces have come.
template <typename T>
HOST_DEVICE Real<T> exponents_at(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>]) {
  Real<T> exponent;
  for (int lane = 0; lane < lanes<T>; ++lane) exponent.v[lane] = canvas.exponent[at[lane]];
  return exponent;
}

// Let each lane act on its pixel, one after the other: lanes may share a pixel.
template <bool every_mode, typename T>
HOST_DEVICE void put_opacity(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>], Real<T> opacity,
                             const int32_t (&index)[lanes<T>], const Parameters<T>& p) {
  T each[lanes<T>];
  opacity.store(each);
  for (int lane = 0; lane < lanes<T>; ++lane) {
    combine_face<every_mode>(canvas.opacity[at[lane]], canvas.greatest + at[lane], each[lane], index[lane], p);
  }
}

// The same of one face at neighbouring pixels.
template <bool every_mode, typename T, int N>
HOST_DEVICE void put_opacity_of_row(const Canvas<T>& canvas, int64_t first, Pack<T, N> opacity, int32_t face,
                                    const Parameters<T>& p) {
  T* state = canvas.opacity + first;
  if (every_mode && p.alpha == Alpha::maximum) {
    T each[N];
    opacity.store(each);
    for (int lane = 0; lane < N; ++lane) {
      combine_face<every_mode>(state[lane], canvas.greatest + first + lane, each[lane], face, p);
    }
    return;
  }
  combine_opacity<every_mode>(Pack<T, N>::load(state), opacity, p).store(state);
}

// The rows of four numbers a pixel are worked on as one.
template <typename T> using Row = Pack<T, 4>;

// Let the lanes whose bits are set act on the colours of their pixels, whose exponents were `before`. All is scaled for all
// lanes together; only a lane whose pixel another lane has changed since then scales by itself.
template <typename T>
HOST_DEVICE void put_color(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>], unsigned bits, Real<T> before,
                           const Contribution<Real<T>>& c) {
  const Real<T> after = maximum(before, c.exponent), grow = power_of_two(c.exponent - after);
  T old[lanes<T>], exponent[lanes<T>], shrink[lanes<T>], rows[lanes<T>][4];
  before.store(old);
  after.store(exponent);
  power_of_two(before - after).store(shrink);
  const Real<T> channel[4] = {c.channel[0] * grow, c.channel[1] * grow, c.channel[2] * grow, c.channel[3] * grow};
  store_rows(channel, rows);
  for (; bits; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    T& exponent_now = canvas.exponent[at[lane]];
    T* state = canvas.color + int64_t(at[lane]) * color_channels;
    Row<T> row = Row<T>::load(rows[lane]), sum = Row<T>::load(state);
    T now = exponent[lane];
    if (exponent_now == old[lane]) {
      sum = sum * Row<T>(shrink[lane]);
    } else {
      now = maximum(exponent_now, now);
      sum = sum * Row<T>(power_of_two(exponent_now - now));
      row = row * Row<T>(power_of_two(exponent[lane] - now));
    }
    (sum + row).store(state);
    exponent_now = now;
  }
}

// Shade the lanes of `count` packs that can show in the colours of their pixels, where `hides` says that some cannot: see
// hidden_gap, to which most_exponent is added in `most`. All are shaded before any acts on its pixels: a pack waits for its
// own divisions while another computes.
template <bool every_mode, int count, typename R, typename TextureAt, typename T>
HOST_DEVICE void put_shaded(const Canvas<T>& canvas, const Outline<R>& face, const Coverage<Real<T>> (&c)[count],
                            const Int<T> (&at)[count][lanes<T>], const TextureAt& texture,
                            const Textures<const T>& textures, const int32_t (&index)[lanes<T>], bool hides, Real<T> most,
                            const Parameters<T>& p) {
  Real<T> before[count];
  unsigned bits[count], all = 0;
  for (int i = 0; i < count; ++i) {
    before[i] = exponents_at(canvas, at[i]);
    const Mask<T> shown = hides ? c[i].support & (most >= before[i]) : c[i].support;
    bits[i] = lane_bits(shown);
    all |= bits[i];
  }
  if (!all) return;
  Contribution<Real<T>> shaded[count];
  for (int i = 0; i < count; ++i) shaded[i] = shade<every_mode>(face, c[i], texture, textures, index, p);
  for (int i = 0; i < count; ++i) put_color(canvas, at[i], bits[i], before[i], shaded[i]);
}

// ---- small faces: one in each lane -----------------------------------------------------------------

template <Color mode, bool every_mode, typename T>
void draw_small(const Canvas<T>& canvas, Tile tile, const Face<T>* const (&picked)[lanes<T>],
                const int32_t (&index)[lanes<T>], const Textures<const T>& textures, bool hides, T gap,
                const Parameters<T>& p) {
  FacePack<T> faces;
  load_faces(picked, faces);
  const Real<T> most = faces.most_exponent + Real<T>(gap);
  VertexTexture<Real<T>, Real<T>> texture;
  if constexpr (mode != Color::none) {
    if (!every_mode || p.texture == Texture::vertex) load_corners(textures, index, texture);
  }
  for_each_pixels<every_mode>(faces, tile, canvas.stride, p, [&](const auto& c, const auto& at) {
    for (int i = 0; i < steps; ++i) {
      put_opacity<every_mode>(canvas, at[i], opacity_of<every_mode>(c[i], p), index, p);
    }
    if constexpr (mode != Color::none) {
      put_shaded<every_mode>(canvas, faces, c, at, texture, textures, index, hides, most, p);
    }
  });
}

// ---- large faces: neighbouring pixels in the lanes -------------------------------------------------

template <Color mode, bool every_mode, typename T>
void draw_large(const Canvas<T>& canvas, Tile tile, const Face<T>& face, int32_t index,
                const Textures<const T>& textures, bool hides, T gap, const Parameters<T>& p) {
  const Tile part = clip(face, tile);
  int32_t indices[lanes<T>];
  for (int lane = 0; lane < lanes<T>; ++lane) indices[lane] = index;
  const Real<T> most(face.most_exponent + gap);
  VertexTexture<Real<T>, T> texture;
  if constexpr (mode != Color::none) {
    if (!every_mode || p.texture == Texture::vertex) {
      __builtin_memcpy(texture.corner, textures.of(index), 9 * sizeof(T));
    }
  }
  for_each_pack(face, part, p, [&](int column, int row, int end_column) {
    Coverage<Real<T>> c[1];
    if (!cover_pack<every_mode>(face, column, row, end_column, p, c[0])) return;
    const int64_t first = int64_t(row - tile.first_row) * canvas.stride + (column - tile.first_column);
    put_opacity_of_row<every_mode>(canvas, first, opacity_of<every_mode>(c[0], p), index, p);
    if constexpr (mode != Color::none) {
      Int<T> at[1][lanes<T>];
      for (int lane = 0; lane < lanes<T>; ++lane) at[0][lane] = Int<T>(first + lane);
      put_shaded<every_mode>(canvas, face, c, at, texture, textures, indices, hides, most, p);
    }
  });
}

// ---- wide faces: planes of pixels -------------------------------------------------------------------

// Add what a face does to the colours of the pixels from `at` on; see put_color.
template <typename T, int N>
HOST_DEVICE void put_color_in_planes(const Canvas<T>& canvas, int64_t at, const Contribution<Pack<T, N>>& c, T gap) {
  using P = Pack<T, N>;
  T* exponent = canvas.exponent + at;
  const P before = P::load(exponent), zero(T(0));
  const auto shows = c.exponent + P(gap) >= before;
  const P mine = select(shows, c.exponent, P(-Limits<T>::largest)), after = maximum(before, mine);
  const P shrink = power_of_two(before - after), grow = select(shows, power_of_two(mine - after), zero);
  for (int k = 0; k < 4; ++k) {
    T* sum = canvas.color + k * canvas.plane + at;
    (P::load(sum) * shrink + c.channel[k] * grow).store(sum);
  }
  after.store(exponent);
}

// Whether nothing gets through the pixels from `at` on, so that no face changes their alpha any more.
template <bool every_mode, typename P, typename T>
HOST_DEVICE bool is_opaque(const Canvas<T>& canvas, int64_t at, const Parameters<T>& p) {
  if (every_mode && p.alpha != Alpha::product) return false;
  return !any(P::load(canvas.opacity + at) > P(T(0)));
}

template <Color mode, bool every_mode, typename T>
void draw_wide(const Canvas<T>& canvas, Tile tile, const Face<T>& face, int32_t index, const Textures<const T>& textures,
               T gap, const Parameters<T>& p) {
  using P = Real<T>;
  constexpr int width = Traits<P>::lanes;
  const P most(face.most_exponent + gap);
  int32_t indices[width];
  for (int lane = 0; lane < width; ++lane) indices[lane] = index;
  VertexTexture<P, T> texture;
  if constexpr (mode != Color::none) {
    if (!every_mode || p.texture == Texture::vertex) {
      __builtin_memcpy(texture.corner, textures.of(index), 9 * sizeof(T));
    }
  }
  for_each_pack(face, clip(face, tile), p, [&](int column, int row, int end_column) {
    const int64_t at = int64_t(row - tile.first_row) * canvas.stride + (column - tile.first_column);
    const bool opaque = is_opaque<every_mode, P>(canvas, at, p);
    const auto can_show = [&] { return most >= P::load(canvas.exponent + at); };
    if (opaque && (mode == Color::none || !any(can_show()))) return;
    Coverage<P> c;
    if (!cover_pack<every_mode>(face, column, row, end_column, p, c)) return;
    if (!opaque) put_opacity_of_row<every_mode>(canvas, at, opacity_of<every_mode>(c, p), index, p);
    if constexpr (mode != Color::none) {
      if (!any(c.support & can_show())) return;
      put_color_in_planes(canvas, at, shade<every_mode>(face, c, texture, textures, indices, p), gap);
    }
  });
}

// ---- the end of a tile -----------------------------------------------------------------------------

// Write the lanes of a pack that lie inside of the tile.
template <typename T>
HOST_DEVICE void write(Real<T> value, T* address, int count) {
  if (count >= lanes<T>) return value.store(address);
  for (int i = 0; i < count; ++i) address[i] = value.v[i];
}

// Write `count` pixels of one row, at most as many as there are lanes.
template <bool every_mode, typename T>
HOST_DEVICE void finish_alpha(const Canvas<T>& canvas, int64_t at, const Forward<T>& f, int64_t place, int64_t faces,
                              T* alpha, int count) {
  const Real<T> opacity = Real<T>::load(canvas.opacity + at);
  write(alpha_of<every_mode>(opacity, faces, f.parameters), alpha, count);
  if (!f.transmittance) return;
  const bool index = every_mode && f.parameters.alpha == Alpha::maximum;
  write(index ? Real<T>::load(canvas.greatest + at) : opacity, f.transmittance + place, count);
}

template <typename T>
HOST_DEVICE void finish_softmax(const Canvas<T>& canvas, int64_t at, const Forward<T>& f, int64_t image,
                                int64_t pixel, T* out, int count) {
  const Parameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width, place = image * plane + pixel;
  static_assert(columns<T> >= color_channels);
  Real<T> channel[columns<T>];  // what lies behind the four of a pixel is not used
  if (canvas.plane) {
    for (int k = 0; k < color_channels; ++k) channel[k] = Real<T>::load(canvas.color + k * canvas.plane + at);
  } else {
    load_columns<T, lanes<T>>([&](int lane) { return canvas.color + (at + lane) * color_channels; }, channel);
  }
  const Real<T> exponent = Real<T>::load(canvas.exponent + at);
  const Scaled<T> background = scaled_exponential(p.background_logit);
  const Scaled<Real<T>> weight = {Real<T>(background.fraction), Real<T>(background.exponent)};
  const Real<T> scale = Real<T>(T(1)) / channel[0];
  const Real<T> share = share_of(weight, exponent, scale);
  write(exponent, f.peak + place, count);
  write(channel[0], f.partition + place, count);
  for (int k = 0; k < 3; ++k) {
    const Real<T> behind = background_of(f, image, k, pixel, count);
    write(channel[1 + k] * scale + share * behind, out + k * plane, count);
  }
}

// ---- hard colours: each pixel is shaded once, by the face that nearest_face says is seen -----------

// The prepared faces of a mesh, and their textures.
template <typename T>
struct MeshFaces {
  const Face<T>* faces;
  Textures<const T> textures;
};

// The colours that faces show at pixels (x, y), NDC, a face in each lane.
template <bool every_mode, typename T>
HOST_DEVICE void colors_at(const MeshFaces<T>& mesh, const int32_t (&index)[lanes<T>], Real<T> x, Real<T> y,
                           const Parameters<T>& p, Real<T> out[3]) {
  const Face<T>* picked[lanes<T>];
  for (int lane = 0; lane < lanes<T>; ++lane) picked[lane] = mesh.faces + index[lane];
  FacePack<T> faces;
  load_faces(picked, faces);
  Coverage<Real<T>> c;
  weights_at(faces, x, y, c.weight);
  const auto s = mixed_surface_at<every_mode>(faces, p, c);
  if (every_mode && p.texture == Texture::surface) return load_texels(mesh.textures, index, p.texture_side, s, out);
  VertexTexture<Real<T>, Real<T>> texture;
  load_corners(mesh.textures, index, texture);
  texture.color(s, out);
}

// Write `count` pixels of one row from (row, column) on, at most as many as there are lanes.
template <bool every_mode, typename T>
HOST_DEVICE void finish_hard(const MeshFaces<T>& mesh, const Forward<T>& f, int64_t image, int row, int column, T* out,
                             int count) {
  const Parameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width, pixel = int64_t(row) * p.width + column;
  const int32_t* seen = f.nearest_face + image * plane + pixel;
  Real<T> behind[3];
  for (int k = 0; k < 3; ++k) behind[k] = background_of(f, image, k, pixel, count);
  IntVector<T> faces = broadcast<T>(-1);
  int32_t some = -1;
  for (int lane = 0; lane < lanes<T> && lane < count; ++lane) {
    faces[lane] = seen[lane];
    some = seen[lane] >= 0 ? seen[lane] : some;
  }
  if (some < 0) {
    for (int k = 0; k < 3; ++k) write(behind[k], out + k * plane, count);
    return;
  }
  int32_t index[lanes<T>];
  for (int lane = 0; lane < lanes<T>; ++lane) index[lane] = faces[lane] >= 0 ? int32_t(faces[lane]) : some;
  Real<T> color[3];
  colors_at<every_mode>(mesh, index, centers_x(p, column), Real<T>(center_y(p, row)), p, color);
  const Mask<T> none = {faces < Int<T>(0)};
  for (int k = 0; k < 3; ++k) write(select(none, behind[k], color[k]), out + k * plane, count);
}

// ---- the pixels of a tile --------------------------------------------------------------------------

template <Color mode, bool every_mode, typename T>
void finish(const Canvas<T>& canvas, Tile tile, const MeshFaces<T>& mesh, const Forward<T>& f, int64_t image) {
  const Parameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width, faces = mesh_faces(p, image);
  T* out = f.image + (mode == Color::none ? image : 4 * image) * plane;
  T* alpha = mode == Color::none ? out : out + 3 * plane;
  for (int row = 0; row < tile.rows(); ++row) {
    const int64_t start = int64_t(tile.first_row + row) * p.width + tile.first_column;
    for (int x = 0; x < tile.columns(); x += lanes<T>) {
      const int64_t at = int64_t(row) * canvas.stride + x, pixel = start + x;
      const int count = tile.columns() - x;
      finish_alpha<every_mode>(canvas, at, f, image * plane + pixel, faces, alpha + pixel, count);
      if constexpr (mode == Color::softmax) finish_softmax(canvas, at, f, image, pixel, out + pixel, count);
      if constexpr (mode == Color::hard) {
        finish_hard<every_mode>(mesh, f, image, tile.first_row + row, tile.first_column + x, out + pixel, count);
      }
    }
  }
}

// ---- a tile ----------------------------------------------------------------------------------------

// Draw sorted faces.
template <Color mode, bool every_mode, typename T>
void draw(const Canvas<T>& canvas, Tile tile, const MeshFaces<T>& mesh, const Sorted& sorted, const Face<T>& nothing, T gap,
          const Parameters<T>& p) {
  const bool hides = sorted.depths > double(gap);  // else no face can hide another, and asking costs time
  for (int i = 0; i < sorted.small_count; i += lanes<T>) {
    const Face<T>* picked[lanes<T>];
    int32_t index[lanes<T>];
    const int some = sorted.small_count - i < lanes<T> ? sorted.small_count - i : lanes<T>;
    pick(mesh.faces, sorted.small + i, some, nothing, picked, index);
    draw_small<mode, every_mode>(canvas, tile, picked, index, mesh.textures, hides, gap, p);
  }
  for (int i = 0; i < sorted.large_count; ++i) {
    const int32_t index = sorted.large[i];
    draw_large<mode, every_mode>(canvas, tile, mesh.faces[index], index, mesh.textures, hides, gap, p);
  }
}

// Sort the faces of a list, some at a time, and draw them.
template <Color mode, bool every_mode, typename T>
void draw_list(const Canvas<T>& canvas, Tile tile, const MeshFaces<T>& mesh, const FaceList<T>& list, T gap,
               const Parameters<T>& p) {
  const Face<T> nothing = no_face(p);
  Sorted sorted;
  for (int64_t begin = 0; begin < list.count; begin += sorted_at_once) {
    const int some = list.count - begin < sorted_at_once ? int(list.count - begin) : sorted_at_once;
    sort_faces(list.faces, list.keys, list.list ? list.list + begin : nullptr, int32_t(begin), some, tile, p,
               sorted);
    draw<mode, every_mode>(canvas, tile, mesh, sorted, nothing, gap, p);
  }
}

template <Color mode, bool every_mode, typename T>
void render_tile(const Forward<T>& f, int64_t image, const FaceList<T>& list, Tile tile, T* scratch) {
  // Hard colours are no matter of the faces that are drawn one after the other, see finish_hard.
  constexpr Color drawn = mode == Color::hard ? Color::none : mode;
  const Parameters<T>& p = f.parameters;
  const int stride = tile.columns() + (list.wide ? row_padding<T> : lanes<T>);
  const int64_t pixels = int64_t(stride) * tile.rows();
  T* color = drawn == Color::none ? nullptr : scratch + pixels;
  T* exponent = color ? color + color_channels * pixels : nullptr;
  T* greatest = scratch + (color ? 2 + color_channels : 1) * pixels;
  const bool maximum = every_mode && p.alpha == Alpha::maximum;
  const Canvas<T> canvas = {scratch, color, exponent, maximum ? greatest : nullptr, stride, list.wide ? pixels : 0};
  clear<drawn, every_mode>(canvas, tile.rows(), p);
  const MeshFaces<T> mesh = {list.faces, textures_from(f.face_textures, first_face_of(p, image), p)};
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  if (list.wide) {
    for (int64_t i = 0; i < list.count; ++i) {
      const int32_t index = list.list[i];
      draw_wide<drawn, every_mode>(canvas, tile, list.faces[index], index, mesh.textures, gap, p);
    }
  } else {
    draw_list<drawn, every_mode>(canvas, tile, mesh, list, gap, p);
  }
  finish<mode, every_mode>(canvas, tile, mesh, f, image);
}

template <typename T>
FaceSizes setup(const Forward<T>& f, int64_t begin, int64_t end, Face<T>* out, int32_t* keys) {
  const Parameters<T>& p = f.parameters;
  return setup_faces(f.face_vertices + 9 * begin, textures_from(f.face_textures, begin, p), end - begin, p, out, keys);
}

template <typename T>
void render(const Forward<T>& f, int64_t image, const FaceList<T>& list, Tile tile, T* scratch) {
  with_modes<T>(f.parameters, [&](auto color, auto every_mode) {
    render_tile<color.value, every_mode.value>(f, image, list, tile, scratch);
  });
}

template <typename T>
constexpr ForwardKernels<T> kernels = {setup<T>, render<T>, scratch_size<T>};

}  // namespace

const ForwardKernels<float>& RENDERER_JOIN(float_forward_, INSTRUCTION_SET)() { return kernels<float>; }
const ForwardKernels<double>& RENDERER_JOIN(double_forward_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
