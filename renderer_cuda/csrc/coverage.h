// What one face covers of one pixel, and alpha: equations 1 and 5.
//
// Liu et al., "Soft Rasterizer: A Differentiable Renderer for Image-based 3D Reasoning",
// arXiv 1904.01786, section 3, in log space. Each function f is followed by its f_vjp with the
// derivation. `every_mode` is false for the modes of training (Parameters::every_mode), so that the
// compiler drops the others.
#pragma once

#include "face.h"

namespace renderer {

// ---- coverage: equation 1 --------------------------------------------------------------------------

template <typename Real>
struct Coverage {
  using Mask = typename Traits<Real>::Mask;
  Real weight[3];       // barycentric coordinates of the pixel, not clipped
  Mask inside;          // pixel centre inside the face
  Mask support;         // the face has a part in this pixel
  Real exponent;        // x = +-d^2 / sigma; coverage D = sigmoid(x)
  Real decay;           // exp(-|x|), in (0, 1]; set by `attenuate`, as is
  Real normalizer;      // 1 / (1 + decay)
  Real away_x, away_y;  // pixel minus the nearest point of the outline (euclidean)
  Real share[3];        // that point as a mixture of the corners (used by the backward only)
};

// The bound keeps sums over faces finite; exp(-1e30) is zero in any precision.
template <typename Real>
HOST_DEVICE Real most_exponent() { return Real(typename Traits<Real>::Scalar(1e30)); }

// The barycentric coordinate opposite to an edge (x, y) of a pixel, from its offset from a point of the edge:
// the cross product of both, over twice the area of the face.
template <typename Real>
HOST_DEVICE Real weight_of(Real edge_x_offset_y, Real edge_y_offset_x, Real inverse_area) {
  return product(edge_x_offset_y - edge_y_offset_x, inverse_area);
}

// The barycentric coordinates of a pixel, as `cover` computes them.
template <typename Real, typename R>
HOST_DEVICE void weights_at(const Outline<R>& face, Real pixel_x, Real pixel_y, Real weight[3]) {
  for (int k = 0; k < 3; ++k) {
    const Real across = product(Real(face.edge_x[k]), pixel_y - Real(face.y[k]));
    const Real along = product(Real(face.edge_y[k]), pixel_x - Real(face.x[k]));
    weight[k == 0 ? 2 : k - 1] = weight_of(across, along, Real(face.inverse_area));
  }
}

// Whether barycentric coordinates are those of a point of the face, outline included.
template <typename Real>
HOST_DEVICE typename Traits<Real>::Mask within(const Real weight[3]) {
  const Real zero(typename Traits<Real>::Scalar(0)), one(typename Traits<Real>::Scalar(1));
  const Real least = minimum(weight[0], minimum(weight[1], weight[2]));
  const Real greatest = maximum(weight[0], maximum(weight[1], weight[2]));
  return (least >= zero) & (greatest <= one);
}

// Whether a pixel lies in the bounding box of a face grown by the support radius.
template <typename Real, typename R, typename T>
HOST_DEVICE typename Traits<Real>::Mask in_box(const Outline<R>& face, const Parameters<T>& p, Real pixel_x,
                                               Real pixel_y) {
  const Real radius(p.support_radius);
  const Real left(minimum(face.x[0], minimum(face.x[1], face.x[2])));
  const Real right(maximum(face.x[0], maximum(face.x[1], face.x[2])));
  const Real bottom(minimum(face.y[0], minimum(face.y[1], face.y[2])));
  const Real top(maximum(face.y[0], maximum(face.y[1], face.y[2])));
  return (pixel_x >= left - radius) & (pixel_x <= right + radius) & (pixel_y >= bottom - radius) &
         (pixel_y <= top + radius);
}

// Coverage by the least barycentric coordinate m, x = +-m^2 / sigma, or by inside and outside alone.
template <typename Real, typename R, typename T>
HOST_DEVICE void cover_by_weights(Coverage<Real>& c, const Outline<R>& face, const Parameters<T>& p, Real pixel_x,
                                  Real pixel_y) {
  if (p.distance == Distance::hard) {
    c.inside = c.support = within(c.weight);
    c.exponent = most_exponent<Real>();
    return;
  }
  const Real least = minimum(c.weight[0], minimum(c.weight[1], c.weight[2]));
  const Real square = least * least;
  c.support = (c.inside | (square < Real(p.support_square))) & in_box(face, p, pixel_x, pixel_y);
  const Real magnitude = minimum(square * Real(p.inverse_sigma), most_exponent<Real>());
  c.exponent = select(c.inside, magnitude, -magnitude);
}

// Evaluate how far a pixel is from the outline of a face, and on which side.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE Coverage<Real> cover(const Outline<R>& face, const Parameters<T>& p, Real pixel_x, Real pixel_y) {
  Coverage<Real> c;
  const Real zero(T(0)), one(T(1));
  Real nearest(T(0));
  for (int k = 0; k < 3; ++k) {
    const int next = k == 2 ? 0 : k + 1, opposite = k == 0 ? 2 : k - 1;
    const Real edge_x(face.edge_x[k]), edge_y(face.edge_y[k]);
    const Real offset_x = pixel_x - Real(face.x[k]), offset_y = pixel_y - Real(face.y[k]);
    c.weight[opposite] =
        weight_of(product(edge_x, offset_y), product(edge_y, offset_x), Real(face.inverse_area));
    const Real along = sum_of_products(offset_y, edge_y, offset_x, edge_x) * Real(face.inverse_length[k]);
    const Real t = minimum(maximum(along, zero), one);
    const Real away_x = offset_x - t * edge_x, away_y = offset_y - t * edge_y;
    const Real square = sum_of_products(away_y, away_y, away_x, away_x);
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
  if (every_mode && p.distance != Distance::euclidean) {
    cover_by_weights(c, face, p, pixel_x, pixel_y);
    return c;
  }
  c.support = c.inside | (nearest < Real(p.support_square));
  const Real magnitude = minimum(nearest * Real(p.inverse_sigma), most_exponent<Real>());
  c.exponent = select(c.inside, magnitude, -magnitude);
  return c;
}

// Evaluate exp(-|x|) and what comes of it: apart, so that pixels outside of the support cost no exponential.
template <typename Real>
HOST_DEVICE void attenuate(Coverage<Real>& c) {
  const Real one(typename Traits<Real>::Scalar(1));
  c.decay = exponential(-absolute(c.exponent));
  c.normalizer = one / (one + c.decay);
}

// D = sigmoid(x) and 1 - D from decay = exp(-|x|); neither cancels.
template <typename Real>
HOST_DEVICE Real coverage_of(const Coverage<Real>& c) {
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, one, c.decay) * c.normalizer;
}
template <typename Real>
HOST_DEVICE Real complement_of(const Coverage<Real>& c) {
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, c.decay, one) * c.normalizer;
}

template <typename Real>
struct OutlineGradient {
  Real x[3], y[3];
};

// Add dL/d(x, y) of the corners for dL/d(barycentric weights) at a pixel.
//
// Moving a corner by d moves the pixel by -w_j d relative to the face, so
//   dL/dv_j = -w_j sum_k dL/dw_k grad w_k, with grad w_opposite(k) = (-edge_y, edge_x) / (2 area).
template <typename Real, typename R>
HOST_DEVICE void weights_vjp(const Outline<R>& face, const Real weight[3], const Real grad_weight[3],
                             OutlineGradient<Real>& g) {
  using T = typename Traits<Real>::Scalar;
  Real slope_x(T(0)), slope_y(T(0));
  for (int k = 0; k < 3; ++k) {
    const Real grad = grad_weight[k == 0 ? 2 : k - 1] * Real(face.inverse_area);
    slope_x += grad * Real(face.edge_y[k]);
    slope_y += grad * Real(face.edge_x[k]);
  }
  for (int j = 0; j < 3; ++j) {
    g.x[j] += weight[j] * slope_x;
    g.y[j] += -weight[j] * slope_y;
  }
}

// Add dL/d(x, y) of the corners for dL/dm, m the least weight.
template <typename Real, typename R>
HOST_DEVICE void least_weight_vjp(const Coverage<Real>& c, const Outline<R>& face, Real grad_least,
                                  OutlineGradient<Real>& g) {
  const Real zero(typename Traits<Real>::Scalar(0));
  const Real least = minimum(c.weight[0], minimum(c.weight[1], c.weight[2]));
  // Of equal weights the first is the least, which only matters where there is no derivative.
  const auto first = c.weight[0] == least, second = c.weight[1] == least;
  const Real rest = select(first, zero, grad_least);
  const Real grad_weight[3] = {select(first, grad_least, zero), select(second, rest, zero),
                               select(second, zero, rest)};
  Real weight[3];
  for (int k = 0; k < 3; ++k) weight[k] = select(c.support, c.weight[k], zero);
  weights_vjp(face, weight, grad_weight, g);
}

// x = s m^2 / sigma with m the least weight and s = +-1 its sign: dx/dm = 2 |m| / sigma.
template <typename Real, typename R, typename T>
HOST_DEVICE void cover_by_weights_vjp(const Coverage<Real>& c, const Outline<R>& face, const Parameters<T>& p,
                                      Real grad_exponent, OutlineGradient<Real>& g) {
  const Real least = minimum(c.weight[0], minimum(c.weight[1], c.weight[2]));
  least_weight_vjp(c, face, grad_exponent * absolute(least) * Real(T(2) * p.inverse_sigma), g);
}

// Add dL/d(x, y) of the corners for dL/dx, x = s |r|^2 / sigma with s = +-1, r = pixel - sum_k share_k v_k.
//
// The nearest point is the minimum over t (or a bound of t), so d|r|^2/dt dt/dv vanishes and
// d|r|^2/dv_k = -2 share_k r.
template <bool every_mode, typename Real, typename R, typename T>
HOST_DEVICE void cover_vjp(const Coverage<Real>& c, const Outline<R>& face, const Parameters<T>& p,
                           Real grad_exponent, OutlineGradient<Real>& g) {
  if (every_mode && p.distance == Distance::hard) return;
  if (every_mode && p.distance == Distance::barycentric) {
    return cover_by_weights_vjp(c, face, p, grad_exponent, g);
  }
  const Real pull = grad_exponent * Real(T(2) * p.inverse_sigma);
  const Real signed_pull = select(c.inside, -pull, pull);
  const Real along_x = signed_pull * c.away_x, along_y = signed_pull * c.away_y;
  for (int k = 0; k < 3; ++k) {
    g.x[k] += c.share[k] * along_x;
    g.y[k] += c.share[k] * along_y;
  }
}

// ---- alpha: equation 5 -----------------------------------------------------------------------------

// What lets through less than this lets through nothing: 1 minus it is 1 from far above, and products
// do not linger among the denormal numbers, which processors are slow at.
template <typename T> struct LeastComplement;
template <> struct LeastComplement<float> { static constexpr float value = 1e-30f; };
template <> struct LeastComplement<double> { static constexpr double value = 1e-290; };

// The state of a pixel is prod(1 - D), sum(D), or whether any D is above one half.
template <bool every_mode, typename T>
HOST_DEVICE T clear_opacity(const Parameters<T>& p) {
  return !every_mode || p.alpha == Alpha::product ? T(1) : T(0);
}

// What a face adds to the state: `combine_opacity` of it leaves the state where there is no support.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real opacity_of(const Coverage<Real>& c, const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  if (!every_mode || p.alpha == Alpha::product) {
    const Real complement = complement_of(c);
    const Real through = select(complement < Real(LeastComplement<T>::value), zero, complement);
    return select(c.support, through, one);
  }
  if (p.alpha == Alpha::sum) return select(c.support, coverage_of(c), zero);
  return select(c.support & (c.exponent > zero), one, zero);  // D > 1/2
}

template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real combine_opacity(Real state, Real opacity, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return state * opacity;
  return p.alpha == Alpha::sum ? state + opacity : maximum(state, opacity);
}

// `faces` is the number of faces of the mesh, those that cannot be drawn included.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real alpha_of(Real state, int64_t faces, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return Real(T(1)) - state;
  return p.alpha == Alpha::sum && faces > 0 ? state / Real(T(faces)) : state;
}

// What all faces have in common in dL/dx: dL/dalpha times prod(1 - D), or over the number of faces.
template <bool every_mode, typename T>
HOST_DEVICE T alpha_vjp(T grad_alpha, const T* transmittance, int64_t pixel, int64_t faces, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return grad_alpha * transmittance[pixel];
  return p.alpha == Alpha::sum ? grad_alpha / T(faces) : T(0);
}

// dL/dx of one face: d(1 - prod(1 - D))/dx = prod(1 - D) D, as d(1 - D)/dx = -D (1 - D); and
// d sum(D)/dx = D (1 - D).
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real opacity_vjp(const Coverage<Real>& c, Real common, const Parameters<T>& p) {
  Real grad = common * coverage_of(c);
  if (every_mode && p.alpha == Alpha::sum) grad *= complement_of(c);
  return select(c.support, grad, Real(T(0)));
}

}  // namespace renderer
