// The CPU kernels of the rasterizer, one table of functions for each instruction set.
#pragma once

#include <cstdint>

#include "face.h"
#include "parameters.h"

namespace renderer {

// A rectangle of pixels, half open.
struct Tile {
  int first_column, end_column, first_row, end_row;
  int columns() const { return end_column - first_column; }
  int rows() const { return end_row - first_row; }
};

// Up to this many pixels in its box a face is one lane among others; a larger one has a pack for itself.
constexpr int small_pixels = 512;

// The pixels of the box of a face.
template <typename T>
HOST_DEVICE int64_t box_pixels(const Face<T>& face) {
  return face.empty() ? 0 : int64_t(face.end_column - face.first_column) * (face.end_row - face.first_row);
}

// The numbers that colour a face.
template <typename T>
HOST_DEVICE int texture_numbers(const Parameters<T>& p) {
  return p.texture == Texture::vertex ? 9 : 3 * p.texture_side * p.texture_side;
}

// How many faces have pixels, and how many pixels their boxes have. Where these are many on average an image counts as
// one of wide faces: then all of its faces are drawn in rows of pixels, none of them in lanes.
struct FaceSizes {
  static constexpr int most_pixels = 4096;  // that count of one face, so that a few do not decide for all
  int64_t faces, pixels;

  void add(const FaceSizes& other) {
    faces += other.faces;
    pixels += other.pixels;
  }
  bool wider_than(int64_t each) const { return pixels > each * faces; }
};

// What sorts a face: twice the number of its pixels, and one more for a back, whose corners do not run clockwise in the
// image. Of a small face these are the pixels that are walked over, of another those of its box.
//
// Small faces are sorted into classes of keys: fronts come before backs, as they hide the backs of a closed mesh, most of
// which then need no colour, and a pack should need it for all of its faces or for none; then by size, so that the faces of
// a pack end together.
struct KeyClasses {
  static constexpr int finest = 64, step = 8;  // a class for each number of pixels, then one for eight
  static constexpr int sizes = finest + (small_pixels - finest) / step + 1, count = 2 * sizes;

  static HOST_DEVICE bool has_pixels(int32_t key) { return key >= 2; }
  static HOST_DEVICE int of(int32_t key) {
    const int32_t pixels = key / 2;
    return (key % 2 ? sizes : 0) + (pixels < finest ? pixels : finest + (pixels - finest) / step);
  }
};

// Some of the prepared faces of a mesh.
template <typename T>
struct FaceList {
  const Face<T>* faces;  // of the mesh
  const int32_t* keys;   // of each of them, see KeyClasses
  const int32_t* list;   // indices of `count` faces, or null for faces 0, ..., count - 1
  int64_t count;
  bool wide;             // whether the image is one of wide faces
  // In the backward: how many small ones come first, and by how many powers of two depth alone tells weights apart.
  int64_t small;
  T depths;
};

template <typename T>
struct ForwardKernels {
  // Prepare faces [begin, end) of the batch into out[0, end - begin), and their keys.
  FaceSizes (*setup)(const Forward<T>&, int64_t begin, int64_t end, Face<T>* out, int32_t* keys);

  // Render one tile of one image from the faces of a list: wide ones in its order, others sorted by what they have in the
  // tile. scratch holds scratch_size(...) numbers.
  void (*render)(const Forward<T>&, int64_t image, const FaceList<T>&, Tile, T* scratch);
  int64_t (*scratch_size)(const Parameters<T>&, int columns, int rows);
};

template <typename T>
struct BackwardKernels {
  // Lay out what the backward reads of rows [begin, end) of one image, for wide faces or not.
  void (*lay_out)(const Backward<T>&, int64_t image, int begin, int end, bool wide, T* pixels);
  int64_t (*pixels_size)(const Parameters<T>&);

  // Prepare faces [begin, end) of the batch into out[0, end - begin), and their keys.
  FaceSizes (*setup)(const Backward<T>&, int64_t begin, int64_t end, Face<T>* out, int32_t* keys);

  // Gather the gradient of the faces of a list; what they do not write, texels that no pixel shows, is zero before.
  void (*gather)(const Backward<T>&, int64_t image, const FaceList<T>&, const T* pixels);

  // Gather what rows [begin, end) add to the gradient of the one face of a list: nine numbers, then those of its
  // texture, which are zero before.
  void (*gather_part)(const Backward<T>&, int64_t image, const FaceList<T>&, int begin, int end, const T* pixels,
                      T* partial);
};

// Each is defined by rasterize_cpu_forward.cpp or rasterize_cpu_backward.cpp, compiled once for each
// instruction set.
#define RENDERER_DECLARE_KERNELS(NAME)                     \
  const ForwardKernels<float>& float_forward_##NAME();     \
  const ForwardKernels<double>& double_forward_##NAME();   \
  const BackwardKernels<float>& float_backward_##NAME();   \
  const BackwardKernels<double>& double_backward_##NAME();
RENDERER_DECLARE_KERNELS(baseline)
RENDERER_DECLARE_KERNELS(avx2)
RENDERER_DECLARE_KERNELS(avx512)

#define RENDERER_JOIN_(a, b) a##b
#define RENDERER_JOIN(a, b) RENDERER_JOIN_(a, b)

}  // namespace renderer
