// What gather_faces and scatter_rows work on: rows of numbers, and the places that others take them from.
#pragma once

#include <cstdint>

namespace renderer {

struct GatherShape {
  int64_t images, vertices, channels, corners;  // B, V, C, 3 F
};

template <typename T>
struct Gather {
  GatherShape shape;
  const T* vertices;     // [B][V][C]
  const int64_t* faces;  // [3 F], a vertex for each corner
  T* corners;            // out [B][3 F][C]
};

// Sums of rows: place n gets those of the rows order[first[n]], ..., order[first[n + 1] - 1].
struct RowSums {
  int64_t images, rows, places, channels;  // B, M, N, C
  const int32_t* order;                    // [M] rows by their places, ascending within each
  const int32_t* first;                    // [N + 1]
};

template <typename T>
struct Scatter {
  RowSums sums;
  const T* rows;  // [B][M][C]
  T* totals;      // out [B][N][C]
};

}  // namespace renderer
