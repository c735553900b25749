// Layers of faces, composed front to back: color "over". blends.h has what else the fragments of pixels can make.
//
// The faces of a pixel are sorted by depth, and with the opacity a_i = o_i W_i of face i there, T_i = prod_{j<i} (1 - a_j)
//   C = sum_i T_i a_i c_i + T_end background,  alpha = 1 - T_end:
// Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984, the operator "over". W is the window of the face, a function
// of where the pixel lies, and o its own opacity. Each function f is followed by its f_vjp with the derivation.
#pragma once

#include "fragment.h"

namespace renderer {

// The window W of a face, from x = +-d^2 / sigma (see coverage.h), or from where the pixel lies in the triangle:
//   distribution  the coverage D of the other colours, by any distribution;
//   exp_clipped   exp(min(x, 0)): 1 inside, exp(-d^2 / sigma) outside, so that neighbours leave no seam;
//   incenter      (phi / phi_incenter)^sigma inside, nothing outside, with phi the distance to the nearest edge, at the
//                 incenter the inradius: Held et al., "Triangle Splatting for Real-Time Radiance Field Rendering", 2025;
//   compact       exp(-e^(2 sigma) / 2), e = 1 - 3 min_k w_k with barycentric coordinates w, so 0 at the centroid and 1 at the
//                 edges: Sheng et al., "2D Triangle Splatting for Direct Differentiable Mesh Training", 2025.
enum class Window : int { distribution = 0, exp_clipped = 1, incenter = 2, compact = 3 };
constexpr int windows = 4;
// What faces are sorted by: their depth at the pixel, or the mean depth of their corners.
enum class Order : int { pixel = 0, centroid = 1 };
constexpr int orders = 2;

// Where the derivative of a window can be infinite, at a ratio of zero of the distances that it is a power of, the
// ratio is cut to this: the value changes by this to the power of sigma, within a ten-millionth of the size of a face.
template <typename T> constexpr T least_ratio = T(1e-7);

// What a call says, and below it what holds for one face, see parameters_of_face.
template <typename T>
struct LayerParameters : Parameters<T> {
  bool over;             // front to back, as this file says; else as `color` and `alpha` say, see blends.h
  Window window;
  Order order;
  T reach;               // the support ends at d^2 = reach sigma, or (compact) at log e = reach / (2 sigma)
  T stop_transmittance;  // what lies behind a transmittance below this is left out

  T sigma, opacity;
  T mean_depth;          // of the corners
  T inradius;            // NDC (incenter)
  T most_eccentricity;   // the support ends there (compact)
};

struct LayerSettings : Settings {
  bool over = true;
  Window window = Window::distribution;
  Order order = Order::pixel;
  double stop_transmittance = 0;
};

template <typename T>
LayerParameters<T> make_layer_parameters(const LayerSettings& s, int height, int width) {
  LayerParameters<T> p = {};
  static_cast<Parameters<T>&>(p) = make_parameters<T>(s, height, width);
  p.over = s.over;
  p.window = s.window;
  p.order = s.order;
  p.stop_transmittance = T(s.stop_transmittance);
  p.sigma = T(s.sigma);
  const double exponent = std::log(1.0 / s.dist_eps);
  if (s.window == Window::distribution) p.reach = T(make_parameters<double>(s, height, width).support_square / s.sigma);
  if (s.window == Window::exp_clipped) p.reach = T(exponent);
  if (s.window == Window::compact) p.reach = T(std::log(2.0 * exponent));
  return p;
}

// Forward.
template <typename T>
struct LayersForward {
  LayerParameters<T> parameters;
  // in
  const T* face_vertices;  // [faces, 3, 3] NDC x, NDC y, view depth
  const T* face_textures;  // [faces, 3, 3] or [faces, R * R, 3] RGB
  const T* face_opacity;   // [faces], or null: 1
  const T* face_sigma;     // [faces], or null: that of the call
  const T* background;     // [3] or [B, 3, H, W] RGB
  // out
  T* image;                // rgba [B, 4, H, W]
  T* transmittance;        // [B, H, W] T_end, or the share of the background in the colour
  T* kept;                 // [B, H, W, kept_numbers] see blends.h; null with color "over"
};

// Backward: the layers of each pixel are found and sorted again.
template <typename T>
struct LayersBackward {
  LayersForward<T> forward;  // what it read; its outputs are null
  // forward out, not read with color "over"
  const T* image;
  const T* kept;
  // grad out
  const T* grad_image;       // [B, 4, H, W]
  // grad in
  T* grad_face_vertices;     // [faces, 3, 3]
  T* grad_face_textures;     // like face_textures
  T* grad_face_opacity;      // [faces], or null
  T* grad_face_sigma;        // [faces], or null
};

// ---- one face --------------------------------------------------------------------------------------

// The radius of the circle that touches the three edges: twice the area over the perimeter.
template <typename T>
HOST_DEVICE T inradius_of(const Outline<T>& face) {
  T perimeter(0);
  for (int k = 0; k < 3; ++k) perimeter += T(1) / square_root(face.inverse_length[k]);
  return T(1) / (absolute(face.inverse_area) * perimeter);
}

// Add dL/d(x, y) of the corners for dL/dr, r = |A| / P with twice the area A and the perimeter P:
//   dA/dx_j = -edge_y[j + 1],  dA/dy_j = edge_x[j + 1],  dP/dv_j = edge[j - 1] / |edge[j - 1]| - edge[j] / |edge[j]|,
//   dr/dv_j = r (dA/dv_j / A - dP/dv_j / P).
template <typename T>
HOST_DEVICE void inradius_vjp(const Outline<T>& face, T grad_inradius, T grad_x[3], T grad_y[3]) {
  T perimeter(0), inverse[3];
  for (int k = 0; k < 3; ++k) {
    inverse[k] = square_root(face.inverse_length[k]);
    perimeter += T(1) / inverse[k];
  }
  const T scale = grad_inradius * inradius_of(face);
  for (int j = 0; j < 3; ++j) {
    const int next = j == 2 ? 0 : j + 1, before = j == 0 ? 2 : j - 1;
    const T along_x = face.edge_x[before] * inverse[before] - face.edge_x[j] * inverse[j];
    const T along_y = face.edge_y[before] * inverse[before] - face.edge_y[j] * inverse[j];
    grad_x[j] += scale * (-face.edge_y[next] * face.inverse_area - along_x / perimeter);
    grad_y[j] += scale * (face.edge_x[next] * face.inverse_area - along_y / perimeter);
  }
}

// How far the support of a face reaches beyond its bounding box (compact): the triangle is scaled about its centroid.
template <typename T>
HOST_DEVICE T scaled_margin(const T corners[9], T scale) {
  const T x = (corners[0] + corners[3] + corners[6]) / T(3), y = (corners[1] + corners[4] + corners[7]) / T(3);
  T square(0);
  for (int k = 0; k < 3; ++k) {
    const T away_x = corners[3 * k] - x, away_y = corners[3 * k + 1] - y;
    square = maximum(square, away_x * away_x + away_y * away_y);
  }
  return minimum((scale - T(1)) * square_root(square), square_root(Limits<T>::largest) * T(1e-3));
}

// The parameters of one face of the batch. Quotients are cut as in make_parameters.
template <typename T>
HOST_DEVICE LayerParameters<T> parameters_of_face(const LayersForward<T>& f, int64_t face) {
  LayerParameters<T> p = f.parameters;
  const T* corners = f.face_vertices + 9 * face;
  const T bound = Limits<T>::largest * T(1e-3);
  p.opacity = f.face_opacity ? f.face_opacity[face] : T(1);
  p.mean_depth = (corners[2] + corners[5] + corners[8]) / T(3);
  if (f.face_sigma) p.sigma = f.face_sigma[face];
  if (f.face_sigma || p.window != Window::distribution) {
    p.inverse_sigma = minimum(T(1) / p.sigma, bound);
    p.inverse_root_sigma = square_root(p.inverse_sigma);
    p.support_square = minimum(p.sigma * p.reach, bound);
    p.support_radius = square_root(p.support_square);
  }
  if (p.window == Window::incenter) p.support_square = p.support_radius = T(0);
  if (p.window == Window::compact) {
    p.most_eccentricity = exponential(minimum(p.reach / (T(2) * p.sigma), T(80)));
    p.support_radius = scaled_margin(corners, p.most_eccentricity);
  }
  return p;
}

// Whether the numbers a face brings besides its corners, of which its opacity and sigma are given, can be used.
template <typename T>
HOST_DEVICE bool has_usable_numbers(const LayersForward<T>& f, T opacity, T sigma, int64_t face) {
  const LayerParameters<T>& p = f.parameters;
  const int side = p.texture_side, numbers = p.texture == Texture::vertex ? 9 : 3 * side * side;
  return are_finite(f.face_textures + face * numbers, numbers) && is_finite(opacity) && is_finite(sigma) && sigma > T(0);
}

// Prepare a face of the batch.
template <typename T>
HOST_DEVICE Face<T> setup_layer(const LayersForward<T>& f, int64_t face) {
  const LayerParameters<T> p = parameters_of_face(f, face);
  return setup_face(f.face_vertices + 9 * face, has_usable_numbers(f, p.opacity, p.sigma, face), p);
}

// The parameters of a face that is prepared. With the window "incenter" distances are in inradii.
template <typename T>
HOST_DEVICE LayerParameters<T> parameters_of_face(const LayersForward<T>& f, int64_t face, const Outline<T>& outline) {
  LayerParameters<T> p = parameters_of_face(f, face);
  if (p.window == Window::incenter) {
    p.inradius = inradius_of(outline);
    p.inverse_sigma = minimum(T(1) / (p.inradius * p.inradius), Limits<T>::largest * T(1e-3));
  }
  return p;
}

// ---- a face at a pixel -----------------------------------------------------------------------------

template <typename Real>
struct Layer {
  using Mask = typename Traits<Real>::Mask;
  Coverage<Real> c;
  Surface<Real> s;
  Mask visible;    // it gives a fragment
  Real window;     // W
  Real opacity;    // a = o W
  Real through;    // 1 - a
  Real ratio;      // what the window is a power of (incenter: squared; compact), cut to least_ratio
  Real logarithm;  // of it
  Mask free;       // it is not cut
};

// e = 1 - 3 min_k w_k.
template <typename Real>
HOST_DEVICE Real eccentricity_of(const Coverage<Real>& c) {
  using T = typename Traits<Real>::Scalar;
  return Real(T(1)) - Real(T(3)) * minimum(c.weight[0], minimum(c.weight[1], c.weight[2]));
}

// Set the ratio, its logarithm and the window, for the two windows that are powers. c.exponent is (d / inradius)^2 with
// the window "incenter", whose rounding may pass 1.
template <typename Real, typename T>
HOST_DEVICE void raise(Layer<Real>& l, const LayerParameters<T>& p) {
  const bool compact = p.window == Window::compact;
  const Real ratio = compact ? eccentricity_of(l.c) : minimum(l.c.exponent, Real(T(1)));
  const Real least(compact ? least_ratio<T> : least_ratio<T> * least_ratio<T>);
  l.free = ratio > least;
  l.ratio = maximum(ratio, least);
  l.logarithm = logarithm(l.ratio);
  if (!compact) {
    l.window = exponential(minimum(Real(T(0.5) * p.sigma) * l.logarithm, Real(T(0))));
    return;
  }
  // Beyond the support the power may overflow; it is cut to exp(80), far above what the support can have.
  const Real power = exponential(minimum(Real(T(2) * p.sigma) * l.logarithm, Real(T(80))));
  l.window = exponential(Real(T(-0.5)) * power);
}

// 1 - a = (1 - W) + W (1 - o), which does not cancel; it is at most 1, and nothing where it is too small to matter, see
// LeastComplement.
template <typename Real, typename T>
HOST_DEVICE Real let_through(Real window, Real complement, T opacity) {
  const Real through = minimum(complement + window * Real(T(1) - opacity), Real(T(1)));
  return select(through < Real(LeastComplement<T>::value), Real(T(0)), through);
}

// Set the window, a and 1 - a.
template <typename Real, typename T>
HOST_DEVICE void open_window(Layer<Real>& l, const LayerParameters<T>& p) {
  const Real one(T(1));
  Real complement;
  if (p.window == Window::distribution) {
    attenuate<true>(l.c, p);
    l.window = coverage_of<true>(l.c);
    complement = complement_of<true>(l.c);
  } else if (p.window == Window::exp_clipped) {
    l.window = exponential(minimum(l.c.exponent, Real(T(0))));
    complement = one - l.window;
  } else {
    raise(l, p);
    complement = one - l.window;
  }
  l.opacity = Real(p.opacity) * l.window;
  l.through = let_through(l.window, complement, p.opacity);
}

// Evaluate a face at a pixel, NDC; `p` are the parameters of the face. All but `visible` and what decides it is for
// visible lanes only; `open_window` has to follow.
template <typename Real, typename R, typename T>
HOST_DEVICE Layer<Real> layer_at(const Outline<R>& face, const LayerParameters<T>& p, Real x, Real y) {
  Layer<Real> l;
  l.c = cover<true>(face, p, x, y);
  if (p.window == Window::compact) l.c.support = eccentricity_of(l.c) < Real(p.most_eccentricity);
  l.s = mixed_surface_at<true>(face, p, l.c);
  l.visible = visible_at(face, l.c, l.s, p);
  return l;
}

// What faces are sorted by.
template <typename Real, typename T>
HOST_DEVICE Real order_key(const Layer<Real>& l, const LayerParameters<T>& p) {
  return p.order == Order::pixel ? l.s.depth : Real(p.mean_depth);
}

// The gradient of a face; corners, colours apart (see fragment.h), then what it brings besides.
template <typename Real>
struct LayerGradient {
  FaceGradient<Real> face;
  Real opacity, sigma, inradius;
};

template <typename Real>
HOST_DEVICE void clear(LayerGradient<Real>& g) {
  clear(g.face);
  g.opacity = g.sigma = g.inradius = Real(typename Traits<Real>::Scalar(0));
}

// dL/dsigma for dL/dx: dx/dsigma = -x / sigma, or half of it where x = +-d / sqrt(sigma).
template <typename Real, typename T>
HOST_DEVICE Real sigma_vjp(const Coverage<Real>& c, const Parameters<T>& p, Real grad_exponent) {
  return -grad_exponent * c.exponent * Real(p.squared ? p.inverse_sigma : T(0.5) * p.inverse_sigma);
}

// Add the gradient for dL/dW, in the lanes that are active.
//   distribution  dW/dx is the density
//   exp_clipped   dW/dx = W outside, else 0
//   incenter      W = q^(s / 2), q = (d / r)^2: dW/dq = s W / (2 q),  dW/ds = W log(q) / 2,  dq/dr = -2 q / r
//   compact       W = exp(-u / 2), u = e^(2 s): dW/de = -W s u / e,  dW/ds = -W u log e,  de/dw_k = -3 for the least w_k
template <typename Real, typename R, typename T>
HOST_DEVICE void window_vjp(LayerGradient<Real>& g, const Outline<R>& face, const Layer<Real>& l,
                            const LayerParameters<T>& p, Real grad_window, typename Traits<Real>::Mask active) {
  const Real zero(T(0));
  const Real grad = select(active, grad_window * l.window, zero);  // dL/dlog W
  Real grad_exponent(T(0));
  if (p.window == Window::distribution || p.window == Window::exp_clipped) {
    const bool clipped = p.window == Window::exp_clipped;
    grad_exponent = clipped ? select(l.c.inside, zero, grad) : select(active, grad_window * l.c.density, zero);
    g.sigma += sigma_vjp(l.c, p, grad_exponent);
  } else if (p.window == Window::incenter) {
    g.sigma += grad * Real(T(0.5)) * l.logarithm;
    const Real grad_power = select(l.free, grad * Real(T(0.5) * p.sigma), zero);
    grad_exponent = grad_power / l.ratio;
    g.inradius += grad_power * Real(T(-2) / p.inradius);
  } else {
    const Real power = exponential(minimum(Real(T(2) * p.sigma) * l.logarithm, Real(T(80))));
    g.sigma += -grad * power * l.logarithm;
    const Real slope = grad * power * Real(T(3) * p.sigma) / l.ratio;
    return least_weight_vjp(l.c, face, select(l.free, slope, zero), g.face.outline);
  }
  cover_vjp<true>(l.c, face, p, grad_exponent, g.face.outline);
}

// What the backward knows of a face at a pixel.
template <typename Real>
struct LayerUpstream {
  Real share;      // T_i a_i: dL/dcolour is the share of dL/drgb
  Real opacity;    // dL/da_i
  Real color[3];   // dL/drgb of the pixel
};

// Add the gradient of one pixel to a face and its texture, in the lanes that are active. Depth decides the order alone, and has
// no gradient but that of the perspective.
template <typename Real, typename R, typename T, typename TextureAt>
HOST_DEVICE void layer_vjp(LayerGradient<Real>& g, TextureAt& texture, const Outline<R>& face, const Layer<Real>& l,
                           const LayerParameters<T>& p, const LayerUpstream<Real>& upstream,
                           typename Traits<Real>::Mask active) {
  const Real zero(T(0));
  Real grad_color[3], grad_clipped[3] = {zero, zero, zero};
  for (int k = 0; k < 3; ++k) grad_color[k] = select(active, upstream.share * upstream.color[k], zero);
  texture.color_vjp(l.s, grad_color, grad_clipped);
  correct_perspective_vjp<true>(face, p, l.s, grad_clipped, g.face.z);
  surface_vjp<true>(face, l.c, l.s, p, active & l.visible, grad_clipped, zero, g.face.outline, g.face.z);
  g.opacity += select(active, upstream.opacity * l.window, zero);
  window_vjp(g, face, l, p, upstream.opacity * Real(p.opacity), active);
}

// ---- the faces of a pixel --------------------------------------------------------------------------

// Sort `order`, numbers of fragments, by keys, equals as they come: by insertion in runs, which are then merged.
// `spare` has room for as many.
template <typename T>
HOST_DEVICE void sort_by_key(int32_t* order, int32_t* spare, int64_t count, const T* keys) {
  constexpr int64_t run = 16;
  for (int64_t begin = 0; begin < count; begin += run) {
    const int64_t end = begin + run < count ? begin + run : count;
    for (int64_t i = begin + 1; i < end; ++i) {
      const int32_t mine = order[i];
      int64_t at = i;
      for (; at > begin && keys[mine] < keys[order[at - 1]]; --at) order[at] = order[at - 1];
      order[at] = mine;
    }
  }
  for (int64_t size = run; size < count; size *= 2) {
    for (int64_t begin = 0; begin < count; begin += 2 * size) {
      const int64_t middle = begin + size < count ? begin + size : count;
      const int64_t end = begin + 2 * size < count ? begin + 2 * size : count;
      int64_t left = begin, right = middle;
      for (int64_t at = begin; at < end; ++at) {
        const bool second = left == middle || (right < end && keys[order[right]] < keys[order[left]]);
        spare[at] = order[second ? right++ : left++];
      }
    }
    for (int64_t i = 0; i < count; ++i) order[i] = spare[i];
  }
}

// What is in front of a layer, and the colours so far.
template <typename T>
struct LayerSum {
  T transmittance, color[3];
};

template <typename T>
HOST_DEVICE void add_layer(LayerSum<T>& sum, T opacity, T through, const T color[3]) {
  const T share = sum.transmittance * opacity;
  for (int k = 0; k < 3; ++k) sum.color[k] += share * color[k];
  sum.transmittance *= through;
}

// What dL/drgb and dL/dalpha make of a layer: of its colour, and of an alpha of 1.
template <typename T>
HOST_DEVICE T value_of(const T grad[4], const T color[3]) {
  return grad[0] * color[0] + grad[1] * color[1] + grad[2] * color[2] + grad[3];
}

// From the last layer to the first: with v_i its value and B_i = a_i v_i + (1 - a_i) B_(i+1) that of all that is seen from in
// front of it,
//   dL/da_i = T_i (v_i - B_(i+1)).
// `behind` is B_(i+1) and becomes B_i.
template <typename T>
HOST_DEVICE T opacity_gradient(T transmittance, T opacity, T through, T value, T& behind) {
  const T grad = transmittance * (value - behind);
  behind = opacity * value + through * behind;
  return grad;
}

template <typename T>
int64_t count_pixels(const LayersForward<T>& f) {
  return f.parameters.images * f.parameters.height * f.parameters.width;
}

template <typename T>
HOST_DEVICE T background_at(const LayersForward<T>& f, int64_t image, int channel, int64_t pixel) {
  const LayerParameters<T>& p = f.parameters;
  return f.background[p.background_image ? (3 * image + channel) * p.height * p.width + pixel : int64_t(channel)];
}

template <typename T>
HOST_DEVICE void write_pixel(const LayersForward<T>& f, const LayerSum<T>& sum, int64_t image, int64_t pixel) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width;
  T* out = f.image + 4 * image * plane + pixel;
  for (int k = 0; k < 3; ++k) {
    out[k * plane] = sum.color[k] + sum.transmittance * background_at(f, image, k, pixel);
  }
  out[3 * plane] = T(1) - sum.transmittance;
  f.transmittance[image * plane + pixel] = sum.transmittance;
}

// dL/drgb and dL/dalpha of a pixel.
template <typename T>
HOST_DEVICE void gradient_at(const LayersBackward<T>& b, int64_t image, int64_t pixel, T out[4]) {
  const LayerParameters<T>& p = b.forward.parameters;
  const int64_t plane = int64_t(p.height) * p.width;
  for (int k = 0; k < 4; ++k) out[k] = b.grad_image[(4 * image + k) * plane + pixel];
}

}  // namespace renderer
