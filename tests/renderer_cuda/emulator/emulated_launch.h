// Launches from the tensor side of an emulated back end.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "memory.h"
#include "scratch.h"

namespace renderer {

// Launch a call (see scratch.h) whose pointers are of `memory`, and copy what it wrote to the host.
template <typename Call>
void launch_emulated(const Call& call, emulator::DeviceMemory& memory) {
  std::vector<void*> scratch;
  for (const Buffer& buffer : scratch_of(call)) scratch.push_back(memory.scratch(buffer.name, buffer.bytes));
  if (const char* error = launch(call, scratch.data(), nullptr)) {
    throw std::runtime_error(std::string("emulator: ") + error);
  }
  memory.finish();
}

}  // namespace renderer
