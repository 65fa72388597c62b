// The GRU, forward and backward (Cho et al. 2014), as the LSTM of lstm.h: threads share the rows, and gates are made of
// sums that are still in registers.
#pragma once
#include "kernels.h"
#include "layer.h"
#include "pool.h"

namespace {

using rnnlm::Gru;
using rnnlm::GruGradient;

const long GRU_LINE = 3 * LANES;  // a line of packed weights: three gates of one vector of units

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

// Rows [begin, end) through all time.
void gru_rows(const Gru& l, const float* packed, float* reset, long begin, long end) {
    const long I = l.inputs, U = l.units, K = I + U;
    for (long t = 0; t < l.steps; t++) {
        const GruStep s = gru_step(l, t, reset, begin, end);
        for (long first = 0; first < U; first += LANES) {
            const float* p = packed + first * K * 3;
            const long left = U - first;
            in_blocks(begin, end, [&](long m0, auto rows) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                Vec sums[M][3], candidates[M];
                for (int g = 0; g < 3; g++) {
                    Vec bias = gru_bias(l, g, first, left);
                    for (int m = 0; m < M; m++) sums[m][g] = bias;
                }
                const float* ahead = p + K * GRU_LINE + (m0 - begin) / ROWS * K * 16;  // as for the LSTM
                accumulate<M, 3, true>(sums, s.x + m0 * I, I, 1, p, GRU_LINE, LANES, I, ahead);
                const Vec second = load(l.bias + 5 * U + first, left);
                for (int m = 0; m < M; m++) candidates[m] = sums[m][2], sums[m][2] = second;
                p += I * GRU_LINE;
                accumulate<M, 3, true>(sums, s.before + m0 * U, U, 1, p, GRU_LINE, LANES, U, ahead + I * 16);
                p -= I * GRU_LINE;
                for (int m = 0; m < M; m++)
                    gru_cell(s, U, m0 + m, first, left, all(1.f), sums[m][0], sums[m][1], candidates[m], sums[m][2]);
            });
        }
    }
}

// The same for few rows, whose weights are read once and not packed. Threads share the columns.
void gru_few_rows(const Gru& l, float* sums, float* candidates, float* reset, int threads) {
    const long B = l.batch, I = l.inputs, U = l.units, N = 3 * U;
    for (long t = 0; t < l.steps; t++) {
        const GruStep s = gru_step(l, t, reset, 0, B);
        rnnlm::parallel(threads, [&](int id) {
            const long begin = part_of(N, LANES, id, threads), end = part_of(N, LANES, id + 1, threads);
            for (long m = 0; m < B; m++)
                for (long n = begin; n < end; n++) sums[m * N + n] = n < 2 * U ? l.bias[n] + l.bias[N + n] : l.bias[n];
            few_rows(sums, s.x, B, l.kernel, I, N, begin, end);
            for (long m = 0; m < B; m++)
                for (long n = begin < 2 * U ? 2 * U : begin; n < end; n++) {
                    candidates[m * U + n - 2 * U] = sums[m * N + n];
                    sums[m * N + n] = l.bias[N + n];
                }
            few_rows(sums, s.before, B, l.recurrent, U, N, begin, end);
        });
        for (long m = 0; m < B; m++)
            for (long first = 0; first < U; first += LANES) {
                const float* p = sums + m * N + first;
                const long left = U - first;
                gru_cell(s, U, m, first, left, all(1.f), load(p, left), load(p + U, left),
                         load(candidates + m * U + first, left), load(p + 2 * U, left));
            }
    }
}

void gru(const Gru& l, int threads) {
    const long U = l.units, K = l.inputs + U, blocks = ceil_div(U, LANES);
    const bool pack = l.steps * l.batch >= ROWS_TO_PACK;
    threads = worthwhile(threads, pack ? (double)l.steps * l.batch * K * 3 * U : (double)K * 3 * U);
    const long weights_size = pack ? blocks * K * GRU_LINE : l.batch * 3 * U, reset_size = l.keep ? l.batch * U : 0;
    const long candidates_size = pack ? 0 : l.batch * U;
    Scratch scratch(rnnlm::room(weights_size) + rnnlm::room(reset_size) + rnnlm::room(candidates_size));
    float *weights = scratch.take(weights_size), *reset = scratch.take(reset_size);
    float* candidates = scratch.take(candidates_size);
    if (!pack) return gru_few_rows(l, weights, candidates, reset, threads);
    rnnlm::parallel(threads, [&](int id) {
        for (long b = blocks * id / threads; b < blocks * (id + 1) / threads; b++)
            pack_gates<3>(weights, l.kernel, l.recurrent, l.inputs, U, b);
    });
    rnnlm::parallel(threads, [&](int id) {
        gru_rows(l, weights, reset, part_of(l.batch, 1, id, threads), part_of(l.batch, 1, id + 1, threads));
    });
}

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
