// Silhouettes, the softmax over depth and the nearest face where faces have an opacity and a sigma of their own.
//
// The opacity a_i = o_i D_i of a face at a pixel (layers.h) takes the place of its coverage D_i: alpha is the t-conorm of the
// a_i, and the softmax weighs a_i exp(z' / gamma). The nearest face hides all others whatever its opacity, as coverage has
// no part in its colour. A face gives a fragment to each pixel of its support, with or without colour there.
//
// Each function f is followed by its f_vjp with the derivation.
#pragma once

#include "layers.h"

namespace renderer {

// A fragment of a pixel. The key is its depth where it has colour, else negative (see order_key); `number` rises with the
// index of the face.
template <typename T>
struct BlendedFragment {
  int32_t number;
  T key, opacity, through, color[3];
};

// What the fragments of a pixel make.
template <typename T>
struct Blended {
  T state;               // of alpha, see clear_opacity and tconorms.h
  T nonzero;             // the product of those 1 - a that are not zero, and
  int32_t zeros;         // the number of the others (product)
  int32_t greatest;      // the fragment of the greatest a, of equals the first (maximum)
  int32_t nearest;       // the fragment that is seen (hard), or -1
  T depth;               // of it
  Softmax<T> sum;        // (softmax)
  T color[3];            // of the faces, without the background
  T share;               // of the background in the colour
};

// The weight of a face of opacity 1 in the softmax.
template <typename T>
HOST_DEVICE Scaled<T> weight_at(T depth, const Parameters<T>& p) {
  return scaled_exponential(-(depth - p.near) * p.depth_scale);
}

// The share of such a face, which may be more than 1 where the others are hardly there; it is cut to some 1e30, which no a
// that matters makes more of.
template <typename T>
HOST_DEVICE T full_share(T depth, const Softmax<T>& sum, const Parameters<T>& p) {
  const Scaled<T> weight = weight_at(depth, p);
  return weight.fraction / sum.partition * power_of_two(minimum(weight.exponent - sum.exponent, T(100)));
}

template <typename T>
HOST_DEVICE void add_alpha(Blended<T>& b, const BlendedFragment<T>& s, const Parameters<T>& p) {
  if (p.alpha == Alpha::product) {
    if (s.through > T(0)) b.nonzero *= s.through;
    else ++b.zeros;
  } else if (p.alpha == Alpha::sum) {
    b.state += s.opacity;
  } else if (p.alpha == Alpha::hard) {
    if (s.opacity > T(0.5)) b.state = T(1);
  } else {
    T part;
    face_state(s.opacity, s.through, p, &part);
    if (b.greatest < 0 || part > b.state || (part == b.state && s.number < b.greatest)) b.greatest = s.number;
    b.state = combine_opacity<true>(b.state, part, p);
  }
}

template <typename T>
HOST_DEVICE void add_color(Blended<T>& b, const BlendedFragment<T>& s, const Parameters<T>& p) {
  if (p.color == Color::softmax) {
    Scaled<T> weight = weight_at(s.key, p);
    const Scaled<T> covered = split(maximum(s.opacity, Limits<T>::smallest));
    if (!(s.opacity > Limits<T>::smallest)) return;
    weight.fraction *= covered.fraction;
    weight.exponent += covered.exponent;
    accumulate(b.sum, weight, s.color);
  } else if (b.nearest < 0 || s.key < b.depth || (s.key == b.depth && s.number < b.nearest)) {
    b.nearest = s.number;
    b.depth = s.key;
    for (int k = 0; k < 3; ++k) b.color[k] = s.color[k];
  }
}

// Blend the fragments of a pixel; at(i) gives each of them.
template <typename T, typename FragmentAt>
HOST_DEVICE Blended<T> blend(const LayerParameters<T>& p, int64_t count, const FragmentAt& at) {
  Blended<T> b = {};
  b.state = clear_opacity<true>(p);
  b.nonzero = T(1);
  b.greatest = b.nearest = -1;
  const Scaled<T> behind = scaled_exponential(p.background_logit);
  b.sum = clear_softmax(behind);
  for (int64_t i = 0; i < count; ++i) {
    const BlendedFragment<T> s = at(i);
    add_alpha(b, s, p);
    if (p.color != Color::none && s.key > T(0)) add_color(b, s, p);
  }
  if (p.alpha == Alpha::product) b.state = b.zeros > 0 ? T(0) : b.nonzero;
  if (p.color == Color::softmax) {
    for (int k = 0; k < 3; ++k) b.color[k] = b.sum.color[k] / b.sum.partition;
    b.share = share_of(behind, b.sum.exponent, T(1) / b.sum.partition);
  } else {
    b.share = p.color == Color::hard && b.nearest < 0 ? T(1) : T(0);
  }
  return b;
}

template <typename T>
HOST_DEVICE T background_part(const LayersForward<T>& f, const Blended<T>& b, int64_t image, int channel, int64_t pixel) {
  return f.parameters.color == Color::none ? T(0) : b.share * background_at(f, image, channel, pixel);
}

template <typename T>
HOST_DEVICE void write_blended(const LayersForward<T>& f, const Blended<T>& b, int64_t image, int64_t pixel) {
  const LayerParameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width;
  T* out = f.image + 4 * image * plane + pixel;
  for (int k = 0; k < 3; ++k) out[k * plane] = b.color[k] + background_part(f, b, image, k, pixel);
  out[3 * plane] = alpha_of<true>(b.state, mesh_faces(p, image), p);
  f.transmittance[image * plane + pixel] = b.share;
}

// What all fragments of a pixel have in common in the backward.
template <typename T>
struct BlendGradient {
  T grad[4];            // dL/drgb, dL/dalpha
  T mean;               // sum_k dL/drgb_k rgb_k
  PixelState<T> alpha;  // see pixel_vjp
};

template <typename T>
HOST_DEVICE BlendGradient<T> blend_gradient(const LayersBackward<T>& b, const Blended<T>& all, int64_t image, int64_t pixel) {
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T>& p = f.parameters;
  BlendGradient<T> g = {};
  gradient_at(b, image, pixel, g.grad);
  for (int k = 0; k < 3; ++k) g.mean += g.grad[k] * (all.color[k] + background_part(f, all, image, k, pixel));
  const bool kept = keeps_state(p.alpha) && p.alpha != Alpha::product;
  g.alpha = kept ? pixel_vjp(g.grad[3], all.state, p) : PixelState<T>{g.grad[3], T(0)};
  return g;
}

// dL/da_i of alpha: d(1 - prod(1 - a))/da_i is the product of the others; 1 / F for the mean; others see face_vjp, with a for
// D and a derivative of 1.
template <typename T>
HOST_DEVICE T alpha_gradient(const BlendGradient<T>& g, const Blended<T>& all, const BlendedFragment<T>& s, int64_t faces,
                             const Parameters<T>& p) {
  switch (p.alpha) {
    case Alpha::product: {
      const int32_t others = all.zeros - (s.through > T(0) ? 0 : 1);
      const T product = s.through > T(0) ? all.nonzero / s.through : all.nonzero;
      return others > 0 ? T(0) : g.grad[3] * product;
    }
    case Alpha::sum: return g.grad[3] / T(faces);
    case Alpha::hard: return T(0);
    case Alpha::maximum: return s.number == all.greatest ? g.grad[3] : T(0);
    default: {
      T own;
      face_vjp(s.opacity, s.through, T(1), T(1) / some_complement(s.through), g.alpha.kept, p, &own);
      return g.alpha.common * own;
    }
  }
}

// What comes back to a fragment: its share in the colour, dL/da_i and dL/ddepth.
//
// Softmax: with the share u_i of a face of opacity 1, w_i = u_i a_i and rgb = sum_i w_i c_i + w_b background:
//   dL/da_i = u_i (g . c_i - g . rgb),  dL/ddepth_i = -depth_scale w_i (g . c_i - g . rgb).
template <typename T>
struct FragmentGradient {
  T share, opacity, depth;
};

template <typename T>
HOST_DEVICE FragmentGradient<T> fragment_vjp(const BlendGradient<T>& g, const Blended<T>& all, const BlendedFragment<T>& s,
                                             int64_t faces, const Parameters<T>& p) {
  FragmentGradient<T> out = {T(0), alpha_gradient(g, all, s, faces, p), T(0)};
  if (!(s.key > T(0))) return out;
  if (p.color == Color::hard) out.share = s.number == all.nearest ? T(1) : T(0);
  if (p.color != Color::softmax) return out;
  const T full = full_share(s.key, all.sum, p);
  const T away = g.grad[0] * s.color[0] + g.grad[1] * s.color[1] + g.grad[2] * s.color[2] - g.mean;
  out.share = full * s.opacity;
  out.opacity += full * away;
  out.depth = -p.depth_scale * (out.share * away);
  return out;
}

}  // namespace renderer
