// Silhouettes, the softmax over depth and the nearest face where faces have an opacity and a sigma of their own.
//
// The opacity a_i = o_i D_i of a face at a pixel (layers.h) takes the place of its coverage D_i: alpha is the t-conorm of the
// a_i, and the softmax weighs a_i exp(z' / gamma). The nearest face hides all others whatever its opacity, as coverage has
// no part in its colour. A face has a part in each pixel of its support, with or without colour there. None of this needs an
// order: the faces of a pixel are added one after the other.
//
// Real is one number, or on the CPU one for each of several pixels. Each function f is followed by its f_vjp with the
// derivation.
#pragma once

#include "layers.h"

namespace renderer {

// ---- one face at a pixel ---------------------------------------------------------------------------

template <typename Real>
struct Opacity {
  Real covered;  // D
  Real own;      // a = o D
  Real through;  // 1 - a
};

template <bool every_mode, typename Real, typename T>
HOST_DEVICE Opacity<Real> opacity_at(const Coverage<Real>& c, const LayerParameters<T>& p) {
  const Real covered = coverage_of<every_mode>(c);
  return {covered, Real(p.opacity) * covered, let_through(covered, complement_of<every_mode>(c), p.opacity)};
}

// Add dL/d(corners), dL/dopacity and dL/dsigma for dL/da: da/do = D, da/dx = o dD/dx.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE void opacity_at_vjp(LayerGradient<Real>& g, const Outline<R>& face, const Coverage<Real>& c,
                                const Opacity<Real>& a, const LayerParameters<T>& p, Real grad_opacity) {
  const Real grad = select(c.support, grad_opacity, Real(T(0)));
  const Real density = every_mode ? c.density : a.covered * complement_of<every_mode>(c);
  const Real grad_exponent = grad * Real(p.opacity) * density;
  g.opacity += grad * a.covered;
  g.sigma += sigma_vjp(c, p, grad_exponent);
  cover_vjp<every_mode>(c, face, p, grad_exponent, g.face.outline);
}

// What a face adds to the state of alpha, see opacity_of: that of the product is 1 - a.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real state_of(const Opacity<Real>& a, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return a.through;
  if (p.alpha == Alpha::sum) return a.own;
  if (p.alpha == Alpha::hard) return select(a.own > Real(T(0.5)), Real(T(1)), Real(T(0)));
  Real state;
  face_state(a.own, a.through, p, &state);
  return state;
}

// The weight of a face of opacity 1 in the softmax.
template <typename Real, typename T>
HOST_DEVICE Scaled<Real> full_weight(Real depth, const Parameters<T>& p) {
  return scaled_exponential(-(depth - Real(p.near)) * Real(p.depth_scale));
}

// That of a face of opacity a: nothing where a is hardly a number.
template <typename Real, typename T>
HOST_DEVICE Scaled<Real> weight_of_opacity(Real depth, Real opacity, const Parameters<T>& p) {
  const Real smallest(Limits<T>::smallest);
  const Scaled<Real> full = full_weight(depth, p), covered = split(maximum(opacity, smallest));
  const auto some = opacity > smallest;
  return {select(some, full.fraction * covered.fraction, Real(T(0))),
          select(some, full.exponent + covered.exponent, Real(-Limits<T>::largest))};
}

// ---- the faces of a pixel --------------------------------------------------------------------------

// What the faces so far make of a pixel; faces are told by a number that rises with their index in the mesh.
template <typename T>
struct Blended {
  T state;          // of alpha, see clear_opacity and tconorms.h; of the product without the factors that are zero
  int32_t noted;    // the number of these (product); the face of the greatest a, of equals the first, or -1 (maximum)
  int32_t nearest;  // the face that is seen, or -1 (hard)
  T depth;          // of it
  Softmax<T> sum;   // (softmax); its color is that of the nearest face (hard)
};

// `behind` is the weight of the background.
template <bool every_mode, typename T>
HOST_DEVICE Blended<T> clear_blended(Scaled<T> behind, const Parameters<T>& p) {
  const int32_t noted = every_mode && p.alpha == Alpha::maximum ? -1 : 0;
  return {clear_opacity<every_mode>(p), noted, -1, T(0), clear_softmax(behind)};
}

template <bool every_mode, typename T>
HOST_DEVICE void add_state(Blended<T>& b, int32_t face, T state, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) {
    if (state > T(0)) b.state *= state;
    else ++b.noted;
    return;
  }
  if (p.alpha == Alpha::maximum &&
      (b.noted < 0 || state > b.state || (state == b.state && face < b.noted))) {
    b.noted = face;
  }
  b.state = combine_opacity<every_mode>(b.state, state, p);
}

template <typename T>
HOST_DEVICE void add_nearest(Blended<T>& b, int32_t face, T depth, const T color[3]) {
  if (b.nearest >= 0 && !yields_to(b.depth, b.nearest, depth, face)) return;
  b.nearest = face;
  b.depth = depth;
  for (int k = 0; k < 3; ++k) b.sum.color[k] = color[k];
}

// A pixel in the end.
template <typename T>
struct BlendedPixel {
  T state;     // of alpha
  T color[3];  // without the background
  T share;     // of the background in the colour
};

template <typename T>
HOST_DEVICE BlendedPixel<T> finish(const Blended<T>& b, Scaled<T> behind, const Parameters<T>& p) {
  BlendedPixel<T> out = {p.alpha == Alpha::product && b.noted > 0 ? T(0) : b.state, {T(0), T(0), T(0)}, T(0)};
  if (p.color == Color::none) return out;
  const bool soft = p.color == Color::softmax;
  const T whole = soft ? b.sum.partition : T(1), scale = T(1) / whole;
  for (int k = 0; k < 3; ++k) out.color[k] = b.sum.color[k] / whole;
  out.share = soft ? share_of(behind, b.sum.exponent, scale) : b.nearest < 0 ? T(1) : T(0);
  return out;
}

// The numbers that the backward reads of a pixel beside its colour: `state` and `noted` and, with colour, the exponent and the
// partition of the softmax, or `nearest` and nothing. Whole numbers are increased by one: the bits of -1 are no number.
template <typename T>
HOST_DEVICE int kept_numbers(const Parameters<T>& p) {
  return p.color == Color::none ? 2 : 4;
}

// A whole number in place of a T.
template <typename T>
HOST_DEVICE void store_index(int32_t index, T* out) {
  const typename IntegerLike<T>::type wide = index;
  memcpy(out, &wide, sizeof(wide));
}
template <typename T>
HOST_DEVICE int32_t load_index(const T* from) {
  typename IntegerLike<T>::type wide;
  memcpy(&wide, from, sizeof(wide));
  return int32_t(wide);
}

template <typename T>
HOST_DEVICE void keep_blended(const Blended<T>& b, const Parameters<T>& p, T* out) {
  out[0] = b.state;
  store_index(b.noted + 1, out + 1);
  if (p.color == Color::none) return;
  out[2] = b.sum.exponent;
  out[3] = b.sum.partition;
  if (p.color == Color::hard) store_index(b.nearest + 1, out + 2);
}

template <typename T>
HOST_DEVICE Blended<T> kept_blended(const T* from, const Parameters<T>& p) {
  Blended<T> b = {from[0], load_index(from + 1) - 1, -1, T(0), {T(0), T(1), {T(0), T(0), T(0)}}};
  if (p.color == Color::softmax) {
    b.sum.exponent = from[2];
    b.sum.partition = from[3];
  } else if (p.color == Color::hard) {
    b.nearest = load_index(from + 2) - 1;
  }
  return b;
}

// Write a pixel; `behind` is the weight of the background.
template <typename T>
HOST_DEVICE void write_blended(const LayersForward<T>& f, const Blended<T>& all, Scaled<T> behind, int64_t image,
                               int64_t pixel) {
  const LayerParameters<T>& p = f.parameters;
  const BlendedPixel<T> b = finish(all, behind, p);
  const int64_t plane = int64_t(p.height) * p.width, at = image * plane + pixel;
  T* out = f.image + 4 * image * plane + pixel;
  for (int k = 0; k < 3; ++k) {
    out[k * plane] = p.color == Color::none ? T(0) : b.color[k] + b.share * background_at(f, image, k, pixel);
  }
  out[3 * plane] = alpha_of<true>(b.state, mesh_faces(p, image), p);
  f.transmittance[at] = b.share;
  keep_blended(all, p, f.kept + at * kept_numbers(p));
}

// ---- what comes back -------------------------------------------------------------------------------

// dL/dalpha as faces have to know it, see alpha_gradient: of the product times all factors that are not zero, whose number
// is kept; of the others see pixel_vjp.
template <bool every_mode, typename T>
HOST_DEVICE PixelState<T> blended_alpha_vjp(T grad_alpha, const Blended<T>& b, int64_t faces, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return {grad_alpha * b.state, T(b.noted)};
  if (p.alpha == Alpha::sum) return {grad_alpha / T(faces), T(0)};
  if (p.alpha == Alpha::hard) return {T(0), T(0)};
  return p.alpha == Alpha::maximum ? PixelState<T>{grad_alpha, T(0)} : pixel_vjp(grad_alpha, b.state, p);
}

// What all faces at a pixel have in common in the backward; `greatest` and `seen` are theirs to tell.
template <bool every_mode, typename T>
HOST_DEVICE PixelGradient<T> blended_vjp(const LayersBackward<T>& b, const Blended<T>& all, int64_t image, int64_t pixel) {
  const LayerParameters<T>& p = b.forward.parameters;
  const int64_t plane = int64_t(p.height) * p.width;
  const T* rgb = b.image + 4 * image * plane + pixel;
  PixelGradient<T> g = {};
  T grad[4];
  gradient_at(b, image, pixel, grad);
  for (int k = 0; k < 3; ++k) {
    g.color[k] = grad[k];
    g.mean += grad[k] * rgb[k * plane];
  }
  const PixelState<T> alpha = blended_alpha_vjp<every_mode>(grad[3], all, mesh_faces(p, image), p);
  g.alpha = alpha.common;
  g.kept = alpha.kept;
  g.exponent = all.sum.exponent;
  g.inverse_partition = T(1) / all.sum.partition;
  return g;
}

// dL/da_i of alpha: d(1 - prod(1 - a))/da_i is the product of the others; 1 / F for the mean; others see face_vjp, with a for
// D and a derivative of 1.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real alpha_gradient(const PixelGradient<Real>& g, const Opacity<Real>& a, const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  if (!every_mode || p.alpha == Alpha::product) {
    const auto factor = a.through > zero;
    const Real other_zeros = g.kept - select(factor, zero, one);
    return select(other_zeros > zero, zero, g.alpha / select(factor, a.through, one));
  }
  if (p.alpha == Alpha::maximum) return select(g.greatest, g.alpha, zero);
  if (!keeps_state(p.alpha)) return g.alpha;
  Real own;
  face_vjp(a.own, a.through, one, one / some_complement(a.through), g.kept, p, &own);
  return g.alpha * own;
}

// What comes back to a face at a pixel: its share in the colour, dL/da_i and dL/ddepth.
template <typename Real>
struct ColorGradient {
  Real share, opacity, depth;
};

// Softmax: with the share u_i of a face of opacity 1, w_i = u_i a_i and rgb = sum_i w_i c_i + w_b background:
//   dL/da_i = u_i (g . c_i - g . rgb),  dL/ddepth_i = -depth_scale w_i (g . c_i - g . rgb).
// u_i may be more than 1 where the others are hardly there; it is cut to some 1e30, which no a that matters makes more of.
template <typename Real, typename T>
HOST_DEVICE ColorGradient<Real> softmax_vjp(const PixelGradient<Real>& g, Real opacity, Real depth, const Real color[3],
                                            typename Traits<Real>::Mask colored, const Parameters<T>& p) {
  const Scaled<Real> weight = full_weight(depth, p);
  const Real power = power_of_two(minimum(weight.exponent - g.exponent, Real(T(100))));
  const Real full = select(colored, weight.fraction * g.inverse_partition * power, Real(T(0)));
  const Real away = g.color[0] * color[0] + g.color[1] * color[1] + g.color[2] * color[2] - g.mean;
  const Real share = full * opacity;
  return {share, full * away, -Real(p.depth_scale) * (share * away)};
}

// The nearest face has all of the colour; coverage and depth only choose.
template <typename Real>
HOST_DEVICE ColorGradient<Real> nearest_vjp(const PixelGradient<Real>& g, typename Traits<Real>::Mask colored) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0));
  return {select(colored & g.seen, Real(T(1)), zero), zero, zero};
}

// Add dL/d(corners) and dL/d(texture) of the colour that a face shows where `some`, and return dL/da of it.
template <bool every_mode, typename Real, typename R, typename T, typename TextureAt>
HOST_DEVICE Real face_color_vjp(LayerGradient<Real>& g, TextureAt& texture, const Outline<R>& face, const Coverage<Real>& c,
                                Real opacity, const PixelGradient<Real>& pixel, typename Traits<Real>::Mask some,
                                const LayerParameters<T>& p) {
  const Real zero(T(0));
  const Surface<Real> s = mixed_surface_at<every_mode>(face, p, c);
  const auto colored = some & visible_at(face, c, s, p);
  Real color[3], grad_color[3], grad_clipped[3] = {zero, zero, zero};
  texture.color(s, color);
  const ColorGradient<Real> mine =
      p.color == Color::softmax ? softmax_vjp(pixel, opacity, s.depth, color, colored, p) : nearest_vjp(pixel, colored);
  for (int k = 0; k < 3; ++k) grad_color[k] = select(colored, mine.share * pixel.color[k], zero);
  texture.color_vjp(s, grad_color, grad_clipped);
  correct_perspective_vjp<every_mode>(face, p, s, grad_clipped, g.face.z);
  const Real grad_depth = select(colored, mine.depth, zero);
  surface_vjp<every_mode>(face, c, s, p, colored, grad_clipped, grad_depth, g.face.outline, g.face.z);
  return select(colored, mine.opacity, zero);
}

}  // namespace renderer
