// Voxelisation of triangles: which voxels a face marks, and the flood that finds the outside.
//
// Everything is in voxel units: a grid of resolution R covers [0, R]^3 and voxel (x, y, z) is the
// cube between the lattice points (x, y, z) and (x + 1, y + 1, z + 1). A face is Real[3][3], corner
// by coordinate. A back end passes a `Mark`, called as mark(x, y, z) for each voxel of the surface
// inside the grid (the same voxel may be marked many times, in any order), and the `Share` of the
// work that is the caller's.
//
// Results must not depend on the compiler: files that include this one are compiled with
// -ffp-contract=off (nvcc: -fmad=false), so that no multiply-add skips a rounding.
#pragma once

#include <cstdint>
#include <type_traits>

#include "meshes.h"
#include "real.h"

#if !defined(__CUDACC__)
#include <cmath>
#endif

namespace renderer {

#if !defined(__CUDACC__)
using std::ceil;
using std::floor;
#endif

// Beyond 2^40 voxels a face is skipped, as one with a NaN or an infinity is: float32 has lost its
// place by far, and below it no product of three coordinates overflows.
constexpr double kFarthest = 1099511627776.0;

template <typename Real>
struct Rounding;
template <>
struct Rounding<float> {
  static constexpr float epsilon = 1.1920929e-7f;           // 2^-23
  static constexpr float underflow_free = 9.8607613e-32f;   // 2^-103 = 2^-126 / epsilon
};
template <>
struct Rounding<double> {
  static constexpr double epsilon = 2.220446049250313e-16;         // 2^-52
  static constexpr double underflow_free = 1.0020841800044864e-292;  // 2^-970 = 2^-1022 / epsilon
};

enum class Mode { softras, solid };
constexpr int kModes = 2;
constexpr int kMaxResolution = 1024;

// What to voxelise, and where to.
template <typename T>
struct Voxelization {
  const T* face_vertices;  // [meshes.faces][3][3], in units of the grid's side
  Meshes meshes;
  int resolution;
  Mode mode;
  bool* occupied;  // out [meshes.images][resolution][resolution][resolution]
};

// Every step-th piece of a face's work, from piece `first` on.
struct Share {
  int first, step;
};
constexpr Share kWhole = {0, 1};

// Reads a face [3][3] given in units of the grid's side; false when it has to be skipped.
template <typename Real, typename Input>
HOST_DEVICE bool load_face(const Input* corners, int resolution, Real (&face)[3][3]) {
  bool usable = true;
  for (int corner = 0; corner < 3; ++corner) {
    for (int axis = 0; axis < 3; ++axis) {
      const Real value = Real(corners[3 * corner + axis]) * Real(resolution);
      usable = usable && absolute(value) <= Real(kFarthest);  // false for NaN
      face[corner][axis] = value;
    }
  }
  return usable;
}

// v[k] without an address: v can stay in registers.
template <typename T>
HOST_DEVICE T pick(const T (&v)[3], int k) {
  return k == 0 ? v[0] : k == 1 ? v[1] : v[2];
}

// The whole numbers first <= i < last.
struct Range {
  int first, last;
  HOST_DEVICE int size() const { return last > first ? last - first : 0; }
};

// Call visit(i, j) for the pairs of whole numbers of two ranges that are in the share.
template <typename Visit>
HOST_DEVICE void for_each_pair(Range rows, Range columns, Share share, const Visit& visit) {
  const int width = columns.size();
  if (width == 0) return;
  int i = rows.first, j = columns.first + share.first;
  for (;; j += share.step) {
    if (j >= columns.last) {
      const int beyond = j - columns.first;
      i += beyond / width;
      j = columns.first + beyond % width;
    }
    if (i >= rows.last) return;
    visit(i, j);
  }
}

// The whole numbers of [low, high] that are in 0..resolution-1.
template <typename Real>
HOST_DEVICE Range whole_numbers(Real low, Real high, int resolution) {
  const Real size = Real(resolution);
  const Real first = ceil(low), last = floor(high) + Real(1);
  return {first > Real(0) ? int(minimum(first, size)) : 0,
          last > Real(0) ? int(minimum(last, size)) : 0};
}

template <typename Real>
HOST_DEVICE Real least(const Real (&face)[3][3], int axis) {
  return minimum(minimum(face[0][axis], face[1][axis]), face[2][axis]);
}

template <typename Real>
HOST_DEVICE Real greatest(const Real (&face)[3][3], int axis) {
  return maximum(maximum(face[0][axis], face[1][axis]), face[2][axis]);
}

// ---- mode softras: lattice lines against faces -------------------------------------------------

// The lines parallel to one axis through the lattice points (i, j) of the two others, and where they
// meet one face. With p = v0 + s a + t b, a = v1 - v0 and b = v2 - v0, (s, t) solves a 2x2 system in
// the first two coordinates (Cramer's rule); the third is the depth of the hit.
template <typename Real>
struct LinesThroughFace {
  Real origin[3], a[3], b[3];
  Real det;
  Range rows, columns;  // of i and j: all the lines that can hit

  HOST_DEVICE LinesThroughFace(const Real (&face)[3][3], const int (&axes)[3], int resolution) {
    for (int k = 0; k < 3; ++k) {
      origin[k] = face[0][axes[k]];
      a[k] = face[1][axes[k]] - origin[k];
      b[k] = face[2][axes[k]] - origin[k];
    }
    det = a[1] * b[0] - b[1] * a[0];
    rows = columns = {0, resolution};
    if (hits_stay_near()) {
      rows = around(face, axes[0], resolution);
      columns = around(face, axes[1], resolution);
    }
  }

  // Whether a line that hits in rounded arithmetic lies within 1/8 of the face's bounding box.
  //
  // Let u be epsilon / 2 and L the longest extent of a and b. det is off by at most 4 u L^2 and the
  // numerators for a point at distance P by 4 u L P, so s and t by 4 u L (L + P) / |det| + u, which
  // for accepted points (0 <= s, t and s + t <= 1, so P is L + what follows) displaces by less than
  // 22 u L^3 / |det| + 7 u L, provided 32 u L^2 <= |det|. The bounds below make either term at most
  // 1/16. A face seen edge-on can fail them; rounding alone decides what it hits, and as hits are to
  // equal the published ones bit by bit, it is tested against all lines.
  HOST_DEVICE bool hits_stay_near() const {
    const Real epsilon = Rounding<Real>::epsilon;
    const Real length = maximum(maximum(absolute(a[0]), absolute(a[1])),
                                maximum(absolute(b[0]), absolute(b[1])));
    const Real smallest = Real(256) * epsilon * length * length * maximum(length, Real(1));
    return absolute(det) >= smallest && Real(64) * epsilon * length <= Real(1) &&
           absolute(det) >= Rounding<Real>::underflow_free;
  }

  static HOST_DEVICE Range around(const Real (&face)[3][3], int axis, int resolution) {
    return whole_numbers(least(face, axis) - Real(0.125), greatest(face, axis) + Real(0.125),
                         resolution);
  }

  // Whether line (i, j) hits, and at which depth.
  HOST_DEVICE bool hit(int i, int j, Real& depth) const {
    const Real x = Real(i) - origin[0], y = Real(j) - origin[1];
    const Real s_det = b[0] * y - b[1] * x;
    const Real t_det = a[1] * x - a[0] * y;
    // Spares most divisions: beyond this s > 1 or s < 0; t is treated the same way.
    if (absolute(s_det) > absolute(det) || absolute(t_det) > absolute(det)) return false;
    const Real s = s_det / det, t = t_det / det;
    if (!(s >= Real(0) && t >= Real(0) && s + t <= Real(1))) return false;
    depth = (s * a[2] + t * b[2]) + origin[2];
    return true;
  }
};

// Marks the voxel at `voxel`, coordinates given in the order `axes`, if it is in the grid.
template <typename Mark>
HOST_DEVICE void mark_inside(int first, int second, int third, const int (&axes)[3], int resolution,
                             const Mark& mark) {
  int voxel[3];
  voxel[axes[0]] = first;
  voxel[axes[1]] = second;
  voxel[axes[2]] = third;
  for (int k = 0; k < 3; ++k) {
    if (voxel[k] < 0 || voxel[k] >= resolution) return;
  }
  mark(voxel[0], voxel[1], voxel[2]);
}

// A line hits on the corner shared by four columns of voxels: all four are marked.
template <typename Real, typename Mark>
HOST_DEVICE void mark_hits(const Real (&face)[3][3], const int (&axes)[3], int resolution, Share share,
                           const Mark& mark) {
  const LinesThroughFace<Real> lines(face, axes, resolution);
  if (lines.det == Real(0)) return;
  for_each_pair(lines.rows, lines.columns, share, [&](int i, int j) {
    Real depth;
    if (!lines.hit(i, j, depth)) return;
    if (!(depth >= Real(0) && depth < Real(resolution))) return;
    const int k = int(depth);
    mark_inside(i, j, k, axes, resolution, mark);
    mark_inside(i - 1, j, k, axes, resolution, mark);
    mark_inside(i, j - 1, k, axes, resolution, mark);
    mark_inside(i - 1, j - 1, k, axes, resolution, mark);
  });
}

// Marks the voxels that hold a corner of the face and those around each hit of a lattice line.
template <typename Real, typename Mark>
HOST_DEVICE void mark_softras(const Real (&face)[3][3], int resolution, Share share, const Mark& mark) {
  const Real size = Real(resolution);
  for (int corner = 0; corner < 3; ++corner) {
    if (corner % share.step != share.first) continue;
    const Real x = face[corner][0], y = face[corner][1], z = face[corner][2];
    const bool inside = x >= Real(0) && x < size && y >= Real(0) && y < size && z >= Real(0) && z < size;
    if (inside) mark(int(x), int(y), int(z));
  }
  // The order of the first two axes decides the order of the operations, hence the last bit.
  const int along_x[3] = {2, 1, 0}, along_y[3] = {0, 2, 1}, along_z[3] = {0, 1, 2};
  mark_hits(face, along_x, resolution, share, mark);
  mark_hits(face, along_y, resolution, share, mark);
  mark_hits(face, along_z, resolution, share, mark);
}

// ---- mode solid: separating axis test ----------------------------------------------------------

// A direction n along which a triangle and a unit cube may be apart. The cube at lattice point p
// touches the triangle's shadow exactly when low <= n . p <= high.
struct SeparatingAxis {
  double n[3];
  double low, high;

  HOST_DEVICE void set(const double (&face)[3][3], double x, double y, double z) {
    n[0] = x;
    n[1] = y;
    n[2] = z;
    const double first = dot(face[0]), second = dot(face[1]), third = dot(face[2]);
    const double start = (minimum(x, 0.0) + minimum(y, 0.0)) + minimum(z, 0.0);
    const double end = (maximum(x, 0.0) + maximum(y, 0.0)) + maximum(z, 0.0);
    low = minimum(minimum(first, second), third) - end;
    high = maximum(maximum(first, second), third) - start;
  }

  HOST_DEVICE double dot(const double (&p)[3]) const {
    return (n[0] * p[0] + n[1] * p[1]) + n[2] * p[2];
  }

  HOST_DEVICE bool allows(const double (&p)[3]) const {
    const double at = dot(p);
    return low <= at && at <= high;
  }
};

// One triangle against many cubes. Two convex bodies are disjoint exactly when one of 13 axes
// separates them: the grid's three (the ranges), the normal, and edge x grid axis (the other nine).
//
// In double whatever the input: cubes that merely touch the face count, and for corners on a dyadic
// lattice the products must not round.
struct TriangleAgainstCubes {
  static constexpr int kAxes = 10;
  SeparatingAxis axis[kAxes];  // the normal first
  Range range[3];

  HOST_DEVICE TriangleAgainstCubes(const double (&face)[3][3], int resolution) {
    double edge[3][3];
    for (int k = 0; k < 3; ++k) {
      for (int i = 0; i < 3; ++i) edge[k][i] = face[(k + 1) % 3][i] - face[k][i];
      // Closed cubes: k touches [low, high] when k <= high and k + 1 >= low.
      range[k] = whole_numbers(ceil(least(face, k)) - 1.0, greatest(face, k), resolution);
    }
    const double(&a)[3] = edge[0];
    const double(&b)[3] = edge[1];
    axis[0].set(face, a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                a[0] * b[1] - a[1] * b[0]);
    for (int k = 0; k < 3; ++k) {
      axis[3 * k + 1].set(face, 0.0, edge[k][2], -edge[k][1]);
      axis[3 * k + 2].set(face, -edge[k][2], 0.0, edge[k][0]);
      axis[3 * k + 3].set(face, edge[k][1], -edge[k][0], 0.0);
    }
  }

  HOST_DEVICE bool meets(const double (&cube)[3]) const {
    for (int k = 0; k < kAxes; ++k) {
      if (!axis[k].allows(cube)) return false;
    }
    return true;
  }

  // The grid axis nearest to the normal: columns along it meet the plane in the fewest cubes.
  HOST_DEVICE int steepest() const {
    const double(&n)[3] = axis[0].n;
    const int of_two = absolute(n[1]) > absolute(n[0]) ? 1 : 0;
    return absolute(n[2]) > absolute(n[of_two]) ? 2 : of_two;
  }

  // The cubes of the column along `depth` through `foot` (where foot[depth] is 0) which the plane can
  // meet. One cube is added at either end, far more than the rounding of the division (depth is the
  // steepest axis).
  HOST_DEVICE Range near_plane(const double (&foot)[3], int depth) const {
    const Range all = pick(range, depth);
    const double slope = pick(axis[0].n, depth);
    if (slope == 0.0) return all;
    const double rest = axis[0].dot(foot);
    const double one = (axis[0].low - rest) / slope, other = (axis[0].high - rest) / slope;
    const Range near = whole_numbers(minimum(one, other) - 1.0, maximum(one, other) + 1.0, all.last);
    return {near.first > all.first ? near.first : all.first, near.last};
  }
};

// The lattice point at i, j, k along the axes after `depth`, the one after that, and `depth` itself.
struct LatticePoint {
  double at[3];
  HOST_DEVICE LatticePoint(int i, int j, int k, int depth)
      : at{double(depth == 0 ? k : depth == 1 ? j : i), double(depth == 1 ? k : depth == 2 ? j : i),
           double(depth == 2 ? k : depth == 0 ? j : i)} {}
};

// Marks the voxels whose closed cube overlaps the face.
template <typename Mark>
HOST_DEVICE void mark_solid(const double (&face)[3][3], int resolution, Share share, const Mark& mark) {
  const TriangleAgainstCubes triangle(face, resolution);
  const int depth = triangle.steepest();
  const Range rows = pick(triangle.range, (depth + 1) % 3), columns = pick(triangle.range, (depth + 2) % 3);
  for_each_pair(rows, columns, share, [&](int i, int j) {
    const Range column = triangle.near_plane(LatticePoint(i, j, 0, depth).at, depth);
    for (int k = column.first; k < column.last; ++k) {
      const LatticePoint cube(i, j, k, depth);
      if (triangle.meets(cube.at)) mark(int(cube.at[0]), int(cube.at[1]), int(cube.at[2]));
    }
  });
}

// ---- either mode -------------------------------------------------------------------------------

// What a mode computes with when it is given faces of T.
template <Mode mode, typename T>
using RealOf = std::conditional_t<mode == Mode::softras, T, double>;

// Marks the surface voxels of the face at `corners`, if it can be used.
template <Mode mode, typename T, typename Mark>
HOST_DEVICE void mark_face(const T* corners, int resolution, Share share, const Mark& mark) {
  RealOf<mode, T> face[3][3];
  if (!load_face(corners, resolution, face)) return;
  if constexpr (mode == Mode::softras) {
    mark_softras(face, resolution, share, mark);
  } else {
    mark_solid(face, resolution, share, mark);
  }
}

// ---- the outside -------------------------------------------------------------------------------

// A grid of bits: a row of voxels along z is `words` words of 64, voxel z at bit z % 64 of word
// z / 64. Words are ordered [word of the row][x][y]: words that meet lie side by side for threads
// that walk along y. Bits past the row's end are zero.
struct BitGrid {
  int resolution, words;

  explicit HOST_DEVICE BitGrid(int side) : resolution(side), words((side + 63) / 64) {}

  HOST_DEVICE int64_t size() const { return int64_t(resolution) * resolution * words; }
  HOST_DEVICE int64_t word(int x, int y, int z) const {
    return (int64_t(z / 64) * resolution + x) * resolution + y;
  }
  static HOST_DEVICE uint64_t bit(int z) { return uint64_t(1) << (z % 64); }

  // The bits of a row's word that are voxels.
  HOST_DEVICE uint64_t voxels(int word_of_row) const {
    const int left = resolution - 64 * word_of_row;
    return left >= 64 ? ~uint64_t(0) : bit(left) - 1;
  }

  // Those of them that lie on the border of the grid.
  HOST_DEVICE uint64_t border(int x, int y, int word_of_row) const {
    const int last = resolution - 1;
    if (x == 0 || y == 0 || x == last || y == last) return voxels(word_of_row);
    return (word_of_row == 0 ? bit(0) : 0) | (word_of_row == last / 64 ? bit(last) : 0);
  }
};

// The bits of `open` joined to a bit of `seed` (a part of `open`) through neighbouring bits of `open`.
HOST_DEVICE uint64_t flood_word(uint64_t seed, uint64_t open) {
  uint64_t up = open, down = open;
  for (int step = 1; step < 64; step *= 2) {  // spans double: 1, 2, 4, ... bits at a time
    seed |= (up & (seed << step)) | (down & (seed >> step));
    up &= up << step;
    down &= down >> step;
  }
  return seed;
}

}  // namespace renderer
