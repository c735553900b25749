// The numbers that decide how the work of a launch is cut up. But for the rounding of sums, whose parts are added up later, none
// of them changes a result.
//
// With RENDERER_SMALL_THRESHOLDS, which the tests set for the launch emulator, they are so small that a scene of a few
// faces takes every path that a large one takes.
#pragma once

#include <cstdint>

namespace renderer {

#if defined(RENDERER_SMALL_THRESHOLDS)
constexpr int64_t few_faces = 8;
constexpr int bins_at_once = 4;
constexpr int most_own_bins = 2;
constexpr int scans_per_thread = 1;
constexpr int64_t most_whole_pixels = 64;
constexpr int part_shift = 6;
constexpr int64_t many_faces = 16;
constexpr int64_t uncut_mesh_faces = 8;
constexpr int64_t most_tile_faces = 4;
constexpr int64_t part_faces = 2;
constexpr int64_t slot_faces = 1;
constexpr int64_t image_slots = 8;
#else
// Faces of a mesh up to which looking at all costs a tile less than sorting them into bins.
constexpr int64_t few_faces = 512;
// Bins that a block looks at together, with a word of memory for each 32 of its 256 faces.
constexpr int bins_at_once = 256;
// Bins of one face up to which its thread takes all of them; of more, the lanes of its warp share them.
constexpr int most_own_bins = 8;
// Cells of bins that a thread of the running sum adds up.
constexpr int scans_per_thread = 8;
// Pixels of an image up to which no face is cut: a warp walks through them while the launches for parts would start.
constexpr int64_t most_whole_pixels = 4096;
// The least part of a face has 2^part_shift pixels: 32 for each lane.
constexpr int part_shift = 10;
// Faces of a batch below which each has a warp for itself in the gather: fewer warps would leave the GPU idle.
constexpr int64_t many_faces = 8192;
// Faces of a mesh up to which no tile of the forward is cut: looking for crowded tiles would cost more than it gains.
constexpr int64_t uncut_mesh_faces = 32768;
// Faces that touch a tile up to which one block draws them all.
constexpr int64_t most_tile_faces = 1024;
// The most faces of a part of a tile, at the finest level.
constexpr int64_t part_faces = 512;
// There is room for a part for so many faces of a mesh, as if each touched four tiles that are cut; and for some more in each image.
constexpr int64_t slot_faces = 128;
constexpr int64_t image_slots = 32;
#endif

}  // namespace renderer
