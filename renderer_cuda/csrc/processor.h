// Which instruction set the kernels that are compiled for several of them use on this processor.
#pragma once

#include <cstdlib>
#include <cstring>

namespace renderer {

enum class InstructionSet { baseline, avx2, avx512 };

// The best the processor has; the environment can ask for less, which the tests do.
inline InstructionSet instruction_set() {
#if defined(RENDERER_X86_KERNELS)
  const char* wanted = std::getenv("RENDERER_CUDA_INSTRUCTION_SET");
  const auto allows = [wanted](const char* name) { return !wanted || !*wanted || !std::strcmp(wanted, name); };
  if (allows("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    return InstructionSet::avx512;
  }
  if (allows("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return InstructionSet::avx2;
  }
#endif
  return InstructionSet::baseline;
}

inline const char* name_of(InstructionSet set) {
  return set == InstructionSet::avx512 ? "avx512" : set == InstructionSet::avx2 ? "avx2" : "baseline";
}

// Of the functions NAME_baseline, NAME_avx2 and NAME_avx512 the one for this processor, called.
#if defined(RENDERER_X86_KERNELS)
#define RENDERER_CALL_BEST(NAME)                                        \
  (instruction_set() == InstructionSet::avx512 ? NAME##_avx512()        \
   : instruction_set() == InstructionSet::avx2 ? NAME##_avx2()          \
                                               : NAME##_baseline())
#else
#define RENDERER_CALL_BEST(NAME) NAME##_baseline()
#endif

}  // namespace renderer
