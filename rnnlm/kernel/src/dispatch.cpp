#include <cstring>

#include "kernels.h"

namespace rnnlm {
namespace {

struct Choice {
    const Path* path;
    bool usable;
};

const Choice* choices() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    static const Choice found[] = {
        // All instruction sets that path_avx512.cpp is compiled for.
        {&avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("fma")},
        {&avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
        {&portable, true},
        {nullptr, false},
    };
#else
    static const Choice found[] = {{&portable, true}, {nullptr, false}};
#endif
    return found;
}

}  // namespace

const Path& best_path() {
    static const Path* best = [] {
        const Choice* c = choices();
        while (!c->usable) c++;
        return c->path;
    }();
    return *best;
}

const Path* path_named(const char* name) {
    for (const Choice* c = choices(); c->path; c++)
        if (c->usable && !strcmp(c->path->name, name)) return c->path;
    return nullptr;
}

}  // namespace rnnlm
