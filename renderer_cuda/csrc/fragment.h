// The gradient of one pixel meeting one face, put together from coverage.h and shading.h.
#pragma once

#include "shading.h"

namespace renderer {

// What the backward needs to know of a pixel.
template <typename Real>
struct PixelGradient {
  Real alpha;      // see alpha_vjp, as is
  Real kept;
  typename Traits<Real>::Mask greatest;  // this face is the one that the maximum of coverages takes
  Real color[3];   // dL/drgb
  Real mean;       // sum_k dL/drgb_k * rgb_k (softmax)
  Real exponent;   // of the partition (softmax)
  Real inverse_partition;
  typename Traits<Real>::Mask seen;  // this face is the nearest (hard)
};

template <typename Real>
struct FaceGradient {
  OutlineGradient<Real> outline;
  Real z[3];
};

template <typename Real>
HOST_DEVICE void clear(FaceGradient<Real>& g) {
  const Real zero(typename Traits<Real>::Scalar(0));
  for (int k = 0; k < 3; ++k) g.outline.x[k] = g.outline.y[k] = g.z[k] = zero;
}

// Add the gradient of one pixel to a face and its texture; without colour no surface is needed.
//
// Softmax: with weight w_i = softmax(logit)_i, rgb = sum_i w_i c_i + w_b background:
//   dL/dc_i = w_i g,  dL/dlogit_i = w_i (g . c_i - g . rgb),
//   dlogit/dx = dlog(D)/dx, 1 - D where D = sigmoid(x),  dlogit/ddepth = -depth_scale.
// Hard: dL/dc_i = g where face i is the nearest; coverage and depth only choose.
template <Color mode, bool every_mode, typename Real, typename R, typename T, typename TextureAt>
HOST_DEVICE void accumulate_gradient(FaceGradient<Real>& g, TextureAt& texture, const Outline<R>& face,
                                     const Coverage<Real>& c, Surface<Real> s, const PixelGradient<Real>& pixel,
                                     const Parameters<T>& p) {
  const Real zero(T(0));
  Real grad_exponent = opacity_vjp<every_mode>(c, pixel.alpha, pixel.kept, pixel.greatest, p);
  if constexpr (mode != Color::none) {
    auto visible = visible_at(face, c, s, p);
    Real grad_color[3], grad_clipped[3] = {zero, zero, zero}, grad_depth(T(0));
    if constexpr (mode == Color::softmax) {
      const Scaled<Real> scaled = softmax_weight<every_mode>(c, s, p);
      const Real weight = select(visible, share_of(scaled, pixel.exponent, pixel.inverse_partition), zero);
      Real color[3], grad_logit = -pixel.mean;
      texture.color(s, color);
      for (int k = 0; k < 3; ++k) {
        grad_color[k] = weight * pixel.color[k];
        grad_logit += pixel.color[k] * color[k];
      }
      grad_logit *= weight;
      grad_exponent += grad_logit * log_slope_of<every_mode>(c);
      grad_depth = -grad_logit * Real(p.depth_scale);
    } else {
      visible = visible & pixel.seen;
      for (int k = 0; k < 3; ++k) grad_color[k] = select(visible, pixel.color[k], zero);
    }
    texture.color_vjp(s, grad_color, grad_clipped);  // of the mixing weights, and of the clipped ones after the next
    correct_perspective_vjp<every_mode>(face, p, s, grad_clipped, g.z);
    surface_vjp<every_mode>(face, c, s, p, visible, grad_clipped, grad_depth, g.outline, g.z);
  }
  cover_vjp<every_mode>(c, face, p, grad_exponent, g.outline);
}

// The same, which finds the surface by itself.
template <Color mode, bool every_mode, typename Real, typename R, typename T, typename TextureAt>
HOST_DEVICE void accumulate_gradient(FaceGradient<Real>& g, TextureAt& texture, const Outline<R>& face,
                                     const Coverage<Real>& c, const PixelGradient<Real>& pixel,
                                     const Parameters<T>& p) {
  Surface<Real> s;
  if constexpr (mode != Color::none) s = mixed_surface_at<every_mode>(face, p, c);
  accumulate_gradient<mode, every_mode>(g, texture, face, c, s, pixel, p);
}

}  // namespace renderer
