// What one face covers of one pixel, and alpha: equations 1 and 5.
//
// Liu et al., "Soft Rasterizer: A Differentiable Renderer for Image-based 3D Reasoning",
// arXiv 1904.01786, section 3, in log space. Each function f is followed by its f_vjp with the
// derivation. `every_mode` is false for the modes of training (Parameters::every_mode), so that the
// compiler drops the others.
#pragma once

#include "face.h"
#include "tconorms.h"

namespace renderer {

// ---- coverage: equation 1 --------------------------------------------------------------------------

template <typename Real>
struct Coverage {
  using Mask = typename Traits<Real>::Mask;
  Real weight[3];       // barycentric coordinates of the pixel, not clipped
  Mask inside;          // pixel centre inside the face
  Mask support;         // the face has a part in this pixel
  Real exponent;        // x = +-d^2 / sigma, or +-d / sqrt(sigma); coverage D = sigmoid(x), or another distribution
  Real decay;           // exp(-|x|), in (0, 1]; set by `attenuate`, as is
  Real normalizer;      // 1 / (1 + decay)
  Real covered, complement, density;  // D, 1 - D and dD/dx; set by `attenuate` for every_mode, as are
  Real hazard, log_slope;             // dD/dx / (1 - D) and dD/dx / D
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

// |x| of a squared distance.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real magnitude_of(Real square, const Parameters<T>& p) {
  const Real scaled = every_mode && !p.squared ? square_root(square) * Real(p.inverse_root_sigma)
                                               : square * Real(p.inverse_sigma);
  return minimum(scaled, most_exponent<Real>());
}

// Coverage by the least barycentric coordinate m, x = +-m^2 / sigma or m / sqrt(sigma), or by inside and outside alone.
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
  const Real magnitude = magnitude_of<true>(square, p);
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
  const Real magnitude = magnitude_of<every_mode>(nearest, p);
  c.exponent = select(c.inside, magnitude, -magnitude);
  return c;
}

// What lets through less than this lets through nothing: 1 minus it is 1 from far above, and products
// do not linger among the denormal numbers, which processors are slow at.
template <typename T> struct LeastComplement;
template <> struct LeastComplement<float> { static constexpr float value = 1e-30f; };
template <> struct LeastComplement<double> { static constexpr double value = 1e-290; };

// D and its derivative by another distribution than the logistic one; 1 within the outline where the distance is hard.
template <typename Real, typename T>
HOST_DEVICE void attenuate_otherwise(Coverage<Real>& c, const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1)), least(LeastComplement<T>::value);
  Probability<Real> d = {one, zero, zero};
  if (p.distance != Distance::hard) evaluate(c.exponent, p.distribution, &d);
  c.covered = d.below;
  c.complement = d.above;
  c.density = d.density;
  c.hazard = d.density / maximum(d.above, least);
  c.log_slope = d.density / maximum(d.below, least);
}

// Evaluate exp(-|x|) and what comes of it: apart, so that pixels outside of the support cost no exponential.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE void attenuate(Coverage<Real>& c, const Parameters<T>& p) {
  if (every_mode && p.distribution.kind != Distribution::logistic) return attenuate_otherwise(c, p);
  const Real one(T(1));
  c.decay = exponential(-absolute(c.exponent));
  c.normalizer = one / (one + c.decay);
  if (!every_mode) return;
  c.covered = select(c.inside, one, c.decay) * c.normalizer;
  c.complement = c.log_slope = select(c.inside, c.decay, one) * c.normalizer;
  c.hazard = c.covered;
  c.density = c.covered * c.complement;
}

// D = sigmoid(x) and 1 - D from decay = exp(-|x|); neither cancels.
template <bool every_mode, typename Real>
HOST_DEVICE Real coverage_of(const Coverage<Real>& c) {
  if (every_mode) return c.covered;
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, one, c.decay) * c.normalizer;
}
template <bool every_mode, typename Real>
HOST_DEVICE Real complement_of(const Coverage<Real>& c) {
  if (every_mode) return c.complement;
  const Real one(typename Traits<Real>::Scalar(1));
  return select(c.inside, c.decay, one) * c.normalizer;
}

// dlog(D)/dx: 1 - D where D = sigmoid(x).
template <bool every_mode, typename Real>
HOST_DEVICE Real log_slope_of(const Coverage<Real>& c) {
  return every_mode ? c.log_slope : complement_of<every_mode>(c);
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

// x = s m^2 / sigma with m the least weight and s = +-1 its sign: dx/dm = 2 |m| / sigma; and dx/dm = 1 / sqrt(sigma)
// where x = m / sqrt(sigma).
template <typename Real, typename R, typename T>
HOST_DEVICE void cover_by_weights_vjp(const Coverage<Real>& c, const Outline<R>& face, const Parameters<T>& p,
                                      Real grad_exponent, OutlineGradient<Real>& g) {
  const Real least = minimum(c.weight[0], minimum(c.weight[1], c.weight[2]));
  const Real slope = p.squared ? absolute(least) * Real(T(2) * p.inverse_sigma) : Real(p.inverse_root_sigma);
  least_weight_vjp(c, face, grad_exponent * slope, g);
}

// The unit vector from the nearest point of the outline to a pixel, turned to the inside of the face: the normal of an
// edge, unless the nearest point is a corner. The offset of the pixel would be as good away from the outline; on it the
// offset is zero or noise, where the normal is the limit of both sides.
template <typename Real, typename R>
HOST_DEVICE void inward(const Coverage<Real>& c, const Outline<R>& face, Real out[2]) {
  using T = typename Traits<Real>::Scalar;
  const Real zero(T(0)), one(T(1)), least(Limits<T>::smallest);
  const Real square = sum_of_products(c.away_y, c.away_y, c.away_x, c.away_x);
  const Real away = one / square_root(maximum(square, least)), turned = select(c.inside, away, -away);
  // The corner opposite to the edge has no share in the nearest point; edge k is opposite to corner k + 2.
  const auto first = c.share[2] == zero, second = c.share[0] == zero;
  const auto of_edge = [&](const R* edge) {
    return select(first, Real(edge[0]), select(second, Real(edge[1]), Real(edge[2])));
  };
  const Real edge_x = of_edge(face.edge_x), edge_y = of_edge(face.edge_y);
  const Real length = square_root(of_edge(face.inverse_length));
  const Real side = select(Real(face.inverse_area) < zero, -length, length);  // to the left of an edge, or the right
  const Real most = maximum(c.share[0], maximum(c.share[1], c.share[2]));
  const auto corner = (most >= one) & (square >= least);
  out[0] = select(corner, turned * c.away_x, -side * edge_y);
  out[1] = select(corner, turned * c.away_y, side * edge_x);
}

// Add dL/d(x, y) of the corners for dL/dx, x = s |r| / sqrt(sigma): d(s |r|)/dv_k = -share_k times the inward unit vector,
// for the reason given at cover_vjp.
template <typename Real, typename R, typename T>
HOST_DEVICE void cover_linearly_vjp(const Coverage<Real>& c, const Outline<R>& face, const Parameters<T>& p,
                                    Real grad_exponent, OutlineGradient<Real>& g) {
  Real normal[2];
  inward(c, face, normal);
  const Real pull = select(c.support, -grad_exponent * Real(p.inverse_root_sigma), Real(T(0)));
  const Real along_x = pull * normal[0], along_y = pull * normal[1];
  for (int k = 0; k < 3; ++k) {
    g.x[k] += c.share[k] * along_x;
    g.y[k] += c.share[k] * along_y;
  }
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
  if (every_mode && !p.squared) return cover_linearly_vjp(c, face, p, grad_exponent, g);
  const Real pull = grad_exponent * Real(T(2) * p.inverse_sigma);
  const Real signed_pull = select(c.inside, -pull, pull);
  const Real along_x = signed_pull * c.away_x, along_y = signed_pull * c.away_y;
  for (int k = 0; k < 3; ++k) {
    g.x[k] += c.share[k] * along_x;
    g.y[k] += c.share[k] * along_y;
  }
}

// ---- alpha: equation 5 -----------------------------------------------------------------------------

// The state of a pixel is prod(1 - D), sum(D), whether any D is above one half, or that of another t-conorm.
template <bool every_mode, typename T>
HOST_DEVICE T clear_opacity(const Parameters<T>& p) {
  return !every_mode || multiplies(p.alpha) ? T(1) : T(0);
}

// Whether D > 1/2, as the sign of x tells where D = sigmoid(x).
template <typename Real, typename T>
HOST_DEVICE typename Traits<Real>::Mask covers_half(const Coverage<Real>& c, const Parameters<T>& p) {
  return p.distribution.kind == Distribution::logistic ? c.exponent > Real(T(0)) : c.covered > Real(T(0.5));
}

// What a face adds to the state: `combine_opacity` of it leaves the state where there is no support.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real opacity_of(const Coverage<Real>& c, const Parameters<T>& p) {
  const Real zero(T(0)), one(T(1));
  if (!every_mode || p.alpha == Alpha::product) {
    const Real complement = complement_of<every_mode>(c);
    const Real through = select(complement < Real(LeastComplement<T>::value), zero, complement);
    return select(c.support, through, one);
  }
  if (p.alpha == Alpha::sum) return select(c.support, c.covered, zero);
  if (p.alpha == Alpha::hard) return select(c.support & covers_half(c, p), one, zero);
  Real state;
  face_state(c.covered, c.complement, p, &state);
  return select(c.support, state, Real(clear_opacity<every_mode>(p)));
}

template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real combine_opacity(Real state, Real opacity, const Parameters<T>& p) {
  if (!every_mode || multiplies(p.alpha)) return state * opacity;
  if (p.alpha == Alpha::sum) return state + opacity;
  if (p.alpha == Alpha::hard) return maximum(state, opacity);
  Real joined;
  join_states(state, opacity, p, &joined);
  return joined;
}

// The same of one face, of which the maximum notes the index: of equals the first.
template <bool every_mode, typename T>
HOST_DEVICE void combine_face(T& state, T* greatest, T opacity, int32_t face, const Parameters<T>& p) {
  if (every_mode && keeps_state(p.alpha) && !multiplies(p.alpha)) {
    if (!(opacity > T(0))) return;  // the lanes without support, which are many, leave the state as it is
    if (p.alpha == Alpha::maximum) {
      if (opacity > state || (opacity == state && T(face) < *greatest)) *greatest = T(face);
    }
  }
  state = combine_opacity<every_mode>(state, opacity, p);
}

// `faces` is the number of faces of the mesh, those that cannot be drawn included.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real alpha_of(Real state, int64_t faces, const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return Real(T(1)) - state;
  if (!keeps_state(p.alpha)) return p.alpha == Alpha::sum && faces > 0 ? state / Real(T(faces)) : state;
  Alphas<Real> out;
  alphas_of(state, p, &out);
  return out.alpha;
}

// What all faces have in common in dL/dx: dL/dalpha times prod(1 - D), or over the number of faces, or see pixel_vjp;
// and what of the state the faces have to know.
template <bool every_mode, typename T>
HOST_DEVICE PixelState<T> alpha_vjp(T grad_alpha, const T* transmittance, int64_t pixel, int64_t faces,
                                    const Parameters<T>& p) {
  if (!every_mode || p.alpha == Alpha::product) return {grad_alpha * transmittance[pixel], T(0)};
  if (p.alpha == Alpha::sum) return {grad_alpha / T(faces), T(0)};
  return p.alpha == Alpha::hard ? PixelState<T>{T(0), T(0)} : pixel_vjp(grad_alpha, transmittance[pixel], p);
}

// dL/dx of one face: d(1 - prod(1 - D))/dx = prod(1 - D) dD/dx / (1 - D), where dD/dx / (1 - D) = D if D = sigmoid(x);
// d sum(D)/dx = dD/dx; others see face_vjp. `greatest` is whether this face is the one that the maximum takes.
template <bool every_mode, typename Real, typename T>
HOST_DEVICE Real opacity_vjp(const Coverage<Real>& c, Real common, Real kept, typename Traits<Real>::Mask greatest,
                             const Parameters<T>& p) {
  const Real zero(T(0));
  if (!every_mode) return select(c.support, common * coverage_of<every_mode>(c), zero);
  if (p.alpha == Alpha::product) return select(c.support, common * c.hazard, zero);
  if (!keeps_state(p.alpha)) return select(c.support, common * c.density, zero);
  Real own;
  face_vjp(c.covered, c.complement, c.density, c.hazard, kept, p, &own);
  const Real grad = select(c.support, common * own, zero);
  return p.alpha == Alpha::maximum ? select(greatest, grad, zero) : grad;
}

}  // namespace renderer
