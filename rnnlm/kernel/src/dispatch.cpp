#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels.h"

namespace rnnlm {
namespace {

struct Choice {
    const Path* path;
    bool usable, bfloat16;
};

#if defined(__x86_64__)
// Whether a bit of cpuid's leaf 7 is set: register 0 to 3 are eax to edx.
[[maybe_unused]] bool has(unsigned part, int which, int bit) {
    unsigned registers[4] = {};
    return __get_cpuid_count(7, part, registers, registers + 1, registers + 2, registers + 3) &&
           registers[which] >> bit & 1;
}

// Linux lets a process use the tiles once it has asked for them.
[[maybe_unused]] bool has_tiles() {
    const long REQUEST = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return has(0, 3, 22) && has(0, 3, 24) && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}
#endif

// The fastest first.
const Choice* choices() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    [[maybe_unused]] const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    // All instruction sets that path_avx512.cpp is compiled for.
    [[maybe_unused]] const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && has_avx2;
    // A path can be left out of the library: see setup.py, and the test with sanitizers.
    static const Choice found[] = {
#if !defined(WITHOUT_PATH_AVX512)
        {&avx512, has_avx512, false},
#endif
#if !defined(WITHOUT_PATH_AVX2)
        {&avx2, has_avx2, false},
#endif
        {&portable, true, false},
#if !defined(WITHOUT_PATH_AMX)
        {&amx, has_avx512 && has(1, 0, 5) && has_tiles(), true},
#endif
#if !defined(WITHOUT_PATH_AVX512_BF16)
        {&avx512_bf16, has_avx512 && has(1, 0, 5), true},
#endif
#if !defined(WITHOUT_PATH_AVX2_BF16)
        {&avx2_bf16, has_avx2, true},
#endif
        {nullptr, false, false},
    };
#else
    static const Choice found[] = {{&portable, true, false}, {nullptr, false, false}};
#endif
    return found;
}

const Path* first_usable(bool bfloat16) {
    for (const Choice* c = choices(); c->path; c++)
        if (c->usable && c->bfloat16 == bfloat16) return c->path;
    return nullptr;
}

}  // namespace

const Path& best_path() {
    static const Path* best = first_usable(false);
    return *best;
}

const Path* best_bfloat16_path() {
    static const Path* best = first_usable(true);
    return best;
}

const Path* path_named(const char* name) {
    for (const Choice* c = choices(); c->path; c++)
        if (c->usable && !strcmp(c->path->name, name)) return c->path;
    return nullptr;
}

}  // namespace rnnlm
