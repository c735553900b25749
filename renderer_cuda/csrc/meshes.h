// How the faces of a batch are shared out among its images, in a batch of equal or of different meshes.
#pragma once

#include <cstdint>

#include "real.h"

namespace renderer {

struct Meshes {
  int64_t images;             // B
  int64_t faces;              // all of the batch: B F, or the N of a packed batch
  int64_t faces_per_image;    // F; without meaning in a packed batch
  const int64_t* first_face;  // [B + 1] of a packed batch, where the kernel reads it; else null
  bool first_face_on_device;  // before a launch: whether it is in the memory of the device rather than of the host
};

// Where the faces of an image begin.
HOST_DEVICE int64_t first_face_of(const Meshes& m, int64_t image) {
  return m.first_face ? m.first_face[image] : image * m.faces_per_image;
}

// The number of faces of an image.
HOST_DEVICE int64_t mesh_faces(const Meshes& m, int64_t image) {
  return m.first_face ? m.first_face[image + 1] - m.first_face[image] : m.faces_per_image;
}

// The number of faces of the largest mesh; of the batch where offsets are on the device, which the host does not read.
inline int64_t most_faces(const Meshes& m) {
  if (m.first_face_on_device) return m.faces;
  int64_t most = 0;
  for (int64_t image = 0; image < m.images; ++image) {
    const int64_t faces = mesh_faces(m, image);
    most = faces > most ? faces : most;
  }
  return most;
}

// The image a face belongs to.
HOST_DEVICE int64_t image_of(const Meshes& m, int64_t face) {
  if (!m.first_face) {  // 32 bits are enough but for the largest batches, and divide three times faster
    return m.faces <= UINT32_MAX ? uint32_t(face) / uint32_t(m.faces_per_image) : face / m.faces_per_image;
  }
  int64_t low = 0, high = m.images;  // first_face[low] <= face < first_face[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (m.first_face[middle] <= face ? low : high) = middle;
  }
  return low;
}

}  // namespace renderer
