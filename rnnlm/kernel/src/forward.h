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
//
// Where the inputs are rows of a table that are read again and again (the embeddings of words), each row that occurs is
// multiplied once.
#pragma once
#include "layer.h"
#include "rows.h"

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

template <int N>
struct Count {
    static constexpr int number = N;
};

// sums (rows, N) += a (rows, K) times numbers (K, N), for some columns: for few rows. Each element is summed from k = 0
// upwards, as in a block, so both ways give the same bits.
template <class Number>
INLINE void few_rows(float* sums, const float* a, long rows, const Number* numbers, long K, long N, Range columns) {
    const long AT_ONCE = 8;  // lines of weights for each time that a sum is read and written
    for (long k0 = 0; k0 < K; k0 += AT_ONCE) {
        const long lines = at_most(AT_ONCE, K - k0);
        const Number* w = numbers + k0 * N;
        in_blocks(0, rows, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
            constexpr int M = decltype(rows_of_block)::number;
            const float* left = a + m0 * K + k0;
            float* out = sums + m0 * N;
            const auto add = [&](long n, auto vectors, long there, long lines) INLINE_LAMBDA {
                constexpr int V = decltype(vectors)::number;
                Vec own[M][V];
                for (int m = 0; m < M; m++)
                    for (int v = 0; v < V; v++) own[m][v] = load(out + m * N + n + v * LANES, there);
                for (long k = 0; k < lines; k++) {
                    // The lines after these are fetched meanwhile: a thread's part of a line is too short for the processor
                    // to guess them.
                    __builtin_prefetch(w + (k + AT_ONCE) * N + n);
                    for (int v = 0; v < V; v++) {
                        const Vec column = weights_at(w + k * N + n + v * LANES, there);
                        for (int m = 0; m < M; m++) own[m][v] += broadcast(left + m * K + k) * column;
                    }
                }
                for (int m = 0; m < M; m++)
                    for (int v = 0; v < V; v++) store(out + m * N + n + v * LANES, own[m][v], there);
            };
            long n = columns.begin;
            // The loop that takes the time: whole vectors and lines, by constants.
            constexpr int VECTORS = sizeof(Number) == 1 ? 4 : 1;  // a cache line of weights in int8
            const long whole = VECTORS * LANES;
            for (; lines == AT_ONCE && n + whole <= columns.end; n += whole) add(n, Count<VECTORS>(), LANES, AT_ONCE);
            for (; n < columns.end; n += LANES) add(n, Count<1>(), columns.end - n, lines);
        });
    }
}

// Weights as they are in memory, (K, N).
struct Floats {
    const float* numbers;
    INLINE Vec scales(long, long) const { return all(1.f); }
};
struct Int8 {
    const int8_t* numbers;
    const float* of_columns;
    INLINE Vec scales(long n, long left) const { return load(of_columns + n, left); }
};

// Steps of so many rows whose inputs are multiplied together.
INLINE long steps_together(long batch) { return batch && batch < ROWS_AHEAD ? ROWS_AHEAD / batch : 1; }

// sums (M rows, gates) = the bias and the inputs' part, for the units of block b, whose packed weights are at `panel`.
template <int M, class Cell>
INLINE void sum_inputs(const Cell& cell, Vec (&sums)[M][Cell::GATES], const float* x, const float* panel, long b,
                       const float* ahead) {
    constexpr int GATES = Cell::GATES;
    const long I = cell.l.inputs, first = b * LANES, left = cell.l.units - first;
    for (int g = 0; g < GATES; g++) {
        const Vec bias = cell.bias(g, first, left);
        for (auto& row : sums) row[g] = bias;
    }
    accumulate<M, GATES, true>(sums, x, I, 1, panel, GATES * LANES, LANES, I, ahead);
}

// The same for many rows: (rows, gates, LANES).
template <class Cell>
void project(const Cell& cell, float* projected, const float* x, long rows, const float* panel, long b) {
    constexpr int GATES = Cell::GATES;
    const long I = cell.l.inputs, LINE = GATES * LANES;
    in_blocks(0, rows, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
        constexpr int M = decltype(rows_of_block)::number;
        Vec sums[M][GATES];
        sum_inputs<M>(cell, sums, x + m0 * I, panel, b, panel + (I + cell.l.units) * LINE);
        for (int m = 0; m < M; m++)
            for (int g = 0; g < GATES; g++) store(projected + (m0 + m) * LINE + g * LANES, sums[m][g]);
    });
}

// What the inputs' part of the sums is read from, (blocks, rows, gates, LANES).
struct Projected {
    float* sums;           // null: each step makes its own
    long rows;             // of a block
    const int32_t* places; // (steps, batch): the row of each; null: `sums` is scratch for the next steps of few rows
};

// Some rows and some blocks of LANES units through all time, from packed weights.
template <class Cell>
void forward_part(const Cell cell, const float* packed, const Projected projected, float* reset, Range rows, Range blocks,
                  rnnlm::Barrier* barrier) {
    constexpr int GATES = Cell::GATES;
    const long B = cell.l.batch, I = cell.l.inputs, U = cell.l.units, LINE = GATES * LANES, panel = (I + U) * LINE;
    const long together = steps_together(B);
    for (long t = 0; t < cell.l.steps; t++) {
        const auto step = cell.step(t, reset, rows.begin, rows.end);
        for (long b = blocks.begin; b < blocks.end; b++) {
            const float* p = packed + b * panel;
            const long first = b * LANES, left = U - first;
            float* ready = projected.sums ? projected.sums + b * projected.rows * LINE : nullptr;
            if (ready && !projected.places && t % together == 0)
                project(cell, ready, step.x, at_most(together, cell.l.steps - t) * B, p, b);
            in_blocks(rows.begin, rows.end, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
                constexpr int M = decltype(rows_of_block)::number;
                Vec sums[M][GATES], inputs[M];
                // The next panel comes from a slower cache: each block of rows fetches its share of it (16 lanes alone).
                const float* ahead = p + panel + (m0 - rows.begin) / ROWS * (I + U) * 16;
                if (ready)
                    for (int m = 0; m < M; m++) {
                        const long row = projected.places ? projected.places[t * B + m0 + m] : t % together * B + m0 + m;
                        for (int g = 0; g < GATES; g++) sums[m][g] = load(ready + row * LINE + g * LANES);
                        // Those of the next block of rows lie anywhere, so the processor cannot guess them.
                        if (projected.places && m0 + m + ROWS < rows.end)
                            for (int g = 0; g < GATES; g++)
                                __builtin_prefetch(ready + projected.places[t * B + m0 + m + ROWS] * LINE + g * LANES);
                    }
                else
                    sum_inputs<M>(cell, sums, step.x + m0 * I, p, b, ahead);
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
// for few rows in all, or weights in int8. `projected` and `sums` are scratch, (steps together, batch, gates units) and
// (batch, gates units). A column's scale multiplies the whole sum, so what is added to the product is divided by it first.
template <class Cell, class Weights>
void forward_unpacked(const Cell cell, const Weights kernel, const Weights recurrent, float* projected, float* sums,
                      float* reset, Range units, rnnlm::Barrier& barrier) {
    constexpr int GATES = Cell::GATES;
    const long B = cell.l.batch, I = cell.l.inputs, U = cell.l.units, N = GATES * U, together = steps_together(B);
    const auto in_vectors = [=](auto f) INLINE_LAMBDA {
        for (int g = 0; g < GATES; g++)
            for (long first = units.begin; first < units.end; first += LANES) f(g, first, units.end - first);
    };
    // sums (rows, N) += a (rows, K) times weights, for these units.
    const auto add_product = [=](float* sums, const float* a, long rows, const Weights& weights, long K) {
        for (int g = 0; g < GATES; g++)
            few_rows(sums, a, rows, weights.numbers, K, N, {g * U + units.begin, g * U + units.end});
    };
    for (long t = 0; t < cell.l.steps; t++) {
        const auto step = cell.step(t, reset, 0, B);
        if (t % together == 0) {
            const long rows = at_most(together, cell.l.steps - t) * B;
            for (long m = 0; m < rows; m++)
                in_vectors([=](int g, long first, long left) INLINE_LAMBDA {
                    const long n = g * U + first;
                    store(projected + m * N + n, cell.bias(g, first, left) / kernel.scales(n, left), left);
                });
            add_product(projected, step.x, rows, kernel, I);
        }
        const float* projected_now = projected + t % together * B * N;
        const auto inputs = [=](long m, int g, long first, long left) INLINE_LAMBDA {
            const long n = g * U + first;
            return load(projected_now + m * N + n, left) * kernel.scales(n, left);
        };
        for (long m = 0; m < B; m++)
            in_vectors([=](int g, long first, long left) INLINE_LAMBDA {
                const long n = g * U + first;
                const Vec added = cell.recurrent(g, inputs(m, g, first, left), first, left);
                store(sums + m * N + n, added / recurrent.scales(n, left), left);
            });
        add_product(sums, step.before, B, recurrent, U);
        for (long m = 0; m < B; m++)
            for (long first = units.begin; first < units.end; first += LANES) {
                const long left = units.end - first;
                Vec of_row[GATES];
                for (int g = 0; g < GATES; g++) {
                    const long n = g * U + first;
                    of_row[g] = load(sums + m * N + n, left) * recurrent.scales(n, left);
                }
                cell.output(step, m, first, left, of_row, inputs(m, GATES - 1, first, left));
            }
        barrier.wait();
    }
}

INLINE const float* gathered(float* out, const float* x, const int32_t* ids, long count, long width) {
    for (long n = 0; n < count; n++) memcpy(out + n * width, x + ids[n] * width, width * sizeof(float));
    return out;
}

template <class Cell>
void forward(Cell cell, int threads) {
    constexpr int GATES = Cell::GATES;
    auto& l = cell.l;
    const long B = l.batch, I = l.inputs, U = l.units, K = I + U, N = GATES * U, LINE = GATES * LANES;
    const long total = l.steps * B, blocks = ceil_div(U, LANES);
    threads = worthwhile(threads, (double)total * K * N);
    const bool pack = total >= ROWS_TO_PACK && !l.int8_kernel;
    const rnnlm::RowsRead read(pack ? l.ids : nullptr, total, l.rows);
    const long distinct = read.distinct;
    // The sums of the rows that occur are then at most twice as large as the outputs.
    const bool once = l.ids && pack && 2 * distinct <= total, ahead = pack && !once && B <= FEW_ROWS;
    const long gathered_size = once ? distinct * I : l.ids ? total * I : 0;
    const long weights_size = pack ? blocks * K * LINE : 0, reset_size = l.keep ? rnnlm::room(B * U) : 0;
    const bool by_units = !pack || B <= FEW_ROWS || B < ROWS * threads || weights_size * (long)sizeof(float) > OWN_CACHE;
    const long rows_ahead = at_most(total, ROWS_AHEAD > B ? ROWS_AHEAD : B);
    const long projected_rows = once ? distinct : ahead ? ROWS_AHEAD + FEW_ROWS : 0;
    const long projected_size = pack ? blocks * projected_rows * LINE : rows_ahead * N;
    const long sums_size = pack ? 0 : B * N;
    Scratch scratch(rnnlm::room(weights_size) + rnnlm::room(gathered_size) + rnnlm::room(projected_size) +
                    rnnlm::room(sums_size) + rnnlm::room(threads * reset_size));
    float *weights = scratch.take(weights_size), *rows_of_x = scratch.take(gathered_size);
    float *projected = scratch.take(projected_size);
    float *sums = scratch.take(sums_size), *reset = scratch.take(threads * reset_size);
    const int parts_of_units = (int)at_most(threads, blocks), parts_of_rows = (int)at_most(threads, B);
    if (once)
        gathered(rows_of_x, l.x, read.ids, distinct, I);
    else if (l.ids)
        l.x = gathered(rows_of_x, l.x, l.ids, total, I);
    if (pack)
        rnnlm::parallel(threads, [&](int id) {
            for (long b = blocks * id / threads; b < blocks * (id + 1) / threads; b++) {
                pack_gates<GATES>(weights, l.kernel, l.recurrent, I, U, b);
                if (once) project(cell, projected + b * distinct * LINE, rows_of_x, distinct, weights + b * K * LINE, b);
            }
        });
    const Projected of_inputs = {projected_rows ? projected : nullptr, projected_rows, once ? read.places : nullptr};
    if (!by_units)
        return rnnlm::parallel(parts_of_rows, [&](int id) {
            const Range rows = range_of(B, 1, id, parts_of_rows);
            forward_part(cell, weights, of_inputs, reset, rows, {0, blocks}, nullptr);
        });
    rnnlm::Barrier barrier;
    rnnlm::together(parts_of_units, [&](int id, int parts) {
        barrier.expect(parts);
        float* own = reset + id * reset_size;
        const auto unpacked = [&](auto kernel, auto recurrent) {
            forward_unpacked(cell, kernel, recurrent, projected, sums, own, range_of(U, LANES, id, parts), barrier);
        };
        if (l.int8_kernel)
            return unpacked(Int8{l.int8_kernel, l.kernel_scales}, Int8{l.int8_recurrent, l.recurrent_scales});
        if (!pack) return unpacked(Floats{l.kernel}, Floats{l.recurrent});
        forward_part(cell, weights, of_inputs, own, {0, B}, range_of(blocks, 1, id, parts), &barrier);
    });
}

}  // namespace
