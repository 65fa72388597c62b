// Products of matrices: the blocks that stay in registers, and the layouts that feed them.
//
// A block is M rows of four vectors. Its factors are A, any two strides, and B, either packed into panels or with its
// rows as they are. Each element is summed from k = 0 upwards whatever the block's size: neither the number of threads
// nor the place of a row changes a bit.
#pragma once
#include "vector.h"

namespace {

const long PANEL = 4 * LANES;  // columns side by side
// Rows of a block: as many sums as the registers hold beside the factors.
#if LANES == 16
const int ROWS = 6;  // 24 of 32 registers, 4 of B, 1 of A
#elif LANES == 8
const int ROWS = 3;  // 12 of 16, 3 of A, 1 of B
#else
const int ROWS = 3;
#endif

// sums[m][n] += sum over k of a[m * row + k * step] * b[k * ldb + n * apart ...]
// A line at `ahead` is fetched at each k, where that is given: what the next blocks will read. Vectors of 16 alone need
// it; otherwise it takes the place of a load.
template <int M, int N, bool AHEAD = false>
INLINE void accumulate(Vec (&sums)[M][N], const float* a, long row, long step, const float* b, long ldb, long apart,
                       long K, const float* ahead = nullptr) {
    // A copy of its own: sums that anything else can point at would be written to memory at each step.
    Vec own[M][N];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) own[m][n] = sums[m][n];
    for (long k = 0; k < K; k++) {
#if LANES == 16
        Vec columns[N];
        for (int n = 0; n < N; n++) columns[n] = load(b + n * apart);
        for (int m = 0; m < M; m++) {
            Vec left = broadcast(a + m * row);
            for (int n = 0; n < N; n++) own[m][n] += left * columns[n];
        }
        if (AHEAD) __builtin_prefetch(ahead + 16 * k, 0, 2);
#else
        // The factors of A stay in registers, and each vector of B is loaded once: loads limit such a processor.
        Vec left[M];
        for (int m = 0; m < M; m++) left[m] = broadcast(a + m * row);
        for (int n = 0; n < N; n++) {
            Vec column = load(b + n * apart);
            for (int m = 0; m < M; m++) own[m][n] += left[m] * column;
        }
#endif
        a += step, b += ldb;
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) sums[m][n] = own[m][n];
}

template <int M, int N>
INLINE void clear(Vec (&sums)[M][N]) {
    for (auto& row : sums)
        for (auto& v : row) v = Vec{};
}

// Calls f(first row, number of rows as a constant) for blocks of rows from begin to end. Each begins a multiple of ROWS
// after the first: what is packed by ROWS is read so.
template <int M>
struct Rows {
    static constexpr int number = M;
};
template <class F>
INLINE void in_blocks(long begin, long end, F f) {
    long m = begin;
    for (; m + ROWS <= end; m += ROWS) f(m, Rows<ROWS>());
    switch (end - m) {
#if LANES == 16
        case 5: f(m, Rows<5>()); break;
        case 4: f(m, Rows<4>()); break;
        case 3: f(m, Rows<3>()); break;
#endif
        case 2: f(m, Rows<2>()); break;
        case 1: f(m, Rows<1>()); break;
    }
}

INLINE long ceil_div(long a, long b) { return (a + b - 1) / b; }
INLINE long at_most(long a, long b) { return a < b ? a : b; }

// A panel of K lines: columns [first, first + width) of a matrix whose row k is at source + k * ld. Columns past the
// width are zero.
INLINE void pack_panel(float* panel, const float* source, long ld, long K, long width) {
    for (long k = 0; k < K; k++) {
        if (width >= PANEL) {
            for (int n = 0; n < 4; n++) store(panel + n * LANES, load(source + n * LANES));
        } else {
            for (int n = 0; n < 4; n++) store(panel + n * LANES, load(source + n * LANES, width - n * LANES));
        }
        panel += PANEL, source += ld;
    }
}

// A panel of K lines from a transposed matrix: column j of the panel is the row at source + j * ld.
INLINE void pack_transposed(float* panel, const float* source, long ld, long K, long width) {
    const auto one_by_one = [&](long k0, long k1, long j0, long j1) {
        for (long j = j0; j < j1; j++)
            for (long k = k0; k < k1; k++) panel[k * PANEL + j] = j < width ? source[j * ld + k] : 0.f;
    };
#if LANES >= 8
    const long k_whole = K / 8 * 8, j_whole = at_most(width, PANEL) / 8 * 8;
    for (long k = 0; k < k_whole; k += 8)
        for (long j = 0; j < j_whole; j += 8) transpose(panel + k * PANEL + j, PANEL, source + j * ld + k, ld);
    one_by_one(0, k_whole, j_whole, PANEL);
    one_by_one(k_whole, K, 0, PANEL);
#else
    // In squares, so that both sides stay in the first cache.
    for (long k = 0; k < K; k += 16) one_by_one(k, at_most(k + 16, K), 0, PANEL);
#endif
}

// c[m][...] = or += sums; `width` columns of the block count.
template <int M>
INLINE void write(float* c, long ldc, const Vec (&sums)[M][4], long width, bool add) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < 4; n++) {
            long left = width - n * LANES;
            if (left <= 0) break;
            float* p = c + m * ldc + n * LANES;
            store(p, add ? load(p, left) + sums[m][n] : sums[m][n], left);
        }
}

}  // namespace
