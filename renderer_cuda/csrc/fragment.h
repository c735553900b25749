// The mathematics of one face meeting one pixel (or a pack of pixels), forward and backward.
//
// Liu et al., "Soft Rasterizer: A Differentiable Renderer for Image-based 3D Reasoning",
// arXiv 1904.01786, section 3, in log space. Each function f is followed by its f_vjp with the
// derivation. Corners are v_0, v_1, v_2; edge k runs from corner k to corner k + 1 (mod 3); the
// barycentric weight of a corner is that of the edge opposite to it, edge k + 1.
#pragma once

#include "parameters.h"
#include "real.h"

namespace renderer {

// ---- a face, prepared once -----------------------------------------------------------------------

template <typename T>
struct Face {
  // The pixels whose centres can lie in the support: columns and rows, half open, inside the image.
  int32_t first_column, end_column, first_row, end_row;
  bool front;           // corners run clockwise on the picture
  T x[3], y[3];         // corners, NDC
  T edge_x[3], edge_y[3];
  T inverse_length[3];  // 1 / |edge|^2
  T inverse_area;       // 1 / (twice the signed area)
  T inverse_depth[3];   // 1 / view depth

  HOST_DEVICE bool empty() const { return first_column >= end_column || first_row >= end_row; }
};

template <typename T> struct Limits;
template <> struct Limits<float> {
  static constexpr float epsilon = 1.1920929e-7f, smallest = 1.17549435e-38f, largest = 3.4028235e38f;
};
template <> struct Limits<double> {
  static constexpr double epsilon = 2.220446049250313e-16, smallest = 2.2250738585072014e-308,
                          largest = 1.7976931348623157e308;
};

template <typename Real>
HOST_DEVICE typename Traits<Real>::Mask is_finite(Real value) {
  return absolute(value) <= Real(Limits<typename Traits<Real>::Scalar>::largest);  // false for NaN
}

// The first pixel at or after (the end of those at or before) position `index`, a real number, cut to
// [0, count]. The slack covers the rounding of `index` itself: a hundredth of a pixel and eight epsilons.
template <typename Real>
HOST_DEVICE Real first_pixel(Real index, int count) {
  using T = typename Traits<Real>::Scalar;
  const Real slack = Real(T(0.01)) + Real(T(8) * Limits<T>::epsilon) * absolute(index);
  const Real low = minimum(maximum(index - slack, Real(T(0))), Real(T(count)));
  const Real whole = truncate(low);
  return select(whole < low, whole + Real(T(1)), whole);
}
template <typename Real>
HOST_DEVICE Real end_pixel(Real index, int count) {
  using T = typename Traits<Real>::Scalar;
  const Real slack = Real(T(0.01)) + Real(T(8) * Limits<T>::epsilon) * absolute(index);
  const Real high = index + slack;
  const Real whole = truncate(minimum(maximum(high, Real(T(0))), Real(T(count)))) + Real(T(1));
  return select(high >= Real(T(0)), minimum(whole, Real(T(count))), Real(T(0)));
}

// What `prepare` computes of one face, or of a pack of faces.
template <typename Real>
struct Prepared {
  Real first_column, end_column, first_row, end_row;
  Real x[3], y[3], edge_x[3], edge_y[3], inverse_length[3], area, inverse_area, inverse_depth[3];
};

// Prepare faces from their nine numbers each. A face that cannot be drawn gets an empty rectangle: one
// with a number that is not finite, with a corner not in front of the camera, with squares that
// overflow, or with an area that is zero to rounding (two epsilons of its longest edge squared; below
// that the sign of the area is noise. The released SoftRas draws such faces at coverage one half).
template <typename Real, typename T>
HOST_DEVICE Prepared<Real> prepare(const Real corners[9], const Parameters<T>& p) {
  Prepared<Real> f;
  const Real zero(T(0)), one(T(1)), smallest(Limits<T>::smallest);
  Real longest = zero;
  auto drawable = is_finite(corners[0]);
  for (int k = 0; k < 3; ++k) {
    const int next = k == 2 ? 0 : k + 1;
    f.x[k] = corners[3 * k];
    f.y[k] = corners[3 * k + 1];
    const Real depth = corners[3 * k + 2];
    drawable = drawable & is_finite(f.x[k]) & is_finite(f.y[k]) & is_finite(depth) & (depth > zero);
    f.inverse_depth[k] = one / depth;
    f.edge_x[k] = corners[3 * next] - f.x[k];
    f.edge_y[k] = corners[3 * next + 1] - f.y[k];
    const Real square = f.edge_x[k] * f.edge_x[k] + f.edge_y[k] * f.edge_y[k];
    // An edge shorter than the root of the smallest normal number has no direction: t becomes 0 or 1.
    f.inverse_length[k] = one / maximum(square, smallest);
    longest = maximum(square, longest);
  }
  // Twice the area from the two edges that leave corner 0 (edge 2 arrives there).
  f.area = f.edge_y[0] * f.edge_x[2] - f.edge_x[0] * f.edge_y[2];
  f.inverse_area = one / f.area;
  const Real noise = maximum(Real(T(2) * Limits<T>::epsilon) * longest, Real(T(4)) * smallest);
  drawable = drawable & is_finite(longest * longest) & (absolute(f.area) > noise);

  const Real half(T(0.5) * p.shorter), radius(p.support_radius);
  const Real column_origin(T(0.5) * T(p.width - 1)), row_origin(T(0.5) * T(p.height - 1));
  const Real left = minimum(f.x[0], minimum(f.x[1], f.x[2])) - radius;
  const Real right = maximum(f.x[0], maximum(f.x[1], f.x[2])) + radius;
  const Real bottom = minimum(f.y[0], minimum(f.y[1], f.y[2])) - radius;
  const Real top = maximum(f.y[0], maximum(f.y[1], f.y[2])) + radius;
  f.first_column = select(drawable, first_pixel(left * half + column_origin, p.width), zero);
  f.end_column = select(drawable, end_pixel(right * half + column_origin, p.width), zero);
  f.first_row = select(drawable, first_pixel(row_origin - top * half, p.height), zero);
  f.end_row = select(drawable, end_pixel(row_origin - bottom * half, p.height), zero);
  return f;
}

// Copy the face of one lane out of what `prepare` computed.
template <typename Real, typename T>
HOST_DEVICE void take_face(const Prepared<Real>& f, int lane, Face<T>& face) {
  face.first_column = int32_t(lane_of(f.first_column, lane));
  face.end_column = int32_t(lane_of(f.end_column, lane));
  face.first_row = int32_t(lane_of(f.first_row, lane));
  face.end_row = int32_t(lane_of(f.end_row, lane));
  face.front = lane_of(f.area, lane) < T(0);
  face.inverse_area = lane_of(f.inverse_area, lane);
  for (int k = 0; k < 3; ++k) {
    face.x[k] = lane_of(f.x[k], lane);
    face.y[k] = lane_of(f.y[k], lane);
    face.edge_x[k] = lane_of(f.edge_x[k], lane);
    face.edge_y[k] = lane_of(f.edge_y[k], lane);
    face.inverse_length[k] = lane_of(f.inverse_length[k], lane);
    face.inverse_depth[k] = lane_of(f.inverse_depth[k], lane);
  }
}

// Prepare one face.
template <typename T>
HOST_DEVICE void setup_face(const T* corners, const Parameters<T>& p, Face<T>& face) {
  take_face(prepare<T>(corners, p), 0, face);
}

// ---- coverage: equation 1 --------------------------------------------------------------------------

template <typename Real>
struct Coverage {
  using Mask = typename Traits<Real>::Mask;
  Real weight[3];    // barycentric coordinates of the pixel, not clipped
  Mask inside;       // pixel centre inside the face
  Mask support;      // the face has a part in this pixel
  Real exponent;     // x = +-d^2 / sigma; coverage D = sigmoid(x)
  Real decay;        // exp(-|x|), in (0, 1]; set by `attenuate`
  Real away_x, away_y;  // pixel minus the nearest point of the outline
  Real share[3];     // that point as a mixture of the corners (used by the backward only)
};

// Evaluate the signed squared distance of a pixel to the outline of a face.
template <typename Real, typename T>
HOST_DEVICE Coverage<Real> cover(const Face<T>& face, const Parameters<T>& p, Real pixel_x, Real pixel_y) {
  Coverage<Real> c;
  const Real zero(T(0)), one(T(1));
  Real nearest(T(0));
  for (int k = 0; k < 3; ++k) {
    const int next = k == 2 ? 0 : k + 1, opposite = k == 0 ? 2 : k - 1;
    const Real edge_x(face.edge_x[k]), edge_y(face.edge_y[k]);
    const Real offset_x = pixel_x - Real(face.x[k]), offset_y = pixel_y - Real(face.y[k]);
    c.weight[opposite] = (edge_x * offset_y - edge_y * offset_x) * Real(face.inverse_area);
    const Real along = (offset_x * edge_x + offset_y * edge_y) * Real(face.inverse_length[k]);
    const Real t = minimum(maximum(along, zero), one);
    const Real away_x = offset_x - t * edge_x, away_y = offset_y - t * edge_y;
    const Real square = away_x * away_x + away_y * away_y;
    if (k == 0) {
      nearest = square;
      c.away_x = away_x;
      c.away_y = away_y;
      c.share[0] = one - t;
      c.share[1] = t;
      c.share[2] = zero;
    } else {
      const auto closer = square < nearest;
      nearest = select(closer, square, nearest);
      c.away_x = select(closer, away_x, c.away_x);
      c.away_y = select(closer, away_y, c.away_y);
      c.share[k] = select(closer, one - t, c.share[k]);
      c.share[next] = select(closer, t, c.share[next]);
      c.share[opposite] = select(closer, zero, c.share[opposite]);
    }
  }
  c.inside = (c.weight[0] > zero) & (c.weight[1] > zero) & (c.weight[2] > zero);
  c.support = c.inside | (nearest < Real(p.support_square));
  // The bound keeps sums over faces finite; exp(-1e30) is zero in any precision.
  const Real magnitude = minimum(nearest * Real(p.inverse_sigma), Real(T(1e30)));
  c.exponent = select(c.inside, magnitude, -magnitude);
  return c;
}

// Evaluate exp(-|x|): apart, so that pixels outside of the support cost no exponential.
template <typename Real>
HOST_DEVICE void attenuate(Coverage<Real>& c) {
  c.decay = exponential(-absolute(c.exponent));
}

// Add dL/dv for dL/dx, x = s |r|^2 / sigma with s = +-1 and r = pixel - sum_k share_k v_k.
//
// The nearest point is the minimum over t (or a bound of t), so d|r|^2/dt dt/dv vanishes and
// d|r|^2/dv_k = -2 share_k r.
template <typename Real, typename T>
HOST_DEVICE void cover_vjp(const Coverage<Real>& c, const Parameters<T>& p, Real grad_exponent,
                           Real grad_x[3], Real grad_y[3]) {
  const Real pull = grad_exponent * Real(T(2) * p.inverse_sigma);
  const Real signed_pull = select(c.inside, -pull, pull);
  const Real along_x = signed_pull * c.away_x, along_y = signed_pull * c.away_y;
  for (int k = 0; k < 3; ++k) {
    grad_x[k] += c.share[k] * along_x;
    grad_y[k] += c.share[k] * along_y;
  }
}

// D = sigmoid(x) and 1 - D from decay = exp(-|x|); neither cancels.
template <typename Real>
HOST_DEVICE Real coverage_of(const Coverage<Real>& c) {
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, one, c.decay) / (one + c.decay);
}
template <typename Real>
HOST_DEVICE Real complement_of(const Coverage<Real>& c) {
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, c.decay, one) / (one + c.decay);
}

// ---- alpha: equation 5, the product over faces in log space ----------------------------------------

// -log prod(1 - D) = sum softplus(x) = sum max(x, 0) + log prod(1 + exp(-|x|)). The factors lie in
// (1, 2], so their product needs a logarithm only before it could overflow.
template <typename Real>
struct Opacity {
  Real linear;   // sum of max(x, 0) and of flushed logarithms
  Real product;  // prod(1 + exp(-|x|)) since the last flush
};

template <typename Real>
HOST_DEVICE Opacity<Real> clear_opacity() {
  using T = typename Traits<Real>::Scalar;
  return {Real(T(0)), Real(T(1))};
}

template <typename Real>
HOST_DEVICE void accumulate(Opacity<Real>& opacity, const Coverage<Real>& c) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1)), full(T(1e30));
  opacity.linear += select(c.support, maximum(c.exponent, zero), zero);
  opacity.product *= select(c.support, one + c.decay, one);
  const auto flush = opacity.product > full;
  if (any(flush)) {
    opacity.linear += select(flush, logarithm(opacity.product), zero);
    opacity.product = select(flush, one, opacity.product);
  }
}

template <typename Real>
HOST_DEVICE Real transmittance_of(const Opacity<Real>& opacity) {
  return exponential(-opacity.linear) / opacity.product;
}
template <typename Real>
HOST_DEVICE Real alpha_of(const Opacity<Real>& opacity) {
  return (opacity.product - exponential(-opacity.linear)) / opacity.product;
}
// alpha = 1 - exp(-sum softplus(x)), softplus' = sigmoid: d alpha / dx = transmittance * D.

// ---- depth and colour at a pixel -------------------------------------------------------------------

template <typename Real>
struct Surface {
  Real clipped[3];  // barycentric coordinates cut to [0, 1] and divided by their sum
  Real inverse_sum;
  Real depth;       // view depth, interpolated in 1/z
};

template <typename Real, typename T>
HOST_DEVICE Surface<Real> surface_at(const Face<T>& face, const Coverage<Real>& c) {
  Surface<Real> s;
  const Real zero(T(0)), one(T(1));
  for (int k = 0; k < 3; ++k) s.clipped[k] = minimum(maximum(c.weight[k], zero), one);
  // The weights sum to one, so one of them is at least a third: the division is safe.
  s.inverse_sum = one / (s.clipped[0] + s.clipped[1] + s.clipped[2]);
  Real inverse_depth(T(0));
  for (int k = 0; k < 3; ++k) {
    s.clipped[k] *= s.inverse_sum;
    inverse_depth += s.clipped[k] * Real(face.inverse_depth[k]);
  }
  s.depth = minimum(one / inverse_depth, Real(Limits<T>::largest));  // 1 / denormal is infinite
  return s;
}

template <typename Real, typename T>
HOST_DEVICE Real color_at(const Surface<Real>& s, const T* textures, int channel) {
  return s.clipped[0] * Real(textures[channel]) + s.clipped[1] * Real(textures[3 + channel]) +
         s.clipped[2] * Real(textures[6 + channel]);
}

// Add dL/d(corner colours), dL/dz and dL/d(x, y) for dL/dcolour and dL/ddepth.
//
// With u = clip(w), S = sum u and c = u / S:
//   colour_k = sum_j c_j t_jk          dL/dt_jk = c_j g_k
//   1/depth  = sum_j c_j / z_j         d depth/dz_j = c_j (depth / z_j)^2,  d depth/dc_j = -depth^2 / z_j
//   dL/du_j  = (h_j - sum_i h_i c_i) / S with h = dL/dc, and dL/dw_j is the same where 0 < w_j < 1.
// Moving a corner by d moves the pixel by -w_j d relative to the face, so
//   dL/dv_j = -w_j sum_k dL/dw_k grad w_k, with grad w_opposite(k) = (-edge_y, edge_x) / (2 area).
template <typename Real, typename T>
HOST_DEVICE void surface_vjp(const Face<T>& face, const T* textures, const Coverage<Real>& c,
                             const Surface<Real>& s, typename Traits<Real>::Mask visible,
                             const Real grad_color[3], Real grad_depth, Real grad_x[3],
                             Real grad_y[3], Real grad_z[3], Real grad_texture[9]) {
  const Real zero(T(0)), one(T(1));
  const Real grad_scaled = grad_depth * s.depth * s.depth;
  Real grad_clipped[3], mean(T(0));
  for (int j = 0; j < 3; ++j) {
    const Real inverse_depth(face.inverse_depth[j]);
    grad_clipped[j] = -grad_scaled * inverse_depth;
    grad_z[j] += grad_scaled * s.clipped[j] * inverse_depth * inverse_depth;
    for (int k = 0; k < 3; ++k) {
      grad_texture[3 * j + k] += s.clipped[j] * grad_color[k];
      grad_clipped[j] += grad_color[k] * Real(textures[3 * j + k]);
    }
    mean += grad_clipped[j] * s.clipped[j];
  }
  Real slope_x(T(0)), slope_y(T(0));
  for (int k = 0; k < 3; ++k) {
    const int opposite = k == 0 ? 2 : k - 1;
    const auto free = (c.weight[opposite] > zero) & (c.weight[opposite] < one) & visible;
    const Real grad_weight = select(free, (grad_clipped[opposite] - mean) * s.inverse_sum, zero) *
                             Real(face.inverse_area);
    slope_x += grad_weight * Real(-face.edge_y[k]);
    slope_y += grad_weight * Real(face.edge_x[k]);
  }
  for (int j = 0; j < 3; ++j) {
    const Real weight = select(visible, c.weight[j], zero);
    grad_x[j] += -weight * slope_x;
    grad_y[j] += -weight * slope_y;
  }
}

// ---- colour: equations 3 and 4, the softmax over depth ---------------------------------------------

// The logit of a face is log D + z' / gamma with z' = (far - z) / (far - near), here less 1 / gamma
// for all faces and the background alike: -(z - near) * depth_scale keeps the digits which
// far - z would lose. log D = min(x, 0) - log(1 + decay); the last term, between -log 2 and 0, stays
// outside of the exponent as the factor 1 / (1 + decay).
template <typename Real, typename T>
HOST_DEVICE Real bounded_logit(const Coverage<Real>& c, const Surface<Real>& s, const Parameters<T>& p) {
  const Real zero(T(0));
  return minimum(c.exponent, zero) - (s.depth - Real(p.near)) * Real(p.depth_scale);
}

template <typename Real, typename T>
HOST_DEVICE typename Traits<Real>::Mask in_range(const Surface<Real>& s, const Parameters<T>& p) {
  return (s.depth >= Real(p.near)) & (s.depth <= Real(p.far));
}

template <typename Real>
struct Softmax {
  Real peak;       // largest bounded logit so far
  Real partition;  // sum of weights relative to exp(peak)
  Real color[3];   // sum of weight * colour
};

template <typename Real, typename T>
HOST_DEVICE Softmax<Real> clear_softmax(const Parameters<T>& p, const T* background) {
  return {Real(p.background_logit), Real(T(1)),
          {Real(background[0]), Real(background[1]), Real(background[2])}};
}

template <typename Real, typename T>
HOST_DEVICE void accumulate(Softmax<Real>& sum, const Face<T>& face, const T* textures,
                            const Coverage<Real>& c, const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  const Surface<Real> s = surface_at(face, c);
  const auto visible = c.support & in_range(s, p);
  if (!any(visible)) return;
  const Real logit = bounded_logit(c, s, p);
  const auto higher = visible & (logit > sum.peak);
  if (any(higher)) {
    const Real peak = select(higher, logit, sum.peak);
    const Real shrink = exponential(sum.peak - peak);
    sum.peak = peak;
    sum.partition *= shrink;
    for (int k = 0; k < 3; ++k) sum.color[k] *= shrink;
  }
  const Real relative = exponential(minimum(logit - sum.peak, zero));
  const Real weight = select(visible, relative / (one + c.decay), zero);
  sum.partition += weight;
  for (int k = 0; k < 3; ++k) sum.color[k] += weight * color_at(s, textures, k);
}

// ---- colour: the nearest face ----------------------------------------------------------------------

// Whether a face contains the pixel centre, outline included, within the depth range.
template <typename Real, typename T>
HOST_DEVICE typename Traits<Real>::Mask contains(const Coverage<Real>& c, const Surface<Real>& s,
                                                 const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  auto inside = c.support & in_range(s, p);
  for (int k = 0; k < 3; ++k) inside = inside & (c.weight[k] >= zero) & (c.weight[k] <= one);
  return inside;
}

// ---- backward of one pixel-face pair ---------------------------------------------------------------

// What the backward needs to know of a pixel.
template <typename Real>
struct PixelGradient {
  Real alpha;      // dL/dalpha * transmittance
  Real color[3];   // dL/drgb
  Real mean;       // sum_k dL/drgb_k * rgb_k
  Real peak;       // softmax
  Real inverse_partition;
  typename Traits<Real>::Mask seen;  // hard: this face is the nearest
};

template <typename Real>
struct FaceGradient {
  Real x[3], y[3], z[3];
  Real texture[9];
};

template <typename Real>
HOST_DEVICE void clear(FaceGradient<Real>& g) {
  const Real zero(typename Traits<Real>::Scalar(0));
  for (int k = 0; k < 3; ++k) g.x[k] = g.y[k] = g.z[k] = zero;
  for (int k = 0; k < 9; ++k) g.texture[k] = zero;
}

// Add the gradient of one pixel to a face.
//
// Softmax: with weight w_i = softmax(logit)_i, rgb = sum_i w_i c_i + w_b background:
//   dL/dc_i = w_i g,  dL/dlogit_i = w_i (g . c_i - g . rgb),
//   dlogit/dx = dlog(sigmoid(x))/dx = 1 - D,  dlogit/ddepth = -depth_scale.
// Hard: dL/dc_i = g where face i is the nearest; coverage and depth only choose.
template <Color mode, typename Real, typename T>
HOST_DEVICE void accumulate_gradient(FaceGradient<Real>& g, const Face<T>& face, const T* textures,
                                     Coverage<Real>& c, const PixelGradient<Real>& pixel,
                                     const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  Real grad_exponent = select(c.support, pixel.alpha * coverage_of(c), zero);
  if (mode != Color::none) {
    const bool drawn = face.front || p.double_sided;
    const Surface<Real> s = surface_at(face, c);
    auto visible = c.support & in_range(s, p);
    Real grad_color[3], grad_depth(T(0));
    if (mode == Color::softmax) {
      const Real relative = exponential(minimum(bounded_logit(c, s, p) - pixel.peak, zero));
      const Real weight = select(visible, relative / (one + c.decay) * pixel.inverse_partition, zero);
      Real grad_logit = -pixel.mean;
      for (int k = 0; k < 3; ++k) {
        grad_color[k] = weight * pixel.color[k];
        grad_logit += pixel.color[k] * color_at(s, textures, k);
      }
      grad_logit *= weight;
      if (drawn) grad_exponent += grad_logit * complement_of(c);
      grad_depth = -grad_logit * Real(p.depth_scale);
    } else {
      visible = visible & pixel.seen;
      for (int k = 0; k < 3; ++k) grad_color[k] = select(visible, pixel.color[k], zero);
    }
    if (drawn) {
      surface_vjp(face, textures, c, s, visible, grad_color, grad_depth, g.x, g.y, g.z, g.texture);
    }
  }
  cover_vjp(c, p, grad_exponent, g.x, g.y);
}

}  // namespace renderer
