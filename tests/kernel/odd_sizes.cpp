// Every kernel of every path at odd sizes, in arrays that end where their numbers end: what a sanitizer looks at.
// Beside it, each path must find what the portable one finds (which test_paths.py compares with NumPy).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "../../rnnlm/kernel/src/kernels.h"

namespace {

std::vector<float> some(std::mt19937 &r, long n) {
    std::normal_distribution<float> normal(0.f, .3f);
    std::vector<float> v(n);
    for (float &x : v) x = normal(r);
    return v;
}

typedef std::vector<std::vector<float>> Results;

Results lstm(const rnnlm::Path &path, int threads, unsigned seed) {
    std::mt19937 r(seed);
    const long T = 1 + r() % 5, B = 1 + r() % 40, I = 1 + r() % 75, U = 1 + r() % 75;
    auto x = some(r, T * B * I), kernel = some(r, I * 4 * U), recurrent = some(r, U * 4 * U), bias = some(r, 4 * U);
    auto h0 = some(r, B * U), c0 = some(r, B * U), dh = some(r, T * B * U), dc = some(r, B * U);
    std::vector<float> keep(T * B);
    for (float &k : keep) k = r() % 4 > 0;
    const bool resets = r() % 2;
    Results o;
    for (long n : {T * B * U, T * B * U, T * B * 4 * U, T * B * I, I * 4 * U, U * 4 * U, 4 * U, B * U, B * U, T * B * U, B * U})
        o.emplace_back(n, NAN);
    rnnlm::Lstm l = {T, B, I, U, 0, x.data(), kernel.data(), recurrent.data(), bias.data(), h0.data(), c0.data(),
                     resets ? keep.data() : nullptr, o[0].data(), o[1].data(), o[2].data()};
    path.lstm(l, threads);
    path.lstm_gradient(l, {dh.data(), dc.data(), o[3].data(), o[4].data(), o[5].data(), o[6].data(), o[7].data(), o[8].data()},
                       threads);
    l.h = o[9].data(), l.cells = o[10].data(), l.gates = nullptr;
    path.lstm(l, threads);
    return o;
}

Results gru(const rnnlm::Path &path, int threads, unsigned seed) {
    std::mt19937 r(seed);
    const long T = 1 + r() % 5, B = 1 + r() % 40, I = 1 + r() % 75, U = 1 + r() % 75;
    auto x = some(r, T * B * I), kernel = some(r, I * 3 * U), recurrent = some(r, U * 3 * U), bias = some(r, 6 * U);
    auto h0 = some(r, B * U), dh = some(r, T * B * U);
    std::vector<float> keep(T * B);
    for (float &k : keep) k = r() % 4 > 0;
    Results o;
    for (long n : {T * B * U, T * B * 4 * U, T * B * I, I * 3 * U, U * 3 * U, 6 * U, B * U}) o.emplace_back(n, NAN);
    rnnlm::Gru l = {T, B, I, U, 0, x.data(), kernel.data(), recurrent.data(), bias.data(), h0.data(),
                    seed % 2 ? keep.data() : nullptr, o[0].data(), o[1].data()};
    path.gru(l, threads);
    path.gru_gradient(l, {dh.data(), o[2].data(), o[3].data(), o[4].data(), o[5].data(), o[6].data()}, threads);
    return o;
}

Results softmax(const rnnlm::Path &path, int threads, unsigned seed) {
    std::mt19937 r(seed);
    const long R = r() % 130, V = 1 + r() % 200, D = 1 + r() % 75;
    auto hidden = some(r, R * D), embeddings = some(r, V * D), bias = some(r, V), weights = some(r, R);
    if (seed % 3 == 0 && V > 1) bias[1] = 300;
    std::vector<int32_t> targets(R);
    for (int32_t &t : targets) t = r() % V;
    Results o;
    for (long n : {R, R * D, V * D, V, R}) o.emplace_back(n, NAN);
    rnnlm::Softmax s = {R, V, D, hidden.data(), embeddings.data(), bias.data(), seed % 2 ? targets.data() : nullptr,
                        weights.data(), o[0].data(), o[1].data(), o[2].data(), o[3].data()};
    if (R == 0) s.dhidden = o[2].data();  // there is no gradient where this is null
    path.softmax(s, threads);
    s.nll = o[4].data(), s.dhidden = nullptr;
    path.softmax(s, threads);
    return o;
}

// Weights in int8, rows of a table, and logits: on the paths for float32 alone.
Results reading(const rnnlm::Path &path, int threads, unsigned seed) {
    std::mt19937 r(seed);
    const long T = 1 + r() % 30, B = 1 + r() % 7, I = 1 + r() % 75, U = 1 + r() % 75, V = 1 + r() % 200;
    const auto bytes = [&](long n) {
        std::vector<int8_t> v(n);
        for (int8_t &x : v) x = (int)(r() % 255) - 127;
        return v;
    };
    const auto scales = [&](long n) {
        std::vector<float> v(n);
        for (float &x : v) x = 1e-3f + r() % 100 * 1e-4f;
        return v;
    };
    auto x = some(r, T * B * I), bias = some(r, 4 * U), gru_bias = some(r, 6 * U), h0 = some(r, B * U), c0 = some(r, B * U);
    auto kernel = bytes(I * 4 * U), recurrent = bytes(U * 4 * U), embeddings = bytes(V * U);
    auto of_kernel = scales(4 * U), of_recurrent = scales(4 * U), of_words = scales(V), word_bias = some(r, V);
    Results o;
    for (long n : {T * B * U, B * U, T * B * U, B * V, T * B * U, B * U, T * B * U, B * U}) o.emplace_back(n, NAN);
    path.lstm({T, B, I, U, 0, x.data(), nullptr, nullptr, bias.data(), h0.data(), c0.data(), nullptr, o[0].data(), o[1].data(),
               nullptr, kernel.data(), recurrent.data(), of_kernel.data(), of_recurrent.data()}, threads);
    auto gru_kernel = bytes(I * 3 * U), gru_recurrent = bytes(U * 3 * U);
    path.gru({T, B, I, U, 0, x.data(), nullptr, nullptr, gru_bias.data(), h0.data(), nullptr, o[2].data(), nullptr,
              gru_kernel.data(), gru_recurrent.data(), of_kernel.data(), of_recurrent.data()}, threads);
    std::vector<int32_t> ids(T * B);
    for (int32_t &id : ids) id = r() % V;
    auto table = some(r, V * I), whole = some(r, I * 4 * U), of_states = some(r, U * 4 * U);
    path.lstm({T, B, I, U, V, table.data(), whole.data(), of_states.data(), bias.data(), h0.data(), c0.data(), nullptr,
               o[4].data(), o[5].data(), nullptr, nullptr, nullptr, nullptr, nullptr, ids.data()}, threads);
    path.lstm({T, B, I, U, V, table.data(), nullptr, nullptr, bias.data(), h0.data(), c0.data(), nullptr, o[6].data(),
               o[7].data(), nullptr, kernel.data(), recurrent.data(), of_kernel.data(), of_recurrent.data(), ids.data()}, threads);
    path.logits({B, V, U, h0.data(), nullptr, word_bias.data(), o[3].data(), embeddings.data(), of_words.data()}, threads);
    return o;
}

Results pooling(const rnnlm::Path &path, int threads, unsigned seed) {
    std::mt19937 r(seed);
    const long T = 1 + r() % 9, N = 1 + r() % 300;
    auto forget = some(r, T * N), added = some(r, T * N), before = some(r, N), above = some(r, T * N);
    Results o;
    for (long n : {T * N, T * N, T * N, N}) o.emplace_back(n, NAN);
    rnnlm::Pooling p = {T, N, forget.data(), added.data(), before.data(), o[0].data()};
    path.pooling(p, threads);
    path.pooling_gradient(p, {above.data(), o[1].data(), o[2].data(), o[3].data()}, threads);
    return o;
}

// Factors that are rounded to bfloat16 have 8 bits.
bool rounds(const rnnlm::Path &path) { return strstr(path.name, "bf16") || !strcmp(path.name, "amx"); }

int wrong(const char *name, const rnnlm::Path &path, unsigned seed, const Results &found, const Results &right) {
    const float tolerance = rounds(path) ? 0.1f : 1e-4f;
    for (size_t k = 0; k < found.size(); k++)
        for (size_t n = 0; n < found[k].size(); n++)
            if (!(std::fabs(found[k][n] - right[k][n]) <= tolerance * (1 + std::fabs(right[k][n])))) {
                printf("%s of %s, seed %u: array %zu differs at %zu: %g, not %g\n", name, path.name, seed, k, n,
                       found[k][n], right[k][n]);
                return 1;
            }
    return 0;
}

// TensorFlow's threads make numbers below 1e-38 zero. A part of the work that another thread does must do the same.
int tiny_numbers_differ(const rnnlm::Path &path) {
#if defined(__SSE2__)
    const long T = 2, N = 4096;
    std::vector<float> tiny(T * N, 1e-20f), one(T * N), three(T * N);
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);  // flush to zero, and denormals are zero
    path.pooling({T, N, tiny.data(), std::vector<float>(T * N).data(), tiny.data(), one.data()}, 1);
    path.pooling({T, N, tiny.data(), std::vector<float>(T * N).data(), tiny.data(), three.data()}, 3);
    _mm_setcsr(before);
    if (memcmp(one.data(), three.data(), T * N * sizeof(float))) return printf("tiny numbers of %s\n", path.name) > 0;
#endif
    return 0;
}

}  // namespace

int main(int, char **arguments) {
    const unsigned cases = atoi(arguments[1]);
    int failed = 0;
    for (unsigned seed = 0; seed < cases; seed++) {
        const Results right[] = {lstm(rnnlm::portable, 1, seed), softmax(rnnlm::portable, 1, seed),
                                 pooling(rnnlm::portable, 1, seed), gru(rnnlm::portable, 1, seed),
                                 reading(rnnlm::portable, 1, seed)};
        for (const char *name : {"portable", "avx2", "avx512", "avx2_bf16", "avx512_bf16", "amx"}) {
            const rnnlm::Path *path = rnnlm::path_named(name);
            if (!path) continue;
            // Two callers at once: one of them has the pool.
            int others = 0;
            std::thread other([&] { others = wrong("lstm", *path, seed, lstm(*path, 2, seed), right[0]); });
            failed += wrong("softmax", *path, seed, softmax(*path, 3, seed), right[1]);
            failed += wrong("pooling", *path, seed, pooling(*path, 2, seed), right[2]);
            failed += wrong("gru", *path, seed, gru(*path, 2, seed), right[3]);
            if (!rounds(*path)) failed += wrong("reading", *path, seed, reading(*path, 2, seed), right[4]);
            other.join();
            failed += others + wrong("lstm", *path, seed, lstm(*path, 3, seed), right[0]);
        }
    }
    for (const char *name : {"portable", "avx2", "avx512"})
        if (const rnnlm::Path *path = rnnlm::path_named(name)) failed += tiny_numbers_differ(*path);
    printf("%u cases, %d wrong\n", cases, failed);
    return failed > 0;
}
