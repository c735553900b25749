// Faces with numbers of their own on the CPU: what they make of pixels, and the gradient that comes back to them.
//
// The lanes of a pack hold pixels of the box of one face, row by row. Compiled once for each instruction set, with
// INSTRUCTION_SET naming it; see lanes.h.
#include "blends_cpu.h"
#include "layer_lanes.h"

namespace renderer {
namespace {

// ---- faces -----------------------------------------------------------------------------------------

// The radius of the support of faces from `face` on, one in each lane; the last is repeated.
template <typename T>
HOST_DEVICE Real<T> radius_of(const LayersForward<T>& f, int64_t face, int count) {
  const LayerParameters<T>& p = f.parameters;
  if (!f.face_sigma) return Real<T>(p.support_radius);
  Real<T> sigma;
  for (int lane = 0; lane < lanes<T>; ++lane) sigma.v[lane] = f.face_sigma[face + (lane < count ? lane : count - 1)];
  return square_root(minimum(sigma * Real<T>(p.reach), Real<T>(Limits<T>::largest * T(1e-3))));
}

template <typename T>
HOST_DEVICE Mask<T> usable_lanes(const LayersForward<T>& f, int64_t face, int count) {
  IntVector<T> usable = broadcast<T>(0);
  for (int lane = 0; lane < count; ++lane) {
    const int64_t at = face + lane;
    const T opacity = f.face_opacity ? f.face_opacity[at] : T(1), sigma = f.face_sigma ? f.face_sigma[at] : f.parameters.sigma;
    usable[lane] = -Int<T>(has_usable_numbers(f, opacity, sigma, at));
  }
  return {usable};
}

template <typename T>
void setup(const LayersForward<T>& f, int64_t begin, int64_t end, Face<T>* out) {
  const T zeros[9] = {};  // not drawable
  for (int64_t face = begin; face < end; face += lanes<T>, out += lanes<T>) {
    const int count = end - face < lanes<T> ? int(end - face) : lanes<T>;
    const T* each[lanes<T>];
    for (int lane = 0; lane < lanes<T>; ++lane) each[lane] = lane < count ? f.face_vertices + 9 * (face + lane) : zeros;
    Real<T> corners[9];
    load_positions(each, corners);
    const Parameters<T>& p = f.parameters;
    store_faces(prepare(corners, usable_lanes(f, face, count), radius_of(f, face, count), p), count, out);
  }
}

// ---- the pixels of a face --------------------------------------------------------------------------

// The pixels of a box, row by row, as many at a time as there are lanes. `index` is the number of the pixel in rows of
// `stride` pixels that begin at (row, column), and 0 in lanes beyond the end of the box, which are not active.
template <typename T>
struct BoxWalk {
  Real<T> x, y;  // 2 column + 1 - W and H - 1 - 2 row, see center_x
  Real<T> end_x, end_y, across, down, wrap;
  IntVector<T> at;
  Int<T> step, skip;

  HOST_DEVICE BoxWalk(Tile box, int row, int column, int stride, const Parameters<T>& p) {
    const int columns = box.columns(), rows_down = lanes<T> / columns, columns_across = lanes<T> - rows_down * columns;
    const Real<T> lane = lane_numbers<Real<T>>(), two(T(2));
    const Real<T> in_row = truncate((lane + Real<T>(T(0.5))) * Real<T>(T(1) / T(columns)));
    const Real<T> in_column = lane - in_row * Real<T>(T(columns));
    x = Real<T>(T(2 * box.first_column + 1 - p.width)) + two * in_column;
    y = Real<T>(T(p.height - 1 - 2 * box.first_row)) - two * in_row;
    end_x = Real<T>(T(2 * box.end_column + 1 - p.width));
    end_y = Real<T>(T(p.height - 1 - 2 * box.end_row));
    across = Real<T>(T(2 * columns_across));
    down = Real<T>(T(2 * rows_down));
    wrap = Real<T>(T(2 * columns));
    const Real<T> ahead = in_row * Real<T>(T(stride - columns)) + lane;
    at = __builtin_convertvector(ahead.v, IntVector<T>) +
         Int<T>(Int<T>(box.first_row - row) * stride + (box.first_column - column));
    step = Int<T>(rows_down) * stride + columns_across;
    skip = Int<T>(stride - columns);
  }
  HOST_DEVICE Mask<T> active() const { return y > end_y; }
  HOST_DEVICE IntVector<T> index() const { return at & active().v; }
  HOST_DEVICE void next() {
    x += across;
    const auto over = x >= end_x;
    x = select(over, x - wrap, x);
    y = y - down - select(over, Real<T>(T(2)), Real<T>(T(0)));
    at += step + (over.v & (skip - IntVector<T>{}));
  }
};

// Call visit(coverage, numbers of the pixels) for the pixels of a box that hold a part of the support of a face.
template <bool every_mode, typename T, typename Visit>
HOST_DEVICE void for_each_covered(const Face<T>& face, Tile box, Tile area, const LayerParameters<T>& p, const Visit& visit) {
  const Real<T> scale(p.inverse_shorter);
  for (BoxWalk<T> walk(box, area.first_row, area.first_column, area.columns(), p); any(walk.active()); walk.next()) {
    Coverage<Real<T>> c = cover<every_mode>(face, p, product(walk.x, scale), product(walk.y, scale));
    c.support = c.support & walk.active();
    if (!any(c.support)) continue;
    attenuate<every_mode>(c, p);
    Int<T> at[lanes<T>];
    store_lanes<T>(walk.index(), at);
    visit(c, at);
  }
}

// ---- what faces make of pixels ---------------------------------------------------------------------

template <bool every_mode, typename T>
HOST_DEVICE void put_state(Blended<T>* pixels, const Int<T> (&at)[lanes<T>], unsigned bits, int32_t face, Real<T> state,
                           const Parameters<T>& p) {
  T each[lanes<T>];
  state.store(each);
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    add_state<every_mode>(pixels[at[lane]], face, each[lane], p);
  }
}

template <typename T>
HOST_DEVICE Real<T> exponents_at(const Blended<T>* pixels, const Int<T> (&at)[lanes<T>]) {
  Real<T> exponent;
  for (int lane = 0; lane < lanes<T>; ++lane) exponent.v[lane] = pixels[at[lane]].sum.exponent;
  return exponent;
}

// Colours of the lanes, each as three numbers.
template <typename T>
struct LaneColors {
  T channel[3][lanes<T>];

  HOST_DEVICE explicit LaneColors(const Real<T> (&color)[3]) {
    for (int k = 0; k < 3; ++k) color[k].store(channel[k]);
  }
  HOST_DEVICE void of(int lane, T out[3]) const {
    for (int k = 0; k < 3; ++k) out[k] = channel[k][lane];
  }
};

template <typename T>
HOST_DEVICE void put_weighted(Blended<T>* pixels, const Int<T> (&at)[lanes<T>], unsigned bits, Scaled<Real<T>> weight,
                              const LaneColors<T>& colors) {
  T fraction[lanes<T>], exponent[lanes<T>];
  weight.fraction.store(fraction);
  weight.exponent.store(exponent);
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    T color[3];
    colors.of(lane, color);
    accumulate(pixels[at[lane]].sum, Scaled<T>{fraction[lane], exponent[lane]}, color);
  }
}

template <typename T>
HOST_DEVICE void put_nearest(Blended<T>* pixels, const Int<T> (&at)[lanes<T>], unsigned bits, int32_t face, Real<T> depth,
                             const LaneColors<T>& colors) {
  T each[lanes<T>];
  depth.store(each);
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    T color[3];
    colors.of(lane, color);
    add_nearest(pixels[at[lane]], face, each[lane], color);
  }
}

// Shade a face at the pixels of the lanes where it can show: with softmax see hidden_gap, which is added to most_exponent
// in `most`.
template <Color mode, bool every_mode, typename T>
HOST_DEVICE void put_color(Blended<T>* pixels, const Int<T> (&at)[lanes<T>], const Face<T>& face, int32_t number,
                           const Coverage<Real<T>>& c, Real<T> opacity, const FaceTexture<T>& texture, Real<T> most,
                           const LayerParameters<T>& p) {
  const Mask<T> some = mode == Color::softmax ? c.support & (most >= exponents_at(pixels, at)) : c.support & within(c.weight);
  if (!any(some)) return;
  const Surface<Real<T>> s = mixed_surface_at<every_mode>(face, p, c);
  const unsigned bits = lane_bits(some & visible_at(face, c, s, p));
  if (bits == 0) return;
  Real<T> color[3];
  texture.color(s, color);
  if constexpr (mode == Color::softmax) {
    put_weighted(pixels, at, bits, weight_of_opacity(s.depth, opacity, p), LaneColors<T>(color));
  } else {
    put_nearest(pixels, at, bits, number, s.depth, LaneColors<T>(color));
  }
}

template <Color mode, bool every_mode, typename T>
void blend_face(const LayersForward<T>& f, int64_t first_face, int32_t number, const Face<T>& face, Tile tile, T gap,
                Blended<T>* pixels) {
  const Tile box = clip(face, tile);
  if (box.columns() <= 0 || box.rows() <= 0) return;
  const LayerParameters<T> p = parameters_of_face(f, first_face + number);
  const FaceTexture<T> texture = texture_of<T>(f, first_face + number, nullptr);
  const Real<T> most(face.most_exponent + gap);
  for_each_covered<every_mode>(face, box, tile, p, [&](const Coverage<Real<T>>& c, const Int<T> (&at)[lanes<T>]) {
    const Opacity<Real<T>> a = opacity_at<every_mode>(c, p);
    put_state<every_mode>(pixels, at, lane_bits(c.support), number, state_of<every_mode>(a, p), p);
    if constexpr (mode != Color::none) put_color<mode, every_mode>(pixels, at, face, number, c, a.own, texture, most, p);
  });
}

template <Color mode, bool every_mode, typename T>
void blend_faces(const LayersForward<T>& f, int64_t image, const TileFaces<T>& mesh, Tile tile, Scaled<T> behind,
                 Blended<T>* pixels) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t count = int64_t(tile.columns()) * tile.rows();
  const Blended<T> clear = clear_blended<every_mode>(behind, p);
  for (int64_t i = 0; i < count; ++i) pixels[i] = clear;
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  for (int64_t i = 0; i < mesh.count; ++i) {
    const int32_t number = mesh.list ? mesh.list[i] : int32_t(i);
    blend_face<mode, every_mode>(f, first_face_of(p, image), number, mesh.faces[number], tile, gap, pixels);
  }
}

template <typename T>
void render(const LayersForward<T>& f, int64_t image, const TileFaces<T>& mesh, Tile tile, Blended<T>* pixels) {
  const LayerParameters<T>& p = f.parameters;
  const Scaled<T> behind = scaled_exponential(p.background_logit);
  with_modes<T>(p, [&](auto color, auto every_mode) {
    blend_faces<color.value, every_mode.value>(f, image, mesh, tile, behind, pixels);
  });
  for (int y = tile.first_row; y < tile.end_row; ++y) {
    for (int x = tile.first_column; x < tile.end_column; ++x) {
      write_blended(f, *pixels++, behind, image, int64_t(y) * p.width + x);
    }
  }
}

// ---- what comes back -------------------------------------------------------------------------------

// The numbers of a row, of which silhouettes have the first two. The softmax has an exponent where hard colours have the
// face that is seen; of the maximum the face it takes is kept.
enum Channel { alpha_channel, kept_channel, red_channel, mean_channel = 5, exponent_channel, partition_channel };
constexpr int color_channels = 8;
template <Color mode> constexpr int channels_of = mode == Color::none ? 2 : color_channels;

template <Color mode, bool every_mode, typename T>
HOST_DEVICE void lay_out_pixel(const LayersBackward<T>& b, int64_t image, int64_t pixel, T* row) {
  const LayerParameters<T>& p = b.forward.parameters;
  const int64_t at = image * p.height * p.width + pixel;
  const Blended<T> all = kept_blended(b.kept + at * kept_numbers(p), p);
  const PixelGradient<T> g = blended_vjp<every_mode>(b, all, image, pixel);
  row[alpha_channel] = g.alpha;
  row[kept_channel] = g.kept;
  if (every_mode && p.alpha == Alpha::maximum) store_index(all.noted, row + kept_channel);
  if constexpr (mode != Color::none) {
    for (int k = 0; k < 3; ++k) row[red_channel + k] = g.color[k];
    row[mean_channel] = g.mean;
    row[exponent_channel] = g.exponent;
    row[partition_channel] = g.inverse_partition;
    if constexpr (mode == Color::hard) store_index(all.nearest, row + exponent_channel);
  }
}

template <typename T>
void lay_out(const LayersBackward<T>& b, int64_t image, int begin, int end, T* rows) {
  const LayerParameters<T>& p = b.forward.parameters;
  with_modes<T>(p, [&](auto color, auto every_mode) {
    for (int64_t pixel = int64_t(begin) * p.width; pixel < int64_t(end) * p.width; ++pixel) {
      lay_out_pixel<color.value, every_mode.value>(b, image, pixel, rows + pixel * channels_of<color.value>);
    }
  });
}

template <Color mode, bool every_mode, typename T>
HOST_DEVICE PixelGradient<Real<T>> load_rows(const T* rows, const Int<T> (&at)[lanes<T>], int32_t face) {
  PixelGradient<Real<T>> out;
  Real<T> channel[color_channels];
  if constexpr (mode == Color::none) {
    for (int lane = 0; lane < lanes<T>; ++lane) {
      for (int k = 0; k < channels_of<mode>; ++k) channel[k].v[lane] = rows[int64_t(at[lane]) * channels_of<mode> + k];
    }
  } else {
    for (int first = 0; first < color_channels; first += columns<T>) {
      load_columns<T, lanes<T>>([&](int lane) { return rows + int64_t(at[lane]) * color_channels + first; }, channel + first);
    }
    for (int k = 0; k < 3; ++k) out.color[k] = channel[red_channel + k];
    out.mean = channel[mean_channel];
    out.exponent = channel[exponent_channel];
    out.inverse_partition = channel[partition_channel];
    out.seen = {(IntVector<T>)channel[exponent_channel].v == broadcast<T>(face)};
  }
  out.alpha = channel[alpha_channel];
  out.kept = channel[kept_channel];
  out.greatest = {(IntVector<T>)channel[kept_channel].v == broadcast<T>(face)};
  return out;
}

// The pixels in whose colour a face can show.
template <Color mode, typename T>
HOST_DEVICE Mask<T> shown(const Coverage<Real<T>>& c, const PixelGradient<Real<T>>& pixel, Real<T> most) {
  if constexpr (mode == Color::softmax) return c.support & (most >= pixel.exponent);
  return c.support & pixel.seen;
}

template <Color mode, bool every_mode, typename T>
void gather_face(const LayersBackward<T>& b, int64_t first_face, int32_t number, const Face<T>& face, T gap, const T* rows) {
  const int64_t index = first_face + number;
  clear_gradient(b, index);
  if (face.empty()) return;
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T> p = parameters_of_face(f, index);
  const Tile whole = {0, p.width, 0, p.height};
  const Real<T> most(face.most_exponent + gap);
  FaceTexture<T> texture = texture_of(f, index, b.grad_face_textures + index * texture_numbers(p));
  LayerGradient<Real<T>> g;
  clear(g);
  for_each_covered<every_mode>(face, clip(face, whole), whole, p, [&](const Coverage<Real<T>>& c, const Int<T> (&at)[lanes<T>]) {
    const Opacity<Real<T>> a = opacity_at<every_mode>(c, p);
    const PixelGradient<Real<T>> pixel = load_rows<mode, every_mode>(rows, at, number);
    Real<T> grad_opacity = alpha_gradient<every_mode>(pixel, a, p);
    if constexpr (mode != Color::none) {
      const Mask<T> some = shown<mode>(c, pixel, most);
      if (any(some)) grad_opacity += face_color_vjp<every_mode>(g, texture, face, c, a.own, pixel, some, p);
    }
    opacity_at_vjp<every_mode>(g, face, c, a, p, grad_opacity);
  });
  write_gradient(b, index, face, g, texture);
}

template <typename T>
void gather(const LayersBackward<T>& b, int64_t image, const Face<T>* faces, int64_t begin, int64_t end, const T* rows) {
  const LayerParameters<T>& p = b.forward.parameters;
  const int64_t first_face = first_face_of(p, image);
  const T gap = hidden_gap<T>(mesh_faces(p, image));
  with_modes<T>(p, [&](auto color, auto every_mode) {
    for (int64_t i = begin; i < end; ++i) {
      gather_face<color.value, every_mode.value>(b, first_face, int32_t(i), faces[i], gap, rows);
    }
  });
}

template <typename T>
constexpr BlendKernels<T> kernels = {setup<T>, render<T>, lay_out<T>, gather<T>};

}  // namespace

const BlendKernels<float>& RENDERER_JOIN(float_blends_, INSTRUCTION_SET)() { return kernels<float>; }
const BlendKernels<double>& RENDERER_JOIN(double_blends_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
