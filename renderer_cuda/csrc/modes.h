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

// Call visit(color, general) with both as constants. Double precision is for checking: it takes the
// general way always.
template <typename T, typename Visit>
void with_modes(const Parameters<T>& p, const Visit& visit) {
  const auto with_color = [&](auto general) {
    switch (p.color) {
      case Color::none: return visit(Constant<Color::none>(), general);
      case Color::softmax: return visit(Constant<Color::softmax>(), general);
      case Color::hard: return visit(Constant<Color::hard>(), general);
    }
  };
  if constexpr (sizeof(T) == 4) {
    if (!p.general()) return with_color(Constant<false>());
  }
  with_color(Constant<true>());
}

}  // namespace
}  // namespace renderer
