// The GRU, forward and backward (Cho et al. 2014), as the LSTM of lstm.h: on the way back threads share the rows.
#pragma once
#include "forward.h"
#include "kernels.h"
#include "layer.h"
#include "pool.h"

namespace {

using rnnlm::Gru;
using rnnlm::GruGradient;

// Where a step reads and writes.
struct GruStep {
    const float *x, *before;
    float *h, *gates;
};

// The step t. `reset` is scratch, (batch, units), for the outputs before of rows [begin, end) where one is reset.
GruStep gru_step(const Gru& l, long t, float* reset, long begin, long end) {
    const long B = l.batch, U = l.units;
    GruStep s = {l.x + t * B * l.inputs, t ? l.h + (t - 1) * B * U : l.h0, l.h + t * B * U,
                 l.gates ? l.gates + t * B * 4 * U : nullptr};
    const float* keep = l.keep ? l.keep + t * B : nullptr;
    if (any_reset(keep, begin, end)) s.before = after_resets(s.before, keep, reset, U, begin, end);
    return s;
}

// The bias of a gate. Those of a gate that only adds up its two products come together.
INLINE Vec gru_bias(const Gru& l, int g, long first, long left) {
    Vec bias = load(l.bias + g * l.units + first, left);
    return g < 2 ? bias + load(l.bias + (3 + g) * l.units + first, left) : bias;
}

// Sums become gates and output: of row m, for `left` units or a vector of them from `first` on. The candidate has one
// sum of the inputs, and `product` of the recurrent product. The output before counts `kept` times. Returns the output.
INLINE Vec gru_cell(const GruStep& s, long U, long m, long first, long left, Vec kept, Vec z, Vec r,
                    Vec candidate, Vec product) {
    const long at = m * U + first;
    z = sigmoid(z), r = sigmoid(r);
    Vec g = tanh(candidate + r * product);
    const Vec h = g + z * (load(s.before + at, left) * kept - g);
    store(s.h + at, h, left);
    if (s.gates) {
        float* gates = s.gates + m * 4 * U + first;
        store(gates, z, left), store(gates + U, r, left);
        store(gates + 2 * U, g, left), store(gates + 3 * U, product, left);
    }
    return h;
}

// The gradient of row m's output at step t, for units from `first` on, becomes that of its sums: put(gate, gradient), the
// fourth that of the candidate's recurrent product. `back` is what the step after sends back through its products; d.dh0
// carries what goes past them, through the update gate.
template <class F>
INLINE void gru_cell_back(const Gru& l, const GruGradient& d, long t, long m, long first, Vec back, F put) {
    const long B = l.batch, U = l.units, left = U - first, at = m * U + first;
    const Vec kept = kept_before(l, t, m);
    Vec dh = load(d.dh0 + at, left) + back * kept_before(l, t + 1, m);
    if (t < 0) return store(d.dh0 + at, dh, left);
    dh = dh + load(d.dh + t * B * U + at, left);
    const float* q = l.gates + (t * B + m) * 4 * U + first;
    Vec z = load(q, left), r = load(q + U, left), g = load(q + 2 * U, left);
    Vec product = load(q + 3 * U, left), one = all(1.f);
    Vec before = load((t ? l.h + (t - 1) * B * U : l.h0) + at, left) * kept;
    Vec dcandidate = dh * (one - z) * (one - g * g);
    put(0, dh * (before - g) * (z * (one - z)));
    put(1, dcandidate * product * (r * (one - r)));
    put(2, dcandidate);
    put(3, dcandidate * r);
    store(d.dh0 + at, dh * z * kept, left);
}

struct GruCell {
    static constexpr int GATES = 3;
    Gru l;

    GruStep step(long t, float* reset, long begin, long end) const { return gru_step(l, t, reset, begin, end); }
    INLINE Vec bias(int g, long first, long left) const { return gru_bias(l, g, first, left); }
    // The candidate's recurrent product is a sum of its own, with a bias of its own.
    INLINE Vec recurrent(int g, Vec inputs, long first, long left) const {
        return g < 2 ? inputs : load(l.bias + 5 * l.units + first, left);
    }
    INLINE void output(const GruStep& s, long m, long first, long left, const Vec (&sums)[3], Vec candidate) const {
        gru_cell(s, l.units, m, first, left, all(1.f), sums[0], sums[1], candidate, sums[2]);
    }
};

void gru(const Gru& l, int threads) { forward(GruCell{l}, threads); }

// The gradients of both products, (steps, batch, 3 units) each, for rows [begin, end).
void gru_rows_back(const Gru& l, const GruGradient& d, const float* packed, float* of_inputs, float* of_recurrent,
                   float* partial, long begin, long end) {
    const long B = l.batch, U = l.units, N = 3 * U;
    for (long m = begin; m < end; m++) memset(d.dh0 + m * U, 0, U * sizeof(float));
    for (long t = l.steps - 1; t >= -1; t--) {
        const float* after = of_recurrent + (t + 1) * B * N;
        const bool last = t == l.steps - 1;
        for (long panel = 0; panel < U; panel += PANEL) {
            const float* p = packed + panel * N;
            const long lines = last ? 0 : N;  // nothing comes back to the last step
            panel_product(after, p, lines, partial, begin, end, [&](long m0, auto rows, auto& sums) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                for (int m = 0; m < M; m++)
                    for (int n = 0; n < 4 && panel + n * LANES < U; n++) {
                        const long first = panel + n * LANES, out = (t * B + m0 + m) * N + first;
                        gru_cell_back(l, d, t, m0 + m, first, sums[m][n], [&](int gate, Vec v) INLINE_LAMBDA {
                            if (gate < 3) store(of_inputs + out + gate * U, v, U - first);
                            if (gate != 2) store(of_recurrent + out + at_most(gate, 2) * U, v, U - first);
                        });
                    }
            });
        }
    }
}

void gru_gradient(const Gru& l, const GruGradient& d, int threads) {
    const long B = l.batch, I = l.inputs, U = l.units, N = 3 * U, total = l.steps * B;
    threads = worthwhile(threads, 2. * total * (I + U) * N);
    const long panels = ceil_div(N, PANEL);
    const long back_size = ceil_div(U, PANEL) * PANEL * N, input_size = ceil_div(I, PANEL) * PANEL * N;
    const long left_size = ((I > U ? I : U) + ROWS) * LINES, right_size = LINES * PANEL;
    const long own_size = rnnlm::room(left_size) + rnnlm::room(right_size);
    Scratch scratch(rnnlm::room(back_size) + rnnlm::room(input_size) + 2 * rnnlm::room(total * N) +
                    rnnlm::room(B * PANEL) + threads * own_size);
    float *back = scratch.take(back_size), *to_inputs = scratch.take(input_size);
    float *of_inputs = scratch.take(total * N), *of_recurrent = scratch.take(total * N);
    float* partial = scratch.take(B * PANEL);
    float* own = scratch.take(threads * own_size - 16);
    pack_backwards(back, l.recurrent, U, N, threads);
    pack_backwards(to_inputs, l.kernel, I, N, threads);
    rnnlm::parallel(threads, [&](int id) {
        const long begin = part_of(B, 1, id, threads), end = part_of(B, 1, id + 1, threads);
        gru_rows_back(l, d, back, of_inputs, of_recurrent, partial + begin * PANEL, begin, end);
    });
    const Factor inputs[] = {{nullptr, l.x, 0, I, nullptr, d.dkernel}};
    const Factor outputs[] = {{l.h0, l.h, B, U, l.keep, d.drecurrent}};
    const long piece = rows_of_piece(total, threads);
    rnnlm::Pieces pieces(ceil_div(total, piece));
    rnnlm::parallel(threads, [&](int id) {
        float *left = own + id * own_size, *right = left + rnnlm::room(left_size);
        const long begin = panels * id / threads, end = panels * (id + 1) / threads;
        weight_gradients(inputs, of_inputs, total, N, d.dbias, left, right, begin, end);
        weight_gradients(outputs, of_recurrent, total, N, d.dbias + N, left, right, begin, end);
        for (long p; pieces.take(p);)
            product_rows(of_inputs, N, to_inputs, I, d.dx, p * piece, at_most((p + 1) * piece, total));
    });
}

}  // namespace
