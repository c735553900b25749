// What forward and backward of the CUDA back end have in common: prepared faces, and how much they need.
#pragma once

#include "cuda_kernels.h"
#include "face.h"
#include "modes.h"
#include "scratch.h"

namespace renderer {

constexpr int most_side = 65535;  // pixels along a side of an image, see Box

// ---- faces in memory -------------------------------------------------------------------------------

// Memory is moved in pieces of 16 bytes, one instruction each: where a whole slot is copied, as its alignment lets the
// compiler do; of a face that is read by its members it knows the alignment of a number alone.
template <typename T>
struct alignas(16) Slot {
  Face<T> face;
};
static_assert(sizeof(Slot<float>) == 24 * sizeof(float) && sizeof(Slot<double>) == 24 * sizeof(double));

// The pixels whose centres can lie in the support of a face, half open, as in Face: all that a search
// for faces reads of them.
struct alignas(8) Box {
  uint16_t first_column, end_column, first_row, end_row;

  HOST_DEVICE bool empty() const { return first_column >= end_column || first_row >= end_row; }
  HOST_DEVICE uint32_t columns() const { return uint32_t(end_column - first_column); }
  HOST_DEVICE uint32_t pixels() const { return empty() ? 0u : columns() * uint32_t(end_row - first_row); }
};

// Numbers in a texture of a face: 9 or 3 R^2.
template <typename T>
HOST_DEVICE int texture_numbers(const Parameters<T>& p) {
  return p.texture == Texture::vertex ? 9 : 3 * p.texture_side * p.texture_side;
}

// ---- faces in ranges -------------------------------------------------------------------------------

// A block of threads takes a range of faces, of one mesh: range r of a mesh is its faces from
// r * range_faces on. The ranges of a mesh are numbered from first_range on; the last may be empty.
constexpr int range_faces = 256;

HOST_DEVICE int64_t first_range(const Meshes& m, int64_t image) {
  return first_face_of(m, image) / range_faces + image;
}
inline int64_t count_ranges(const Meshes& m) { return m.faces / range_faces + m.images; }

struct Range {
  int64_t image, number;  // number within the mesh
  int64_t begin, end;     // faces in the batch
};

HOST_DEVICE Range range_at(const Meshes& m, int64_t index) {
  int64_t low = 0, high = m.images;  // first_range(low) <= index < first_range(high)
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (first_range(m, middle) <= index ? low : high) = middle;
  }
  const int64_t number = index - first_range(m, low), first = first_face_of(m, low);
  const int64_t begin = first + number * range_faces, last = first + mesh_faces(m, low);
  return {low, number, begin, begin + range_faces < last ? begin + range_faces : last};
}

// ---- memory that is known on the device alone ------------------------------------------------------

// Some memory depends on how large faces are in the image, which the host does not know and does not
// wait for. It is given a fixed size, and the device chooses, for each mesh, the finest of some levels
// at which the need fits: totals[image * levels + level] is the need at that level. The last level
// always fits, so nothing can overflow.
struct Levels {
  int64_t* totals;  // [images, count], sums that setup_faces makes
  int count;

  HOST_DEVICE int choose(int64_t image, int64_t capacity) const {
    int level = 0;
    while (level + 1 < count && totals[image * count + level] > capacity) ++level;
    return level;
  }
};

inline int64_t count_totals(const Meshes& m, Levels levels) { return m.images * levels.count; }

// The bins of 2^(shift + level) by 2^(shift + level) pixels that a face touches.
struct BinNeed {
  int shift;
  HOST_DEVICE uint32_t operator()(Box box, int level) const {
    if (box.empty()) return 0;
    const int s = shift + level;
    return uint32_t(((box.end_column - 1) >> s) - (box.first_column >> s) + 1) *
           uint32_t(((box.end_row - 1) >> s) - (box.first_row >> s) + 1);
  }
};

// The parts of 2^(shift + level) pixels that a face is cut into; none for a face that stays whole.
struct PartNeed {
  int shift;
  HOST_DEVICE uint32_t operator()(Box box, int level) const {
    const uint32_t pixels = box.pixels(), before_last = pixels > 0 ? (pixels - 1) >> (shift + level) : 0;
    return before_last > 0 ? before_last + 1 : 0;
  }
};

// ---- stages ----------------------------------------------------------------------------------------

// The prepared faces of a batch.
template <typename T>
struct Faces {
  Slot<T>* slots;  // [faces]
  Box* boxes;      // [faces]
};

template <typename T>
Faces<T> take_faces(const Meshes& m, ScratchMemory& memory) {
  return {memory.take<Slot<T>>("slots", m.faces), memory.take<Box>("boxes", m.faces)};
}

// Faces as they are prepared for most renders. Without textures, for silhouettes, face_textures is null.
template <typename T>
struct PlainFaces {
  const T* face_vertices;
  const T* face_textures;
  Parameters<T> parameters;

  HOST_DEVICE const Meshes& meshes() const { return parameters; }
  HOST_DEVICE Face<T> prepare(int64_t index) const {
    const int numbers = texture_numbers(parameters);
    const bool colored = !face_textures || are_finite(face_textures + index * numbers, numbers);
    return setup_face(face_vertices + 9 * index, colored, parameters);
  }
};

// Prepare all faces and, where levels.count > 0, add up their needs; totals have to be zero before. `source` is as
// PlainFaces.
template <typename T, typename Source, typename Need>
const char* setup_faces_of(const Source& source, Need, Levels, Faces<T>, cudaStream_t);

template <typename T, typename Need>
const char* setup_faces(const T* face_vertices, const T* face_textures, const Parameters<T>& p, Need need,
                        Levels levels, Faces<T> faces, cudaStream_t stream) {
  return setup_faces_of(PlainFaces<T>{face_vertices, face_textures, p}, need, levels, faces, stream);
}

// Faces sorted into bins, squares of pixels, each with a list of its faces in ascending order.
struct Bins {
  Meshes meshes;
  int height, width;
  int shift;        // a bin of the finest level is 2^shift pixels wide
  Levels levels;    // without levels there are no lists: faces are so few that all are looked at
  int64_t* cells;   // [count_cells]: bin by bin, where its list begins for each range of faces
  int64_t* sums;    // [count_sums]
  int32_t* list;    // [count_entries] indices of faces in their mesh

  HOST_DEVICE int columns(int level) const { return ((width - 1) >> (shift + level)) + 1; }
  HOST_DEVICE int rows(int level) const { return ((height - 1) >> (shift + level)) + 1; }
  HOST_DEVICE int64_t first_cell(int64_t image) const {
    return first_range(meshes, image) * columns(0) * rows(0);
  }
  // Entries of lists that an image has room for: all of its faces in one bin fit.
  HOST_DEVICE int64_t capacity(int64_t image) const {
    return 4 * mesh_faces(meshes, image) + int64_t(height) * width;
  }
};

// The faces of one bin: list[0], ..., list[count - 1], or without a list 0, ..., count - 1.
struct BinFaces {
  const int32_t* list;
  int64_t count;
};

HOST_DEVICE BinFaces faces_at(const Bins& bins, int64_t image, int column, int row) {
  if (bins.levels.count == 0) return {nullptr, mesh_faces(bins.meshes, image)};
  const int level = bins.levels.choose(image, bins.capacity(image)), shift = bins.shift + level;
  const int64_t bin = int64_t(row >> shift) * bins.columns(level) + (column >> shift);
  const int64_t ranges = first_range(bins.meshes, image + 1) - first_range(bins.meshes, image);
  const int64_t* cell = bins.cells + bins.first_cell(image) + bin * ranges;
  return {bins.list + cell[0], cell[ranges] - cell[0]};
}

// Choose the finest bins; first_face of the meshes is read if it is in the memory of the host.
template <typename T> Bins plan_bins(const Parameters<T>&);
int64_t count_cells(const Bins&);
int64_t count_sums(const Bins&);
int64_t count_entries(const Bins&);

// Replace each number by the sum of those before it; `sums` holds count_scan_sums(count) numbers.
int64_t count_scan_sums(int64_t count);
const char* queue_scan(int64_t* numbers, int64_t count, int64_t* sums, cudaStream_t);

// The buffers of faces that are sorted into bins.
template <typename T>
struct BinScratch {
  Faces<T> faces;       // [faces]
  int64_t* first_face;  // [B + 1] of a packed batch, on the device
  int64_t* counts;      // [B * levels + count_cells] totals of Levels, then cells of Bins: cleared together
  int64_t* sums;        // [count_sums]
  int32_t* list;        // [count_entries]
};

template <typename T>
BinScratch<T> take_bin_scratch(const Meshes& m, const Bins& bins, ScratchMemory& memory) {
  const bool lists = bins.levels.count > 0;
  return {take_faces<T>(m, memory),
          memory.take<int64_t>("first_face on the device", count_offsets(m)),
          memory.take<int64_t>("counts", lists ? count_totals(m, bins.levels) + count_cells(bins) : 0),
          memory.take<int64_t>("sums", lists ? count_sums(bins) : 0),
          memory.take<int32_t>("list", lists ? count_entries(bins) : 0)};
}

// Give planned bins their memory, of which what is added to is cleared; first_face of the meshes is of the device.
template <typename T>
void place_bins(const Meshes& m, const BinScratch<T>& s, Bins& bins, cudaStream_t stream) {
  const int64_t totals = count_totals(m, bins.levels), counts = totals + (bins.levels.count > 0 ? count_cells(bins) : 0);
  if (bins.levels.count > 0) cudaMemsetAsync(s.counts, 0, std::size_t(counts) * sizeof(int64_t), stream);
  bins.meshes = m;
  bins.levels.totals = s.counts;
  bins.cells = s.counts + totals;
  bins.sums = s.sums;
  bins.list = s.list;
}

// Fill the lists; cells have to be zero before.
const char* sort_into_bins(const Bins&, const Box* boxes, cudaStream_t);

}  // namespace renderer
