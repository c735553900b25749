// Depth and colour of a face at a pixel, and the softmax over depth: equations 3 and 4.
#pragma once

#include "coverage.h"

namespace renderer {

// ---- depth and colour at a pixel -------------------------------------------------------------------

template <typename Real>
struct Surface {
  Real clipped[3];  // barycentric coordinates cut to [0, 1] and divided by their sum
  Real mixing[3];   // with which colours are mixed: the same, or those of `correct_perspective`
  Real inverse_sum;
  Real depth;       // view depth, interpolated in 1/z
};

// From barycentric coordinates in [0, 1].
template <typename Real, typename R>
HOST_DEVICE Surface<Real> surface_of(const Outline<R>& face, const Real cut[3]) {
  using T = typename Traits<Real>::Scalar;
  Surface<Real> s;
  const Real one(T(1));
  // The weights sum to one, so one of them is at least a third: the divisions are safe, and neither waits for the other.
  const Real sum = cut[0] + cut[1] + cut[2];
  s.inverse_sum = one / sum;
  Real inverse_depths(T(0));
  for (int k = 0; k < 3; ++k) {
    s.mixing[k] = s.clipped[k] = cut[k] * s.inverse_sum;
    inverse_depths += product(cut[k], Real(face.inverse_depth[k]));
  }
  s.depth = minimum(sum / inverse_depths, Real(Limits<T>::largest));  // 1 / denormal is infinite
  return s;
}

template <typename Real, typename R>
HOST_DEVICE Surface<Real> surface_at(const Outline<R>& face, const Coverage<Real>& c) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1));
  Real cut[3];
  for (int k = 0; k < 3; ++k) cut[k] = minimum(maximum(c.weight[k], zero), one);
  return surface_of(face, cut);
}

// Barycentric coordinates of the point of the face, where the clipped ones are those of its image:
// q_j = c_j (depth / z_j), which sum to one as 1 / depth = sum_j c_j / z_j.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE void correct_perspective(const Outline<R>& face, const Parameters<T>& p, Surface<Real>& s) {
  if (!every_mode || !p.perspective_correct) return;
  for (int k = 0; k < 3; ++k) s.mixing[k] = (s.clipped[k] * Real(face.inverse_depth[k])) * s.depth;
}

// The surface of a face at a pixel, with the weights that colours are mixed with.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE Surface<Real> mixed_surface_at(const Outline<R>& face, const Parameters<T>& p, const Coverage<Real>& c) {
  Surface<Real> s = surface_at(face, c);
  correct_perspective<every_mode>(face, p, s);
  return s;
}

// From dL/dq to dL/dc, in place, and dL/dz: with m = sum_k dL/dq_k q_k
//   dL/dc_j = (depth / z_j) (dL/dq_j - m),  dL/dz_j = -c_j depth / z_j^2 (dL/dq_j - m).
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE void correct_perspective_vjp(const Outline<R>& face, const Parameters<T>& p, const Surface<Real>& s,
                                         Real grad[3], Real grad_z[3]) {
  if (!every_mode || !p.perspective_correct) return;
  const Real mean = grad[0] * s.mixing[0] + grad[1] * s.mixing[1] + grad[2] * s.mixing[2];
  for (int j = 0; j < 3; ++j) {
    const Real inverse_depth(face.inverse_depth[j]), away = grad[j] - mean;
    const Real ratio = minimum(inverse_depth * s.depth, Real(Limits<T>::largest));  // infinity times 0 is no number
    grad[j] = ratio * away;
    grad_z[j] += -s.mixing[j] * inverse_depth * away;
  }
}

// The texel [0, R * R) of a point of the face, from the weights which colours are mixed with.
//
// The first two weights cut the face into cells (i, j): where w_0 R + w_1 R - i - j <= 1 the point is in
// the lower half of its cell, texel j R + i, else in the upper one, whose texel is mirrored in the centre
// of the grid. The test is written in w_2: beyond the edge opposite to corner 2 it is exactly zero, where
// the sum of the others would leave the choice to rounding. At a corner the cell would be one too far
// (the released SoftRas reads there) and is the last. Weights that are no numbers, in a lane without a
// face, give some texel.
template <typename T>
HOST_DEVICE int texel_at(T first, T second, T third, int side) {
  const int i = int(maximum(first, T(0)) * T(side)), j = int(maximum(second, T(0)) * T(side)), last = side - 1;
  const bool lower = !(third * T(side) < T(last - i - j));
  return lower ? (j < last ? j : last) * side + (i < last ? i : last) : (last - j) * side + (last - i);
}

// Colours at the three corners of a face, mixed by the clipped weights; R is the number of one face, or
// one for each of several faces. `grad` is only used by the backward.
template <typename Real, typename R>
struct VertexTexture {
  R corner[9];
  Real grad[9];

  HOST_DEVICE void clear() {
    for (int i = 0; i < 9; ++i) grad[i] = Real(typename Traits<Real>::Scalar(0));
  }
  HOST_DEVICE void color(const Surface<Real>& s, Real out[3]) const {
    for (int k = 0; k < 3; ++k) {
      out[k] = s.mixing[0] * Real(corner[k]) + s.mixing[1] * Real(corner[3 + k]) + s.mixing[2] * Real(corner[6 + k]);
    }
  }
  // colour_k = sum_j q_j t_jk: dL/dt_jk = q_j g_k and dL/dq_j = sum_k t_jk g_k.
  HOST_DEVICE void color_vjp(const Surface<Real>& s, const Real grad_color[3], Real grad_mixing[3]) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 3; ++k) {
        grad[3 * j + k] += s.mixing[j] * grad_color[k];
        grad_mixing[j] += grad_color[k] * Real(corner[3 * j + k]);
      }
    }
  }
};

// Add dL/d(x, y) and dL/dz of the corners for dL/d(clipped weights) and dL/ddepth.
//
// With u = clip(w), S = sum u and c = u / S:
//   1/depth  = sum_j c_j / z_j         d depth/dz_j = c_j (depth / z_j)^2,  d depth/dc_j = -depth^2 / z_j
//   dL/du_j  = (h_j - sum_i h_i c_i) / S with h = dL/dc, and dL/dw_j is the same where 0 < w_j < 1.
// With detach_barycentric w is held constant, which leaves the derivatives by z_j.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE void surface_vjp(const Outline<R>& face, const Coverage<Real>& c, const Surface<Real>& s,
                             const Parameters<T>& p, typename Traits<Real>::Mask visible, Real grad_clipped[3],
                             Real grad_depth, OutlineGradient<Real>& g, Real grad_z[3]) {
  const Real zero(T(0)), one(T(1));
  const Real grad_scaled = grad_depth * s.depth * s.depth;
  Real mean(T(0));
  for (int j = 0; j < 3; ++j) {
    const Real inverse_depth(face.inverse_depth[j]);
    grad_clipped[j] += -grad_scaled * inverse_depth;
    grad_z[j] += grad_scaled * s.clipped[j] * inverse_depth * inverse_depth;
    mean += grad_clipped[j] * s.clipped[j];
  }
  if (every_mode && p.detach_barycentric) return;
  Real weight[3], grad_weight[3];
  for (int k = 0; k < 3; ++k) {
    const auto free = (c.weight[k] > zero) & (c.weight[k] < one) & visible;
    grad_weight[k] = select(free, (grad_clipped[k] - mean) * s.inverse_sum, zero);
    weight[k] = select(visible, c.weight[k], zero);
  }
  weights_vjp(face, weight, grad_weight, g);
}

// ---- the softmax over depth: equations 3 and 4 -----------------------------------------------------

// The logit of a face is log D + z' / gamma with z' = (far - z) / (far - near), here less 1 / gamma
// for all faces and the background alike: -(z - near) * depth_scale keeps the digits which
// far - z would lose. log D = min(x, 0) - log(1 + decay); the last term, between -log 2 and 0, stays
// outside of the exponent as the factor 1 / (1 + decay), the normalizer.
//
// Of other distributions D itself is a number, whose exponent joins that of the weight: D = m 2^k with m in [1, 2), k <= 0.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Scaled<Real> softmax_weight(const Coverage<Real>& c, const Surface<Real>& s, const Parameters<T>& p) {
  const Real zero(T(0));
  if (every_mode && p.distribution.kind != Distribution::logistic) {
    const Real smallest(Limits<T>::smallest);
    Scaled<Real> weight = scaled_exponential(-(s.depth - Real(p.near)) * Real(p.depth_scale));
    const Scaled<Real> covered = split(maximum(c.covered, smallest));
    const auto some = c.covered > smallest;
    weight.fraction = select(some, weight.fraction * covered.fraction, zero);
    weight.exponent = select(some, weight.exponent + covered.exponent, Real(-Limits<T>::largest));
    return weight;
  }
  const Real logit = minimum(c.exponent, zero) - (s.depth - Real(p.near)) * Real(p.depth_scale);
  Scaled<Real> weight = scaled_exponential(logit);
  weight.fraction *= c.normalizer;
  return weight;
}

// How many powers of two the weight of a face has to lie below the partition of a pixel to count for nothing: the
// face is left out where its most_exponent + hidden_gap < the exponent of the partition (so far, or in the end: it
// never falls). The colour of a pixel then changes by less than half a unit in the last place of the greatest colour.
//
// Let e be that exponent, and N the number of faces. What set e has a fraction of at least 1/2 and a normalizer of
// at least 1/2, so the partition is at least 2^(e-2). A face left out weighs less than 2 * 2^(e-gap); its share is
// below 2^(3-gap) (of distributions other than the logistic too, whose fractions are twice as great and have no
// normalizer), and that of all of them below N 2^(3-gap). A mixture of colours of at most C changes by at most
// 2 C times that, C N 2^(4-gap) = C 2^-digits. The gradients of their colours and logits are w g and
// w (g . c - g . rgb), as much smaller than g and g C, which is what the other gradients of the pixel are rounded by.
//
// N is rounded up, so that bits do not depend on a few faces more or less.
template <typename T>
HOST_DEVICE T hidden_gap(int64_t faces) {
  constexpr int digits = sizeof(T) == 4 ? 24 : 53;
  return T(digits + 4 + (faces <= 1 << 12 ? 12 : faces <= 1 << 16 ? 16 : faces <= 1 << 20 ? 20 : 31));
}

// Faces outside of [near, far], and backs where only fronts are drawn, have no colour.
template <typename Real, typename R, typename T>
HOST_DEVICE typename Traits<Real>::Mask visible_at(const Outline<R>& face, const Coverage<Real>& c,
                                                   const Surface<Real>& s, const Parameters<T>& p) {
  auto visible = c.support & (s.depth >= Real(p.near)) & (s.depth <= Real(p.far));
  if (!p.double_sided) visible = visible & (Real(face.inverse_area) < Real(T(0)));
  return visible;
}

// The weights of a pixel so far: sum of weights and of weight * colour, over 2^exponent. The background
// weighs in from the start but is added in the end.
template <typename T>
struct Softmax {
  T exponent, partition, color[3];
};

template <typename T>
HOST_DEVICE Softmax<T> clear_softmax(Scaled<T> background) {
  return {background.exponent, background.fraction, {T(0), T(0), T(0)}};
}

template <typename T>
HOST_DEVICE void accumulate(Softmax<T>& sum, Scaled<T> weight, const T color[3]) {
  const T exponent = maximum(sum.exponent, weight.exponent);
  const T shrink = power_of_two(sum.exponent - exponent);
  const T mine = weight.fraction * power_of_two(weight.exponent - exponent);
  sum.exponent = exponent;
  sum.partition = sum.partition * shrink + mine;
  for (int k = 0; k < 3; ++k) sum.color[k] = sum.color[k] * shrink + mine * color[k];
}

// The share of a weight in the whole: the weight of a face or of the background after the softmax.
template <typename Real>
HOST_DEVICE Real share_of(Scaled<Real> weight, Real exponent, Real inverse_partition) {
  const Real zero(typename Traits<Real>::Scalar(0));
  return weight.fraction * inverse_partition * power_of_two(minimum(weight.exponent - exponent, zero));
}

// ---- the nearest face ------------------------------------------------------------------------------

// Whether the face seen so far at a pixel gives way to another that covers the pixel centre: to a
// nearer one, and of equals to the first. Faces are numbers, or a number in each lane.
template <typename Real, typename Faces>
HOST_DEVICE typename Traits<Real>::Mask yields_to(Real depth, Faces face, Real other_depth, Faces other_face) {
  using Mask = typename Traits<Real>::Mask;
  return (other_depth < depth) | ((other_depth == depth) & Mask{other_face < face});
}

}  // namespace renderer
