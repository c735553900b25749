// Launches from the tensor side of an emulated back end.
#pragma once

#include <stdexcept>
#include <string>

#include "memory.h"
#include "scratch.h"

namespace renderer {

// Every buffer of a launch gets guarded memory of its own.
class EmulatedScratch : public ScratchMemory {
 public:
  explicit EmulatedScratch(emulator::DeviceMemory& memory) : memory_(memory) {}

 private:
  void* take_bytes(const char* name, int64_t bytes) override { return memory_.scratch(name, bytes); }

  emulator::DeviceMemory& memory_;
};

// Launch a call (see scratch.h) whose pointers are of `memory`, and copy what it wrote to the host.
template <typename Call>
void launch_emulated(const Call& call, emulator::DeviceMemory& memory) {
  EmulatedScratch scratch(memory);
  if (const char* error = launch(call, scratch, nullptr)) {
    throw std::runtime_error(std::string("emulator: ") + error);
  }
  memory.finish();
}

}  // namespace renderer
