// What the recurrent layers share: how work is divided, and the products over all time steps at once.
#pragma once
#include "pool.h"
#include "product.h"

namespace {

using rnnlm::Scratch;

// Sizes from which something else is done; tests compile with smaller ones, so that small cases do it too.
#ifndef WORTH_A_THREAD
#define WORTH_A_THREAD 1e6  // multiplications: fewer are done before a sleeping thread is awake
#endif
#ifndef STEP_LINES
#define STEP_LINES 512  // lines of a panel that a step back through time does at a time, while the next are fetched
#endif
#ifndef CHUNK_BYTES
// Of what a chunk of the softmax keeps: its exponentials; in float32 without a gradient, their sums. Each chunk reads and
// writes a gradient as large as the embeddings once, so a few rows at a time would cost more than what the caches save.
#define CHUNK_BYTES 24000000
#endif
#ifndef CHUNK_ROWS
#define CHUNK_ROWS (16L * ROWS)  // of a chunk, at least
#endif

INLINE int worthwhile(int threads, double multiplications) {
    double most = multiplications / WORTH_A_THREAD;
    return most < threads ? (most < 1 ? 1 : (int)most) : threads;
}

// Begin of a part of [0, n), in whole blocks of `block`.
INLINE long part_of(long n, long block, int id, int parts) {
    return at_most(n, ceil_div(n, block) * id / parts * block);
}

// Block b of [kernel; recurrent]: for LANES units, inputs + units lines of one vector for each gate.
template <int GATES>
void pack_gates(float* packed, const float* kernel, const float* recurrent, long inputs, long units, long b) {
    const long N = GATES * units, K = inputs + units, first = b * LANES;
    float* p = packed + b * K * GATES * LANES;
    for (long k = 0; k < K; k++, p += GATES * LANES) {
        const float* line = (k < inputs ? kernel + k * N : recurrent + (k - inputs) * N) + first;
        for (int g = 0; g < GATES; g++) store(p + g * LANES, load(line + g * units, units - first));
    }
}

// Whether any of the rows [begin, end) is reset at a step. `keep`: one number a row, or null.
INLINE bool any_reset(const float* keep, long begin, long end) {
    for (long m = begin; keep && m < end; m++)
        if (keep[m] != 1.f) return true;
    return false;
}

// How much of row m's state is kept before step t: 1 outside the sequence, and where nothing is reset.
template <class Layer>
INLINE Vec kept_before(const Layer& l, long t, long m) {
    return all(l.keep && t >= 0 && t < l.steps ? l.keep[t * l.batch + m] : 1.f);
}

// Write the outputs before a step, (rows, units), as they are after the resets; return where.
INLINE const float* after_resets(const float* before, const float* keep, float* reset, long units, long begin, long end) {
    for (long m = begin; m < end; m++)
        for (long u = 0; u < units; u++) reset[m * units + u] = before[m * units + u] * keep[m];
    return reset;
}

// Lines of a product that are done at a time: a panel of them stays in the second cache.
const long LINES = 256;
// Rows of a product that a thread does at a time, so that a part of a panel stays in the cache; fewer where there are
// few, so that each thread has some.
INLINE long rows_of_piece(long rows, int threads) {
    const long blocks = ceil_div(rows, ROWS * 4 * threads);
    return at_most(16, blocks < 1 ? 1 : blocks) * ROWS;
}

// The sums of one panel over K lines for rows [begin, end) of a, given to f block by block: f(row, rows, sums).
// `partial` is scratch, (rows, PANEL).
template <class F>
INLINE void panel_product(const float* a, const float* panel, long K, float* partial, long begin, long end, F f) {
    long k0 = 0;
    do {
        const long lines = at_most(STEP_LINES, K - k0);
        in_blocks(begin, end, [&](long m0, auto rows) INLINE_LAMBDA {
            constexpr int M = decltype(rows)::number;
            Vec sums[M][4];
            float* kept = partial + (m0 - begin) * PANEL;
            for (int m = 0; m < M; m++)
                for (int n = 0; n < 4; n++) sums[m][n] = k0 ? load(kept + m * PANEL + n * LANES) : Vec{};
            const float* ahead = panel + (k0 + lines) * PANEL + (m0 - begin) / ROWS * lines * 16;
            accumulate<M, 4, true>(sums, a + m0 * K + k0, K, 1, panel + k0 * PANEL, PANEL, LANES, lines, ahead);
            if (k0 + lines == K) return f(m0, rows, sums);
            for (int m = 0; m < M; m++)
                for (int n = 0; n < 4; n++) store(kept + m * PANEL + n * LANES, sums[m][n]);
        });
        k0 += lines;
    } while (k0 < K);
}

// c (rows, N) = a (rows, K) times packed panels of K lines, for rows [begin, end).
void product_rows(const float* a, long K, const float* packed, long N, float* c, long begin, long end) {
    for (long k0 = 0; k0 < K; k0 += LINES)
        for (long panel = 0; panel < N; panel += PANEL)
            in_blocks(begin, end, [&](long m, auto rows) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                Vec sums[M][4];
                clear(sums);
                const float* p = packed + panel * K + k0 * PANEL;
                accumulate<M, 4>(sums, a + m * K + k0, K, 1, p, PANEL, LANES, at_most(LINES, K - k0));
                write<M>(c + m * N + panel, N, sums, N - panel, k0 > 0);
            });
}

// Rows of a matrix that is multiplied transposed: `lines` lines of `width`, gathered block by block of ROWS columns.
INLINE void gather_columns(float* out, const float* source, long ld, long lines, long width, const float* scales) {
    for (long k = 0; k < lines; k++) {
        float s = scales ? scales[k] : 1.f;
        for (long m0 = 0; m0 < width; m0 += ROWS) {
            float* o = out + m0 * LINES + k * ROWS;
            for (long m = 0; m < ROWS; m++) o[m] = m0 + m < width ? source[k * ld + m0 + m] * s : 0.f;
        }
    }
}

// What a weight was multiplied by, (lines, width): `first` for as many lines as a batch has, then `rest`.
struct Factor {
    const float *first, *rest;
    long first_lines, width;
    const float* scales;  // one for each line, or null
    float* gradient;      // (width, columns)
};

// The gradients of weights: factor' dz for each factor, and the sums of dz's columns; for panels [begin, end) of dz's
// columns. `left` and `right` are scratch of this thread: LINES lines of the factors and of a panel.
template <int FACTORS>
void weight_gradients(const Factor (&factors)[FACTORS], const float* dz, long lines, long columns, float* dbias,
                      float* left, float* right, long begin, long end) {
    for (long k0 = 0; k0 < lines; k0 += LINES) {
        const long K = at_most(LINES, lines - k0);
        float* gathered = left;
        for (const Factor& f : factors) {
            const long at_first = k0 < f.first_lines ? at_most(f.first_lines - k0, K) : 0;
            const float* scales = f.scales ? f.scales + k0 : nullptr;
            if (at_first) gather_columns(gathered, f.first + k0 * f.width, f.width, at_first, f.width, scales);
            if (at_first < K)
                gather_columns(gathered + at_first * ROWS, f.rest + (k0 + at_first - f.first_lines) * f.width, f.width,
                               K - at_first, f.width, scales ? scales + at_first : nullptr);
            gathered += ceil_div(f.width, ROWS) * ROWS * LINES;
        }
        for (long panel = begin; panel < end; panel++) {
            const long first = panel * PANEL, width = columns - first;
            pack_panel(right, dz + k0 * columns + first, columns, K, width);
            Vec bias[4] = {};
            for (long k = 0; k < K; k++)
                for (int n = 0; n < 4; n++) bias[n] += load(right + k * PANEL + n * LANES);
            for (int n = 0; n < 4 && width > n * LANES; n++) {
                float* b = dbias + first + n * LANES;
                store(b, k0 ? load(b, width - n * LANES) + bias[n] : bias[n], width - n * LANES);
            }
            gathered = left;
            for (const Factor& f : factors) {
                float* c = f.gradient + first;
                in_blocks(0, f.width, [&](long m, auto rows) INLINE_LAMBDA {
                    constexpr int M = decltype(rows)::number;
                    Vec sums[M][4];
                    clear(sums);
                    accumulate<M, 4>(sums, gathered + m * LINES, 1, ROWS, right, PANEL, LANES, K);
                    write<M>(c + m * columns, columns, sums, width, k0 > 0);
                });
                gathered += ceil_div(f.width, ROWS) * ROWS * LINES;
            }
        }
    }
    if (lines == 0)
        for (long first = begin * PANEL; first < at_most(end * PANEL, columns); first++) {
            dbias[first] = 0;
            for (const Factor& f : factors)
                for (long m = 0; m < f.width; m++) f.gradient[m * columns + first] = 0;
        }
}

// The rows of `weights` (units, columns) as columns: panels of units, `columns` lines each.
INLINE void pack_backwards(float* packed, const float* weights, long units, long columns, int threads) {
    const long panels = ceil_div(units, PANEL);
    rnnlm::parallel(threads, [&](int id) {
        for (long p = panels * id / threads; p < panels * (id + 1) / threads; p++)
            pack_transposed(packed + p * PANEL * columns, weights + p * PANEL * columns, columns, columns,
                            units - p * PANEL);
    });
}

}  // namespace
