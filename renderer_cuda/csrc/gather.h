// What gather_faces and scatter_faces work on: the corners of faces and the vertices they name.
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

}  // namespace renderer
