// Modes as constants, so that the compiler makes a kernel for each that leaves out the others.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "parameters.h"

namespace renderer {
namespace {

template <auto constant>
struct Constant {
  static constexpr auto value = constant;
};

// Call visit(color, every_mode) with both as constants. Double precision is for checking: it is compiled for
// every mode only.
template <typename T, typename Visit>
void with_modes(const Parameters<T>& p, const Visit& visit) {
  const auto with_color = [&](auto every_mode) {
    switch (p.color) {
      case Color::none: return visit(Constant<Color::none>(), every_mode);
      case Color::softmax: return visit(Constant<Color::softmax>(), every_mode);
      case Color::hard: return visit(Constant<Color::hard>(), every_mode);
    }
  };
  if constexpr (sizeof(T) == 4) {
    if (!p.every_mode()) return with_color(Constant<false>());
  }
  with_color(Constant<true>());
}

}  // namespace
}  // namespace renderer
