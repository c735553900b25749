// The tiles of the forward on the GPU, and how the faces of a crowded one are cut into parts, each drawn by a block of its own.
//
// A tile is cut where more than most_tile_faces faces touch it, in meshes of more than uncut_mesh_faces: into parts of equally
// many of these faces, in ascending order. That depends on the boxes of its mesh alone, not on how faces are sorted into bins, so
// an image has the same bits whatever else is in the batch.
#pragma once

#include "rasterize_cuda_faces.h"

namespace renderer {

constexpr int tile_side = 8, tile_threads = tile_side * tile_side;  // pixels, one thread each
constexpr int tile_warps = tile_threads / warp_size;                // 8 x 4 pixels each, one below the other
constexpr int warp_rows = tile_side / tile_warps;
constexpr int group_columns = 4, group_rows = 2, group_lanes = group_columns * group_rows;  // of a group of lanes
constexpr int groups = warp_size / group_lanes;                     // of a warp: two rows of two

struct Tile {
  int64_t image;
  int column, row;  // of its first pixel
};

HOST_DEVICE int tiles_across(int side) { return divide_up(side, tile_side); }

inline int64_t count_tiles(const Meshes& m, int height, int width) {
  return m.images * tiles_across(width) * tiles_across(height);
}

__device__ inline Tile tile_at(int height, int width, unsigned index) {
  const unsigned columns = tiles_across(width), tiles = columns * tiles_across(height), tile = index % tiles;
  return {index / tiles, int(tile % columns) * tile_side, int(tile / columns) * tile_side};
}

// The groups of lanes of a tile which a box touches: one bit each, those of the first warp first.
__device__ inline unsigned touched_groups(Box box, Tile tile) {
  const int first_column = box.first_column - tile.column, end_column = box.end_column - tile.column;
  const int first_row = box.first_row - tile.row, end_row = box.end_row - tile.row;
  if (first_column >= tile_side || end_column <= 0 || first_row >= tile_side || end_row <= 0) return 0;
  const unsigned columns = unsigned(first_column < group_columns) | unsigned(end_column > group_columns) << 1;
  unsigned touched = 0;
  for (int i = 0; i < tile_side / group_rows; ++i) {
    const int row = i * group_rows;
    if (first_row < row + group_rows && end_row > row) touched |= columns << 2 * i;
  }
  return touched;
}

// ---- crowded tiles ---------------------------------------------------------------------------------

// The parts that a tile is cut into, at a level; none for a tile that stays whole.
HOST_DEVICE uint32_t parts_of_tile(uint32_t faces, int level) {
  if (faces <= most_tile_faces << level) return 0;
  return uint32_t(divide_up(int64_t(faces), part_faces << level));
}

struct CutTile {
  uint32_t faces;  // that touch it; 0 where the list of its bin tells that it stays whole
  uint32_t parts;  // or 0
  int64_t slot;    // of the first part; the others follow
};

// A part of a tile; none where parts is zero. Its faces begin at place `begin` of those of the bin.
struct TilePart {
  int64_t begin;
  uint32_t tile, part, parts;
};

// The tiles of a launch that are cut into parts.
struct Cuts {
  Levels levels;    // without levels no tile is cut
  int64_t* cursor;  // [images] slots taken
  CutTile* tiles;   // [tiles]
  TilePart* parts;  // [slots]
  int64_t slots;

  HOST_DEVICE int64_t first_slot(const Meshes& m, int64_t image) const {
    return first_face_of(m, image) / slot_faces + image * image_slots;
  }
  HOST_DEVICE int64_t capacity(const Meshes& m, int64_t image) const {
    return mesh_faces(m, image) / slot_faces + image_slots;
  }
  HOST_DEVICE int level(const Meshes& m, int64_t image) const { return levels.choose(image, capacity(m, image)); }
};

// Choose how many parts there may be; first_face of the meshes is read if it is in the memory of the host.
Cuts plan_cuts(const Meshes&);

// Tell which tiles are cut, and where their parts begin; totals and cursors have to be zero before, and the parts of
// slots.
const char* queue_cuts(const Bins&, const Box* boxes, const Cuts&, cudaStream_t);

}  // namespace renderer
