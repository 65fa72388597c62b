// The forward pass of a recurrent layer in float32.
//
// A block of sums holds all gates of a vector of units, and becomes gates, state and output without leaving the registers
// (as in LIBXSMM's LSTM cell, Banerjee et al. 2019, and FlashRNN, Pöppel et al. 2024). The product by the inputs is inside
// the loop over time: the projected inputs of a whole window would be the largest array of the layer.
//
// Threads share the rows of a batch, which never meet; or the units, where each thread then reads its part of the weights
// alone, and waits for the others at each step.
//
// A cell says what is done with the sums:
//     GATES                              how many gates there are
//     bias(gate, first, left)            of `left` units or a vector of them from `first` on
//     recurrent(gate, inputs, first, left)  what the recurrent product is added to: the sum of bias and inputs, or another
//     step(t, reset, begin, end)         where step t reads and writes (x, before); `reset` is scratch, (batch, units)
//     output(step, row, first, left, sums, inputs)  writes the state and the output of a row; `inputs` is the last gate's sum
//                                        of bias and inputs
#pragma once
#include "layer.h"

namespace {

// Below this many rows in all, packing the weights costs more than it saves.
const long ROWS_TO_PACK = 24;
// Rows of a step for which the inputs of several steps are multiplied together: their weights are then read once.
const long FEW_ROWS = 2 * ROWS;
#ifndef ROWS_AHEAD
#define ROWS_AHEAD 128  // rows of inputs that are multiplied together
#endif
// Packed weights that are larger do not stay in a core's own cache, in bytes.
const long OWN_CACHE = 2'000'000;

struct Range {
    long begin, end;
};

// Part `id` of [0, n) in whole blocks.
INLINE Range range_of(long n, long block, int id, int parts) {
    return {part_of(n, block, id, parts), part_of(n, block, id + 1, parts)};
}

// sums (rows, N) += a (rows, K) times weights (K, N) as they are in memory, for some columns: for few rows. Each element is
// summed from k = 0 upwards, as in a block, so both ways give the same bits.
template <class Weight>
INLINE void few_rows(float* sums, const float* a, long rows, const Weight* weights, long K, long N, Range columns) {
    const long AT_ONCE = 8;  // lines of weights for each time that a sum is read and written
    for (long k0 = 0; k0 < K; k0 += AT_ONCE) {
        const long lines = at_most(AT_ONCE, K - k0);
        const Weight* w = weights + k0 * N;
        in_blocks(0, rows, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
            constexpr int M = decltype(rows_of_block)::number;
            const float* left = a + m0 * K + k0;
            float* out = sums + m0 * N;
            const auto add = [&](long n, long there, long lines) INLINE_LAMBDA {
                Vec own[M];
                for (int m = 0; m < M; m++) own[m] = load(out + m * N + n, there);
                for (long k = 0; k < lines; k++) {
                    // The lines after these are fetched meanwhile: a thread's part of a line is too short for the processor
                    // to guess them.
                    __builtin_prefetch(w + (k + AT_ONCE) * N + n);
                    const Vec column = weights_at(w + k * N + n, there);
                    for (int m = 0; m < M; m++) own[m] += broadcast(left + m * K + k) * column;
                }
                for (int m = 0; m < M; m++) store(out + m * N + n, own[m], there);
            };
            long n = columns.begin;
            // The loop that takes the time: whole vectors and lines, by constants.
            for (; lines == AT_ONCE && n + LANES <= columns.end; n += LANES) add(n, LANES, AT_ONCE);
            for (; n < columns.end; n += LANES) add(n, columns.end - n, lines);
        });
    }
}

// Steps of so many rows whose inputs are multiplied together.
INLINE long steps_together(long batch) { return batch && batch < ROWS_AHEAD ? ROWS_AHEAD / batch : 1; }

// Some rows and some blocks of LANES units through all time, from packed weights. `projected`, scratch of (blocks,
// ROWS_AHEAD + FEW_ROWS, gates, LANES), holds the sums of the inputs of several steps; null where each step makes its own.
template <class Cell>
void forward_part(const Cell cell, const float* packed, float* projected, float* reset, Range rows, Range blocks,
                  rnnlm::Barrier* barrier) {
    constexpr int GATES = Cell::GATES;
    const long B = cell.l.batch, I = cell.l.inputs, U = cell.l.units, LINE = GATES * LANES, panel = (I + U) * LINE;
    const long together = projected ? steps_together(B) : 1;
    for (long t = 0; t < cell.l.steps; t++) {
        const auto step = cell.step(t, reset, rows.begin, rows.end);
        for (long b = blocks.begin; b < blocks.end; b++) {
            const float* p = packed + b * panel;
            const long first = b * LANES, left = U - first;
            float* ready = projected ? projected + b * (ROWS_AHEAD + FEW_ROWS) * LINE : nullptr;
            const auto of_inputs = [&](long m0, auto& sums, const float* ahead) INLINE_LAMBDA {
                for (int g = 0; g < GATES; g++) {
                    const Vec bias = cell.bias(g, first, left);
                    for (auto& row : sums) row[g] = bias;
                }
                accumulate<sizeof sums / sizeof *sums, GATES, true>(sums, step.x + m0 * I, I, 1, p, LINE, LANES, I, ahead);
            };
            if (ready && t % together == 0)
                in_blocks(0, at_most(together, cell.l.steps - t) * B, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
                    constexpr int M = decltype(rows_of_block)::number;
                    Vec sums[M][GATES];
                    of_inputs(m0, sums, p + panel);
                    for (int m = 0; m < M; m++)
                        for (int g = 0; g < GATES; g++) store(ready + (m0 + m) * LINE + g * LANES, sums[m][g]);
                });
            in_blocks(rows.begin, rows.end, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
                constexpr int M = decltype(rows_of_block)::number;
                Vec sums[M][GATES], inputs[M];
                // The next panel comes from a slower cache: each block of rows fetches its share of it (16 lanes alone).
                const float* ahead = p + panel + (m0 - rows.begin) / ROWS * (I + U) * 16;
                if (ready)
                    for (int m = 0; m < M; m++)
                        for (int g = 0; g < GATES; g++)
                            sums[m][g] = load(ready + (t % together * B + m0 + m) * LINE + g * LANES);
                else
                    of_inputs(m0, sums, ahead);
                for (int m = 0; m < M; m++) {
                    inputs[m] = sums[m][GATES - 1];
                    for (int g = 0; g < GATES; g++) sums[m][g] = cell.recurrent(g, sums[m][g], first, left);
                }
                accumulate<M, GATES, true>(sums, step.before + m0 * U, U, 1, p + I * LINE, LINE, LANES, U, ahead + I * 16);
                for (int m = 0; m < M; m++) cell.output(step, m0 + m, first, left, sums[m], inputs[m]);
            });
        }
        if (barrier) barrier->wait();
    }
}

// The same from the weights as they are in memory, which are read once a step, those of the inputs once for several steps:
// for few rows in all, or weights in bfloat16. `projected` and `sums` are scratch, (steps together, batch, gates units) and
// (batch, gates units).
template <class Cell, class Weight>
void forward_unpacked(const Cell cell, const Weight* kernel, const Weight* recurrent, float* projected, float* sums,
                      float* reset, Range units, rnnlm::Barrier& barrier) {
    constexpr int GATES = Cell::GATES;
    const long B = cell.l.batch, I = cell.l.inputs, U = cell.l.units, N = GATES * U, together = steps_together(B);
    const auto in_vectors = [=](auto f) INLINE_LAMBDA {
        for (int g = 0; g < GATES; g++)
            for (long first = units.begin; first < units.end; first += LANES) f(g, first, units.end - first);
    };
    // sums (rows, N) += a (rows, K) times weights, for these units.
    const auto add_product = [=](float* sums, const float* a, long rows, const Weight* weights, long K) {
        for (int g = 0; g < GATES; g++)
            few_rows(sums, a, rows, weights, K, N, {g * U + units.begin, g * U + units.end});
    };
    for (long t = 0; t < cell.l.steps; t++) {
        const auto step = cell.step(t, reset, 0, B);
        if (t % together == 0) {
            const long rows = at_most(together, cell.l.steps - t) * B;
            for (long m = 0; m < rows; m++)
                in_vectors([=](int g, long first, long left) INLINE_LAMBDA {
                    store(projected + m * N + g * U + first, cell.bias(g, first, left), left);
                });
            add_product(projected, step.x, rows, kernel, I);
        }
        const float* inputs = projected + t % together * B * N;
        for (long m = 0; m < B; m++)
            in_vectors([=](int g, long first, long left) INLINE_LAMBDA {
                const long at = m * N + g * U + first;
                store(sums + at, cell.recurrent(g, load(inputs + at, left), first, left), left);
            });
        add_product(sums, step.before, B, recurrent, U);
        for (long m = 0; m < B; m++)
            for (long first = units.begin; first < units.end; first += LANES) {
                const long left = units.end - first, at = m * N + first;
                Vec of_row[GATES];
                for (int g = 0; g < GATES; g++) of_row[g] = load(sums + at + g * U, left);
                cell.output(step, m, first, left, of_row, load(inputs + at + (GATES - 1) * U, left));
            }
        barrier.wait();
    }
}

template <class Cell>
void forward(const Cell& cell, int threads) {
    constexpr int GATES = Cell::GATES;
    const auto& l = cell.l;
    const long B = l.batch, U = l.units, K = l.inputs + U, N = GATES * U, total = l.steps * B, blocks = ceil_div(U, LANES);
    threads = worthwhile(threads, (double)total * K * N);
    const bool pack = total >= ROWS_TO_PACK && !l.half_kernel, ahead = pack && B <= FEW_ROWS;
    const long weights_size = pack ? blocks * K * GATES * LANES : 0, reset_size = l.keep ? rnnlm::room(B * U) : 0;
    const bool by_units = !pack || ahead || B < ROWS * threads || weights_size * (long)sizeof(float) > OWN_CACHE;
    const long rows_ahead = at_most(total, ROWS_AHEAD > B ? ROWS_AHEAD : B);
    const long projected_size = !pack ? rows_ahead * N : ahead ? blocks * (ROWS_AHEAD + FEW_ROWS) * GATES * LANES : 0;
    const long sums_size = pack ? 0 : B * N;
    Scratch scratch(rnnlm::room(weights_size) + rnnlm::room(projected_size) + rnnlm::room(sums_size) +
                    rnnlm::room(threads * reset_size));
    float *weights = scratch.take(weights_size), *projected = scratch.take(projected_size);
    float *sums = scratch.take(sums_size), *reset = scratch.take(threads * reset_size);
    const int parts_of_units = (int)at_most(threads, blocks), parts_of_rows = (int)at_most(threads, B);
    if (pack)
        rnnlm::parallel(threads, [&](int id) {
            for (long b = blocks * id / threads; b < blocks * (id + 1) / threads; b++)
                pack_gates<GATES>(weights, l.kernel, l.recurrent, l.inputs, U, b);
        });
    if (!by_units)
        return rnnlm::parallel(parts_of_rows, [&](int id) {
            const Range rows = range_of(B, 1, id, parts_of_rows);
            forward_part(cell, weights, nullptr, reset, rows, {0, blocks}, nullptr);
        });
    rnnlm::Barrier barrier;
    rnnlm::together(parts_of_units, [&](int id, int parts) {
        barrier.expect(parts);
        float* own = reset + id * reset_size;
        const auto unpacked = [&](auto* kernel, auto* recurrent) {
            forward_unpacked(cell, kernel, recurrent, projected, sums, own, range_of(U, LANES, id, parts), barrier);
        };
        if (l.half_kernel) return unpacked(l.half_kernel, l.half_recurrent);
        if (!pack) return unpacked(l.kernel, l.recurrent);
        forward_part(cell, weights, ahead ? projected : nullptr, own, {0, B}, range_of(blocks, 1, id, parts), &barrier);
    });
}

}  // namespace
