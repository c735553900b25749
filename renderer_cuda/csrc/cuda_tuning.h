// The numbers that decide how the work of a launch is cut up. None of them changes a result.
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
#endif

}  // namespace renderer
