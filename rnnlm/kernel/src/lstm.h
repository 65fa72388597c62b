// The LSTM, forward and backward (Hochreiter & Schmidhuber 1997; Gers et al. 2000).
//
// On the way back threads share the rows of a batch: rows do not meet before the gradients of the weights, so no step
// waits for another thread.
#pragma once
#include "forward.h"
#include "kernels.h"
#include "layer.h"
#include "pool.h"

namespace {

using rnnlm::Lstm;
using rnnlm::LstmGradient;

// Where a step reads and writes.
struct LstmStep {
    const float *x, *before, *cell_before;
    const float *keep;  // null: no row is reset at this step
    float *h, *cells, *gates;
};

// The step t. `reset` is scratch, (batch, units), for the outputs before of rows [begin, end) where one is reset.
LstmStep lstm_step(const Lstm& l, long t, float* reset, long begin, long end) {
    const long B = l.batch, U = l.units;
    LstmStep s = {l.x + t * B * l.inputs,
                  t ? l.h + (t - 1) * B * U : l.h0,
                  !l.gates ? l.cells : t ? l.cells + (t - 1) * B * U : l.c0,
                  l.keep ? l.keep + t * B : nullptr,
                  l.h + t * B * U,
                  l.gates ? l.cells + t * B * U : l.cells,
                  l.gates ? l.gates + t * B * 4 * U : nullptr};
    if (any_reset(s.keep, begin, end))
        s.before = after_resets(s.before, s.keep, reset, U, begin, end);
    else
        s.keep = nullptr;
    return s;
}

// Sums become gates, cell and output, which is returned: of row m, for `left` units or a vector of them from `first` on.
INLINE Vec lstm_cell(const LstmStep& s, long U, long m, long first, long left, Vec i, Vec f, Vec g, Vec o) {
    const long at = m * U + first;
    i = sigmoid(i), f = sigmoid(f), g = tanh(g), o = sigmoid(o);
    Vec c = load(s.cell_before + at, left);
    if (s.keep) c = c * all(s.keep[m]);
    c = f * c + i * g;
    const Vec h = o * tanh(c);
    store(s.cells + at, c, left);
    store(s.h + at, h, left);
    if (s.gates) {
        float* kept = s.gates + m * 4 * U + first;
        store(kept, i, left), store(kept + U, f, left);
        store(kept + 2 * U, g, left), store(kept + 3 * U, o, left);
    }
    return h;
}

// The gradient of row m's output at step t, for units from `first` on, becomes that of its sums: put(gate, dz). `back` is
// what the step after sends back, dz times the transposed recurrent weights; at t = -1 it is the gradient of h0 alone.
template <class F>
INLINE void lstm_cell_back(const Lstm& l, const LstmGradient& d, long t, long m, long first, Vec back, F put) {
    const long B = l.batch, U = l.units, left = U - first, at = m * U + first;
    const Vec kept = kept_before(l, t, m);
    Vec dh = back * kept_before(l, t + 1, m);
    if (t < 0) return store(d.dh0 + at, dh, left);
    dh = dh + load(d.dh + t * B * U + at, left);
    const float* q = l.gates + (t * B + m) * 4 * U + first;
    Vec i = load(q, left), f = load(q + U, left), g = load(q + 2 * U, left);
    Vec o = load(q + 3 * U, left), tanh_c = tanh(load(l.cells + t * B * U + at, left));
    Vec c_before = load((t ? l.cells + (t - 1) * B * U : l.c0) + at, left) * kept;
    const Vec one = all(1.f);
    Vec dc = load(d.dc0 + at, left) + dh * o * (one - tanh_c * tanh_c);
    put(0, dc * g * (i * (one - i)));
    put(1, dc * c_before * (f * (one - f)));
    put(2, dc * i * (one - g * g));
    put(3, dh * tanh_c * (o * (one - o)));
    store(d.dc0 + at, dc * f * kept, left);
}

struct LstmCell {
    static constexpr int GATES = 4;
    Lstm l;

    LstmStep step(long t, float* reset, long begin, long end) const { return lstm_step(l, t, reset, begin, end); }
    INLINE Vec bias(int g, long first, long left) const { return load(l.bias + g * l.units + first, left); }
    INLINE Vec recurrent(int, Vec inputs, long, long) const { return inputs; }
    INLINE void output(const LstmStep& s, long m, long first, long left, const Vec (&sums)[4], Vec) const {
        lstm_cell(s, l.units, m, first, left, sums[0], sums[1], sums[2], sums[3]);
    }
};

void lstm(const Lstm& l, int threads) {
    if (!l.gates) memcpy(l.cells, l.c0, l.batch * l.units * sizeof(float));
    forward(LstmCell{l}, threads);
}

// The gradient of all gates before their functions, dz, for rows [begin, end), from the last step to the first.
void lstm_rows_back(const Lstm& l, const LstmGradient& d, const float* packed, float* dz, float* partial, long begin,
                    long end) {
    const long B = l.batch, U = l.units;
    for (long m = begin; m < end; m++) memcpy(d.dc0 + m * U, d.dc + m * U, U * sizeof(float));
    for (long t = l.steps - 1; t >= -1; t--) {
        const float* after = dz + (t + 1) * B * 4 * U;
        const bool last = t == l.steps - 1;
        for (long panel = 0; panel < U; panel += PANEL) {
            const float* p = packed + panel * 4 * U;
            const long lines = last ? 0 : 4 * U;  // nothing comes back to the last step
            panel_product(after, p, lines, partial, begin, end, [&](long m0, auto rows, auto& sums) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                for (int m = 0; m < M; m++) {
                    float* out = dz + (t * B + m0 + m) * 4 * U;
                    for (int n = 0; n < 4 && panel + n * LANES < U; n++) {
                        const long first = panel + n * LANES;
                        lstm_cell_back(l, d, t, m0 + m, first, sums[m][n], [&](int gate, Vec v) INLINE_LAMBDA {
                            store(out + gate * U + first, v, U - first);
                        });
                    }
                }
            });
        }
    }
}

void lstm_gradient(const Lstm& l, const LstmGradient& d, int threads) {
    const long B = l.batch, I = l.inputs, U = l.units, N = 4 * U, total = l.steps * B;
    threads = worthwhile(threads, 2. * total * (I + U) * N);
    const long unit_panels = ceil_div(U, PANEL), input_panels = ceil_div(I, PANEL), panels = ceil_div(N, PANEL);
    const long back_size = unit_panels * PANEL * N, input_size = input_panels * PANEL * N;
    const long left_size = (I + U + 2 * ROWS) * LINES, right_size = LINES * PANEL;
    Scratch scratch(rnnlm::room(back_size) + rnnlm::room(input_size) + rnnlm::room(total * N) + rnnlm::room(B * PANEL) +
                    threads * (rnnlm::room(left_size) + rnnlm::room(right_size)));
    float *back = scratch.take(back_size), *to_inputs = scratch.take(input_size), *dz = scratch.take(total * N);
    float* partial = scratch.take(B * PANEL);
    float* own = scratch.take(threads * (rnnlm::room(left_size) + rnnlm::room(right_size)) - 16);
    pack_backwards(back, l.recurrent, U, N, threads);
    pack_backwards(to_inputs, l.kernel, I, N, threads);
    rnnlm::parallel(threads, [&](int id) {
        const long begin = part_of(B, 1, id, threads), end = part_of(B, 1, id + 1, threads);
        lstm_rows_back(l, d, back, dz, partial + begin * PANEL, begin, end);
    });
    const Factor factors[] = {{nullptr, l.x, 0, I, nullptr, d.dkernel}, {l.h0, l.h, B, U, l.keep, d.drecurrent}};
    const long piece = rows_of_piece(total, threads);
    rnnlm::Pieces pieces(ceil_div(total, piece));
    rnnlm::parallel(threads, [&](int id) {
        float* left = own + id * (rnnlm::room(left_size) + rnnlm::room(right_size));
        weight_gradients(factors, dz, total, N, d.dbias, left, left + rnnlm::room(left_size), panels * id / threads,
                         panels * (id + 1) / threads);
        for (long p; pieces.take(p);)
            product_rows(dz, N, to_inputs, I, d.dx, p * piece, at_most((p + 1) * piece, total));
    });
}

}  // namespace
