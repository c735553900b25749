// What the stages of the backward on the GPU share: jobs, rows of pixels, and the launch of each stage.
//
// set-up (rasterize_cuda_faces.cu) -> jobs -> pixels -> gather -> combine; csrc/README.md tells what each
// does and what each buffer holds.
#pragma once

#include "fragment.h"
#include "rasterize_cuda_faces.h"

namespace renderer {

constexpr int backward_block = 128;  // threads

// ---- jobs: faces that are cut into parts -----------------------------------------------------------

// A part of a face that is cut; none where parts is zero. Read at once, as PixelRow is.
struct alignas(16) Job {
  int64_t face;
  uint32_t part, parts;
};

// Faces that are cut into parts. The jobs of a face lie one after the other.
struct Jobs {
  Levels levels;    // without levels no face is cut
  int64_t* cursor;  // [images] jobs taken
  Job* job;         // [slots]
  int64_t slots;
  int64_t per_image;

  HOST_DEVICE int64_t first_slot(const Meshes& m, int64_t image) const {
    return first_face_of(m, image) / 16 + image * per_image;
  }
  HOST_DEVICE int64_t capacity(const Meshes& m, int64_t image) const { return mesh_faces(m, image) / 16 + per_image; }
  HOST_DEVICE int level(const Meshes& m, int64_t image) const { return levels.choose(image, capacity(m, image)); }
};

// Choose how many jobs there may be. Faces are cut where they can
// have more pixels than the least part, in images of more than most_whole_pixels.
template <typename T> Jobs plan_jobs(const Parameters<T>&);

// Write the jobs of all faces that are cut; totals have to be summed up (setup_faces), cursors and jobs to be
// zero before.
const char* queue_jobs(const Meshes&, const Box* boxes, const Jobs&, cudaStream_t);

// ---- pixels: what a face reads of each -------------------------------------------------------------

// Laid out together with colour: a pixel is read once for each face that covers it, in two or four
// instructions in place of ten.
template <typename T>
struct alignas(16) PixelRow {
  T alpha;  // see alpha_vjp
  T color[3], mean, exponent, inverse_partition;
  typename IntegerLike<T>::type face;  // the nearest
};

template <Color mode, bool every_mode, typename T>
__device__ PixelState<T> alpha_gradient(const Backward<T>& b, int64_t image, int64_t plane, int64_t pixel) {
  const T grad = b.grad_image[(mode == Color::none ? image : 4 * image + 3) * plane + pixel];
  return alpha_vjp<every_mode>(grad, b.transmittance, image * plane + pixel, mesh_faces(b.parameters, image),
                               b.parameters);
}

// Write rows [B, H, W]; only for a call with colour.
template <typename T>
const char* queue_pixels(const Backward<T>&, PixelRow<T>* rows, cudaStream_t);

// ---- gather and combine ----------------------------------------------------------------------------

// Numbers of a gradient that a lane adds up: of the corners, x, y, z each, then of their colours.
constexpr int corner_numbers = 9;
HOST_DEVICE constexpr int gradient_numbers(Color mode) {
  return mode == Color::none ? corner_numbers : 2 * corner_numbers;
}

// Numbers of a part: of the corners, then of the texture, be it colours of corners or texels.
template <typename T>
HOST_DEVICE int part_numbers(const Parameters<T>& p) {
  return p.color == Color::none ? corner_numbers : corner_numbers + texture_numbers(p);
}

// What the gather works with besides the call.
template <typename T>
struct Gathering {
  Faces<T> faces;
  const PixelRow<T>* rows;  // [B, H, W], null without colour
  Jobs jobs;
  T* partials;              // [slots, part_numbers]; of texels zero before, as they are added to
};

// Write the gradient of every face that is whole, and the sums of every part.
template <typename T>
const char* queue_gather(const Backward<T>&, const Gathering<T>&, cudaStream_t);

// Add up the parts of every face that is cut, in order.
template <typename T>
const char* queue_combine(const Backward<T>&, const Jobs&, const T* partials, cudaStream_t);

}  // namespace renderer
