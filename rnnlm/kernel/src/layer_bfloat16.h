// A recurrent layer with products in bfloat16; gates, states and sums in float32.
//
// Threads share the units, so that each reads its part of the weights alone: at this speed of the products the weights
// come too slowly from the caches that cores share. So the threads wait for each other at each step.
//
// There are four gates: those of the LSTM, or update, reset, candidate and the candidate's recurrent product of the GRU.
#pragma once
#include "bfloat16.h"
#include "layer.h"

namespace {

// Which columns of the weights are those of a gate, in units; -1 if it has no product with these weights.
struct Gates {
    long kernel[4], recurrent[4], columns;
};

// Strips of the right factor at a time, for which a block of the left one is read once.
const long STRIPS_AT_ONCE = 4;

// Inputs of step t, and the outputs before it as its resets leave them, side by side as one left factor.
struct LeftOfStep {
    Half* data;                // for even steps, then for odd ones
    long size, inputs, units;  // numbers of one step; tiles of the inputs and of the units
    long depth() const { return inputs + units; }
    Half* at(long t) const { return data + t % 2 * size; }
};

// Blocks [begin, end) of LANES units, through all time; of the inputs, rows [first_row, last_row) are packed.
// cell(step, first unit, units that are there) returns a function of (row, the sums of the gates without bias), which
// returns the output. Everything that the loops use is passed by value: otherwise the compiler would read it again after
// each store, which might have changed it.
template <class Layer, class Cell>
void units_forward(const Layer l, const Half* weights, const LeftOfStep left, long begin, long end, long first_row,
                   long last_row, rnnlm::Barrier& barrier, Cell cell) {
    const long I = l.inputs, B = l.batch, U = l.units, depth = left.depth(), step = 4 * RIGHT;
    const Tiles registers;
    alignas(64) float sums[BLOCK * PANEL];
    for (long t = 0; t < l.steps; t++) {
        const bool last = t == l.steps - 1;
        const float* keep_next = l.keep && !last ? l.keep + (t + 1) * B : nullptr;
        for (long b = begin; b < end; b++) {
            const long first = b * LANES, there = U - first;
            const auto cell_of_row = cell(t, first, there);
            for (long m = 0; m < B; m += BLOCK) {
                const long rows = at_most(BLOCK, B - m);
                const Half* a = left.at(t) + m * depth * DEPTH;
                for (int half = 0; half < 2; half++)
                    product_block(sums + half * STRIP, PANEL, a, depth * LEFT,
                                  weights + b * depth * step + half * 2 * RIGHT, step, depth, rows);
                Half* next = left.at(t + 1) + place(m, left.inputs * DEPTH + first, depth);
                for (long r = 0; r < rows; r++) {
                    const float* z = sums + r * PANEL;
                    Vec h = cell_of_row(m + r, load(z), load(z + LANES), load(z + 2 * LANES), load(z + 3 * LANES));
                    if (keep_next) h = h * all(keep_next[m + r]);
                    store(next + place(r, 0, depth), rounded(h), there);
                }
            }
        }
        if (last) break;
        for (long m = first_row; m < last_row; m++)
            pack_row(left.at(t + 1), m, depth, l.x + ((t + 1) * B + m) * I, I, 1.f);
        barrier.wait();
    }
}

template <class Layer, class Cell>
void forward_bfloat16(const Layer& l, const Gates& gates, int threads, Cell cell) {
    const long B = l.batch, I = l.inputs, U = l.units, N = gates.columns * U, blocks = ceil_div(U, LANES);
    threads = worthwhile(threads, (double)l.steps * B * (I + U) * N / 8);
    LeftOfStep left = {nullptr, 0, tiles(I), tiles(U)};
    const long depth = left.depth();
    left.size = padded(B, TILE_ROWS) * depth * DEPTH;
    const long weights_size = blocks * depth * 4 * RIGHT;
    Scratch scratch(rnnlm::room(weights_size / 2) + rnnlm::room(left.size));
    Half* weights = (Half*)scratch.take(weights_size / 2);
    left.data = (Half*)scratch.take(left.size);
    memset(left.data, 0, 2 * left.size * sizeof(Half));
    rnnlm::parallel(threads, [&](int id) {
        for (long b = blocks * id / threads; b < blocks * (id + 1) / threads; b++)
            for (long k = 0; k < depth; k++)
                for (int g = 0; g < 4; g++) {
                    const bool of_inputs = k < left.inputs;
                    const long line = (of_inputs ? k : k - left.inputs) * DEPTH;
                    const long column = of_inputs ? gates.kernel[g] : gates.recurrent[g];
                    pack_tile(weights + ((b * depth + k) * 4 + g) * RIGHT,
                              (of_inputs ? l.kernel : l.recurrent) + line * N + column * U + b * LANES, N,
                              column < 0 ? 0 : (of_inputs ? I : U) - line, U - b * LANES);
                }
        for (long m = part_of(B, 1, id, threads); l.steps && m < part_of(B, 1, id + 1, threads); m++) {
            pack_row(left.data, m, depth, l.x + m * I, I, 1.f);
            pack_row(left.data, m, depth, l.h0 + m * U, U, l.keep ? l.keep[m] : 1.f, left.inputs * DEPTH);
        }
    });
    rnnlm::Barrier barrier;
    rnnlm::together((int)at_most(threads, blocks), [&](int id, int parts) {
        barrier.expect(parts);
        units_forward(l, weights, left, blocks * id / parts, blocks * (id + 1) / parts, part_of(B, 1, id, parts),
                      part_of(B, 1, id + 1, parts), barrier, cell);
    });
}

// The gradient of all gates before their functions, as a left factor: rows are those of a batch, step by step, filled up
// with zeros to whole tiles; columns are the units, gate by gate, filled up likewise.
struct GateGradients {
    Half* data;
    long batch, rows;   // rows of a step, in whole tiles; of all steps, to a multiple of 32
    long units, depth;  // tiles of the units of a gate; of all gates
    Half* step(long t) const { return data + t * batch * depth * DEPTH; }
};

// Strips [begin, end) of units, from the last step to the first. cell_back(step, row, first unit, what the step after
// sends back, put) calls put(gate, gradient).
template <class Layer, class CellBack>
void units_back(const Layer l, const Half* weights, const GateGradients dz, long begin, long end,
                rnnlm::Barrier& barrier, CellBack cell_back) {
    const long B = l.batch, U = l.units;
    const Tiles registers;
    alignas(64) float sums[BLOCK * STRIP];
    for (long t = l.steps - 1; t >= -1; t--) {
        for (long strip = begin; strip < end; strip++)
            for (long m = 0; m < B; m += BLOCK) {
                const long rows = at_most(BLOCK, B - m);
                if (t == l.steps - 1)  // nothing comes back to the last step
                    memset(sums, 0, sizeof sums);
                else
                    product_block(sums, STRIP, dz.step(t + 1) + m * dz.depth * DEPTH, dz.depth * LEFT,
                                  weights + strip * dz.depth * 2 * RIGHT, 2 * RIGHT, dz.depth, rows);
                for (long r = 0; r < rows; r++)
                    for (int n = 0; n < 2 && strip * STRIP + n * LANES < U; n++) {
                        const long first = strip * STRIP + n * LANES, of_gate = dz.units * LEFT;
                        Half* out = dz.step(t) + place(m + r, first, dz.depth);
                        cell_back(t, m + r, first, load(sums + r * STRIP + n * LANES), [=](int gate, Vec v) INLINE_LAMBDA {
                            store(out + gate * of_gate, rounded(v), U - first);
                        });
                    }
            }
        if (t >= 0) barrier.wait();
    }
}

// Strips of transposed weights (rows, columns), whose lines are the gates' units as in GateGradients; `columns` says
// where those of a gate are.
void pack_transposed_strips(Half* strips, const float* weights, long rows, long U, const Gates& gates,
                            const long (&columns)[4], int id, int threads) {
    const long count = ceil_div(rows, STRIP), units = tiles(U), N = gates.columns * U;
    for (long s = count * id / threads; s < count * (id + 1) / threads; s++)
        for (long k = 0; k < 4 * units; k++)
            for (int n = 0; n < 2; n++) {
                const long row = s * STRIP + n * LANES, unit = k % units * DEPTH, column = columns[k / units];
                pack_tile_transposed(strips + ((s * 4 * units + k) * 2 + n) * RIGHT, weights + row * N + column * U + unit,
                                     N, U - unit, column < 0 ? 0 : rows - row);
            }
}

// A strip of the gradients as a right factor, whose lines are the rows; and the sums of its columns.
void pack_strip_of_gradients(Half* strip, const GateGradients& dz, long column, Vec (&total)[2]) {
    total[0] = total[1] = Vec{};
    for (long k = 0; k < dz.rows; k += DEPTH)
        for (int n = 0; n < 2; n++)
            for (long line = k; line < k + DEPTH; line += 2, strip += 2 * LANES) {
                const Half* rows = dz.data + place(line, column + n * LANES, dz.depth);
                const Int both = pair(load(rows), load(rows + DEPTH));
                store(strip, both);
                total[n] += even_of(both) + odd_of(both);
            }
}

// All gradients but that of the state, which cell_back writes. The bias of the recurrent product is null if there is none.
template <class Layer, class Gradient, class CellBack>
void gradient_bfloat16(const Layer& l, const Gradient& d, const Gates& gates, float* dbias, float* drecurrent_bias,
                       int threads, CellBack cell_back) {
    const long T = l.steps, B = l.batch, I = l.inputs, U = l.units, N = gates.columns * U;
    threads = worthwhile(threads, 2. * T * B * (I + U) * N / 8);
    GateGradients dz = {nullptr, padded(B, TILE_ROWS), 0, tiles(U), 4 * tiles(U)};
    dz.rows = padded(T * dz.batch, DEPTH);
    const long lines = dz.rows / DEPTH, strips = ceil_div(U, STRIP), input_strips = ceil_div(I, STRIP);
    // Factors have an even number of tiles of rows, as a block.
    const long input_tiles = padded(I, BLOCK) / TILE_ROWS, unit_tiles = padded(U, BLOCK) / TILE_ROWS;
    const long strip_size = dz.depth * 2 * RIGHT, dz_size = dz.rows * dz.depth * DEPTH;
    const long left_size = (input_tiles + unit_tiles) * lines * LEFT, right_size = STRIPS_AT_ONCE * lines * 2 * RIGHT;
    long size = 0;
    for (long part : {strips * strip_size, input_strips * strip_size, dz_size, left_size, threads * right_size})
        size += rnnlm::room(part / 2);
    Scratch scratch(size);
    const auto take = [&](long halves) { return (Half*)scratch.take(halves / 2); };
    Half *back = take(strips * strip_size), *to_inputs = take(input_strips * strip_size);
    dz.data = take(dz_size);
    Half *inputs = take(left_size), *units = inputs + input_tiles * lines * LEFT, *right = take(threads * right_size);

    rnnlm::parallel(threads, [&](int id) {
        pack_transposed_strips(back, l.recurrent, U, U, gates, gates.recurrent, id, threads);
        pack_transposed_strips(to_inputs, l.kernel, I, U, gates, gates.kernel, id, threads);
        const long begin = part_of(dz.rows, TILE_ROWS, id, threads), end = part_of(dz.rows, TILE_ROWS, id + 1, threads);
        memset(dz.data + begin * dz.depth * DEPTH, 0, (end - begin) * dz.depth * DEPTH * sizeof(Half));
    });
    rnnlm::Barrier barrier;
    rnnlm::together((int)at_most(threads, strips), [&](int id, int parts) {
        barrier.expect(parts);
        units_back(l, back, dz, strips * id / parts, strips * (id + 1) / parts, barrier, cell_back);
    });
    // 16 rows of one step: the inputs, or the outputs before it. None are there where a step's rows are filled up.
    const auto inputs_of_step = [&](long t, long m) INLINE_LAMBDA {
        return Lines{l.x + (t * B + m) * I, I, t < T ? B - m : 0, nullptr};
    };
    const auto outputs_before = [&](long t, long m) INLINE_LAMBDA {
        const float* before = t ? l.h + (t - 1) * B * U : l.h0;
        return Lines{before + m * U, U, t < T ? B - m : 0, l.keep ? l.keep + t * B + m : nullptr};
    };
    rnnlm::Pieces tiles_of_inputs(input_tiles), tiles_of_units(unit_tiles);
    rnnlm::parallel(threads, [&](int) {
        const auto pack = [&](Half* left, long tile, long width, auto rows) {
            for (long k = 0; k < lines; k++)
                pack_left_transposed(left + (tile * lines + k) * LEFT, tile * TILE_ROWS, width - tile * TILE_ROWS,
                                     [&](long half) INLINE_LAMBDA {
                                         const long row = k * DEPTH + half;
                                         return rows(row / dz.batch, row % dz.batch);
                                     });
        };
        for (long p; tiles_of_inputs.take(p);) pack(inputs, p, I, inputs_of_step);
        for (long p; tiles_of_units.take(p);) pack(units, p, U, outputs_before);
    });
    const long groups_of_gate = ceil_div(strips, STRIPS_AT_ONCE), rows = T * dz.batch;
    rnnlm::Pieces groups(4 * groups_of_gate), pieces(ceil_div(rows, ROWS_AT_ONCE));
    rnnlm::parallel(threads, [&](int id) {
        const Tiles registers;
        alignas(64) float sums[BLOCK * STRIP];
        Half* own = right + id * right_size;
        for (long p; groups.take(p);) {
            const long gate = p / groups_of_gate, begin = p % groups_of_gate * STRIPS_AT_ONCE;
            const long end = at_most(begin + STRIPS_AT_ONCE, strips);
            const long of_kernel = gates.kernel[gate] * U, of_recurrent = gates.recurrent[gate] * U;
            for (long s = begin; s < end; s++) {
                const long first = s * STRIP;
                Vec total[2];
                pack_strip_of_gradients(own + (s - begin) * lines * 2 * RIGHT, dz, gate * dz.units * DEPTH + first, total);
                if (of_kernel >= 0) put(dbias + of_kernel + first, total[0], total[1], U - first, false);
                if (drecurrent_bias && of_recurrent >= 0)
                    put(drecurrent_bias + of_recurrent + first, total[0], total[1], U - first, false);
            }
            const auto gradient = [&](const Half* left, long width, long column, float* c) {
                for (long m = 0; m < width && column >= 0; m += BLOCK)
                    for (long s = begin; s < end; s++) {
                        const long there = at_most(BLOCK, width - m), first = s * STRIP;
                        product_block(sums, STRIP, left + m / TILE_ROWS * lines * LEFT, lines * LEFT,
                                      own + (s - begin) * lines * 2 * RIGHT, 2 * RIGHT, lines, there);
                        for (long r = 0; r < there; r++)
                            put(c + (m + r) * N + column + first, load(sums + r * STRIP), load(sums + r * STRIP + LANES),
                                U - first, false);
                    }
            };
            gradient(inputs, I, of_kernel, d.dkernel);
            gradient(units, U, of_recurrent, d.drecurrent);
        }
        for (long p; pieces.take(p);)
            product_of_rows(dz.data, to_inputs, dz.depth, I, p * ROWS_AT_ONCE, at_most((p + 1) * ROWS_AT_ONCE, rows),
                            [&](long row, long first, Vec a, Vec b, bool add) INLINE_LAMBDA {
                                const long t = row / dz.batch, m = row % dz.batch;
                                if (m < B) put(d.dx + (t * B + m) * I + first, a, b, I - first, add);
                            });
    });
}

}  // namespace
