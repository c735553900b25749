// The CPU's forward: the faces of a tile act on the pixels of the tile.
//
// Compiled once for each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#include "lanes.h"

namespace renderer {
namespace {

// ---- the state of the pixels -----------------------------------------------------------------------

// The pixels of a tile, rows of `stride`; some columns more than the tile has, so that a pack of
// pixels may reach over its right border.
template <typename T>
struct Canvas {
  T* opacity;  // see opacity_of
  T* color;    // eight numbers a pixel; null without colour
  int stride;
};

// Softmax: partition, RGB, and the exponent of those four times. Hard: depth, RGB, face.
constexpr int color_channels = 8;
constexpr int exponent_channel = 4, face_channel = 4;

template <typename T>
int64_t scratch_size(const Parameters<T>& p, int columns, int rows) {
  return int64_t(p.color == Color::none ? 1 : 1 + color_channels) * (columns + lanes<T>) * rows;
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
  if constexpr (mode != Color::none) {
    T row[color_channels] = {};
    if constexpr (mode == Color::softmax) {
      const Scaled<T> behind = scaled_exponential(p.background_logit);
      row[0] = behind.fraction;
      for (int k = 0; k < 4; ++k) row[exponent_channel + k] = behind.exponent;
    } else {
      const Int<T> none = -1;
      row[0] = Limits<T>::largest;
      __builtin_memcpy(row + face_channel, &none, sizeof(none));
    }
    for (int64_t i = 0; i < pixels; ++i) __builtin_memcpy(canvas.color + i * color_channels, row, sizeof(row));
  }
}

// ---- what a pack of faces or pixels does to them ---------------------------------------------------

// Colours of texels, each lane from its own face.
template <typename T>
HOST_DEVICE void load_texels(const Textures<const T>& textures, const int32_t (&face)[lanes<T>], int side,
                             const Surface<Real<T>>& s, Real<T> out[3]) {
  for (int lane = 0; lane < lanes<T>; ++lane) {
    const T* texel = textures.of(face[lane]) + 3 * texel_in_lane(s, lane, side);
    for (int k = 0; k < 3; ++k) out[k].v[lane] = texel[k];
  }
}

// What each lane does to its pixel.
template <Color mode, typename T>
struct Contribution {
  Real<T> opacity;
  Real<T> color[3];
  Scaled<Real<T>> weight;  // softmax
  Real<T> depth;           // hard
  Mask<T> visible;
};

// `texture` gives vertex colours; texels are looked up through `textures`.
template <Color mode, bool every_mode, typename R, typename TextureAt, typename T>
HOST_DEVICE void shade(const Outline<R>& face, const Coverage<Real<T>>& c, const TextureAt& texture,
                       const Textures<const T>& textures, const int32_t (&index)[lanes<T>], const Parameters<T>& p,
                       Contribution<mode, T>& out) {
  const auto s = surface_at(face, c);
  out.visible = visible_at(face, c, s, p);
  if constexpr (mode == Color::hard) {
    out.visible = out.visible & within(c.weight);
    out.depth = s.depth;
  } else {
    out.weight = softmax_weight(c, s, p);
  }
  if (every_mode && p.texture == Texture::surface) {
    load_texels(textures, index, p.texture_side, s, out.color);
  } else {
    texture.color(s, out.color);
  }
}

// Let each lane act on its pixel, one after the other: lanes may share a pixel.
template <bool every_mode, typename T>
HOST_DEVICE void put_opacity(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>], Real<T> opacity,
                             const Parameters<T>& p) {
  T each[lanes<T>];
  opacity.store(each);
  for (int lane = 0; lane < lanes<T>; ++lane) {
    T& state = canvas.opacity[at[lane]];
    state = combine_opacity<every_mode>(state, each[lane], p);
  }
}

// The rows of four numbers a pixel are worked on as one.
template <typename T> using Row = Pack<T, 4>;

template <typename T>
HOST_DEVICE void put_color(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>], const int32_t (&)[lanes<T>],
                           const Contribution<Color::softmax, T>& c) {
  T exponent[lanes<T>], rows[lanes<T>][4];
  // Where a face is not visible its weight is nothing: zero times 2 to the least power.
  select(c.visible, c.weight.exponent, Real<T>(-Limits<T>::largest)).store(exponent);
  const Real<T> zero(T(0)), fraction = c.weight.fraction;
  const Real<T> channels[4] = {
      select(c.visible, fraction, zero), select(c.visible, fraction * c.color[0], zero),
      select(c.visible, fraction * c.color[1], zero), select(c.visible, fraction * c.color[2], zero)};
  store_rows(channels, rows);
  for (int lane = 0; lane < lanes<T>; ++lane) {
    T* state = canvas.color + at[lane] * color_channels;
    const Row<T> mine(exponent[lane]), before = Row<T>::load(state + exponent_channel);
    const Row<T> after = maximum(before, mine);
    const Row<T> sum = Row<T>::load(state) * power_of_two(before - after);
    (sum + Row<T>::load(rows[lane]) * power_of_two(mine - after)).store(state);
    after.store(state + exponent_channel);
  }
}

template <typename T>
HOST_DEVICE void put_color(const Canvas<T>& canvas, const Int<T> (&at)[lanes<T>], const int32_t (&face)[lanes<T>],
                           const Contribution<Color::hard, T>& c) {
  T depth[lanes<T>], rows[lanes<T>][4];
  select(c.visible, c.depth, Real<T>(Limits<T>::largest)).store(depth);  // never nearer than nothing
  const Real<T> channels[4] = {c.depth, c.color[0], c.color[1], c.color[2]};
  store_rows(channels, rows);
  for (int lane = 0; lane < lanes<T>; ++lane) {
    T* state = canvas.color + at[lane] * color_channels;
    Int<T> seen;
    __builtin_memcpy(&seen, state + face_channel, sizeof(seen));
    const bool yields = yields_to(state[0], int32_t(seen), depth[lane], face[lane]);
    seen = yields ? Int<T>(face[lane]) : seen;
    const T* chosen = yields ? rows[lane] : state;  // no branch: either is as likely
    __builtin_memcpy(state + face_channel, &seen, sizeof(seen));
    Row<T>::load(chosen).store(state);
  }
}

// ---- small faces: one in each lane -----------------------------------------------------------------

template <Color mode, bool every_mode, typename T>
void draw_small(const Canvas<T>& canvas, Tile tile, const Face<T>* const (&picked)[lanes<T>],
                const int32_t (&index)[lanes<T>], const Textures<const T>& textures, const Parameters<T>& p) {
  FacePack<T> faces;
  load_faces(picked, faces);
  VertexTexture<Real<T>, Real<T>> texture;
  if constexpr (mode != Color::none) {
    if (!every_mode || p.texture == Texture::vertex) load_corners(textures, index, texture);
  }
  for (Walk<T> walk(faces, tile, canvas.stride, p); any(walk.active());) {
    Coverage<Real<T>> c[steps];
    Int<T> at[steps][lanes<T>];
    cover_steps<every_mode>(faces, walk, p, c, at);
    Contribution<mode, T> contribution[steps];
    for (int i = 0; i < steps; ++i) {
      contribution[i].opacity = opacity_of<every_mode>(c[i], p);
      if constexpr (mode != Color::none) {
        shade<mode, every_mode>(faces, c[i], texture, textures, index, p, contribution[i]);
      }
    }
    for (int i = 0; i < steps; ++i) {
      put_opacity<every_mode>(canvas, at[i], contribution[i].opacity, p);
      if constexpr (mode != Color::none) put_color(canvas, at[i], index, contribution[i]);
    }
  }
}

// ---- large faces: neighbouring pixels in the lanes -------------------------------------------------

template <Color mode, bool every_mode, typename T>
void draw_large(const Canvas<T>& canvas, Tile tile, const Face<T>& face, int32_t index,
                const Textures<const T>& textures, const Parameters<T>& p) {
  const Tile part = clip(face, tile);
  int32_t indices[lanes<T>];
  for (int lane = 0; lane < lanes<T>; ++lane) indices[lane] = index;
  VertexTexture<Real<T>, T> texture;
  if constexpr (mode != Color::none) {
    if (!every_mode || p.texture == Texture::vertex) __builtin_memcpy(texture.corner, textures.of(index), 9 * sizeof(T));
  }
  for (int y = part.first_row; y < part.end_row; ++y) {
    const Real<T> center(center_y(p, y));
    for (int x = part.first_column; x < part.end_column; x += lanes<T>) {
      const Real<T> centers = centers_x(p, x);
      auto c = cover<every_mode>(face, p, centers, center);
      c.support = c.support & before(p, part.end_column, centers);
      if (!any(c.support)) continue;
      attenuate(c);
      const int64_t first = int64_t(y - tile.first_row) * canvas.stride + (x - tile.first_column);
      Contribution<mode, T> contribution;
      contribution.opacity = opacity_of<every_mode>(c, p);
      T* state = canvas.opacity + first;
      combine_opacity<every_mode>(Real<T>::load(state), contribution.opacity, p).store(state);
      if constexpr (mode != Color::none) {
        Int<T> at[lanes<T>];
        for (int lane = 0; lane < lanes<T>; ++lane) at[lane] = Int<T>(first + lane);
        shade<mode, every_mode>(face, c, texture, textures, indices, p, contribution);
        put_color(canvas, at, indices, contribution);
      }
    }
  }
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
  if (f.transmittance) write(opacity, f.transmittance + place, count);
}

template <Color mode, typename T>
HOST_DEVICE void finish_color(const Canvas<T>& canvas, int64_t at, const Forward<T>& f, int64_t image, int64_t pixel,
                              T* out, int count) {
  const Parameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width, place = image * plane + pixel;
  Real<T> channel[color_channels], behind[3];
  for (int first = 0; first < color_channels; first += lanes<T>) {
    Real<T> rows[lanes<T>];
    for (int i = 0; i < lanes<T>; ++i) rows[i] = Real<T>::load(canvas.color + (at + i) * color_channels + first);
    transpose(rows);
    for (int i = 0; i < lanes<T>; ++i) channel[first + i] = rows[i];
  }
  for (int k = 0; k < 3; ++k) behind[k] = background_of(f, image, k, pixel, count);
  if constexpr (mode == Color::softmax) {
    const Scaled<T> background = scaled_exponential(p.background_logit);
    const Scaled<Real<T>> weight = {Real<T>(background.fraction), Real<T>(background.exponent)};
    const Real<T> scale = Real<T>(T(1)) / channel[0];
    const Real<T> share = share_of(weight, channel[exponent_channel], scale);
    write(channel[exponent_channel], f.peak + place, count);
    write(channel[0], f.partition + place, count);
    for (int k = 0; k < 3; ++k) write(channel[1 + k] * scale + share * behind[k], out + k * plane, count);
  } else {
    const IntVector<T> seen = (IntVector<T>)channel[face_channel].v;
    for (int i = 0; i < count && i < lanes<T>; ++i) f.nearest_face[place + i] = int32_t(seen[i]);
    const Mask<T> none = {seen < Int<T>(0)};
    for (int k = 0; k < 3; ++k) write(select(none, behind[k], channel[1 + k]), out + k * plane, count);
  }
}

template <Color mode, bool every_mode, typename T>
void finish(const Canvas<T>& canvas, Tile tile, const Forward<T>& f, int64_t image) {
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
      if constexpr (mode != Color::none) finish_color<mode>(canvas, at, f, image, pixel, out + pixel, count);
    }
  }
}

// ---- a tile ----------------------------------------------------------------------------------------

template <Color mode, bool every_mode, typename T>
void render_tile(const Forward<T>& f, int64_t image, const Face<T>* faces, const int32_t* list, int64_t count,
                 Tile tile, T* scratch) {
  const Parameters<T>& p = f.parameters;
  const int stride = tile.columns() + lanes<T>;
  const Canvas<T> canvas = {scratch, mode == Color::none ? nullptr : scratch + int64_t(stride) * tile.rows(), stride};
  clear<mode, every_mode>(canvas, tile.rows(), p);
  const int64_t first_face = first_face_of(p, image);
  const int numbers = mode == Color::none ? 0 : texture_numbers(p);
  const Textures<const T> textures = {f.face_textures + first_face * numbers, numbers};
  const Face<T> nothing = no_face(p);
  Sorted sorted;
  for (int64_t begin = 0; begin < count; begin += sorted_at_once) {
    const int some = count - begin < sorted_at_once ? int(count - begin) : sorted_at_once;
    sort_faces(faces, list ? list + begin : nullptr, int32_t(begin), some, tile, sorted);
    for (int i = 0; i < sorted.small_count; i += lanes<T>) {
      const Face<T>* picked[lanes<T>];
      int32_t index[lanes<T>];
      pick(faces, sorted, i, nothing, picked, index);
      draw_small<mode, every_mode>(canvas, tile, picked, index, textures, p);
    }
    for (int i = 0; i < sorted.large_count; ++i) {
      draw_large<mode, every_mode>(canvas, tile, faces[sorted.large[i]], sorted.large[i], textures, p);
    }
  }
  finish<mode, every_mode>(canvas, tile, f, image);
}

template <typename T>
void setup(const T* face_vertices, const Parameters<T>& p, int64_t begin, int64_t end, Face<T>* out) {
  setup_faces(face_vertices + 9 * begin, end - begin, p, out);
}

template <typename T>
void render(const Forward<T>& f, int64_t image, const Face<T>* faces, const int32_t* list, int64_t count, Tile tile,
            T* scratch) {
  with_modes<T>(f.parameters, [&](auto color, auto every_mode) {
    render_tile<color.value, every_mode.value>(f, image, faces, list, count, tile, scratch);
  });
}

template <typename T>
constexpr ForwardKernels<T> kernels = {setup<T>, render<T>, scratch_size<T>};

}  // namespace

const ForwardKernels<float>& RENDERER_JOIN(float_forward_, INSTRUCTION_SET)() { return kernels<float>; }
const ForwardKernels<double>& RENDERER_JOIN(double_forward_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
