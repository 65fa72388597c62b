// The LSTM and the GRU with products in bfloat16: their cells are those of float32.
#pragma once
#include "gru.h"
#include "layer_bfloat16.h"
#include "lstm.h"

namespace {

const Gates LSTM_GATES = {{0, 1, 2, 3}, {0, 1, 2, 3}, 4};
const Gates GRU_GATES = {{0, 1, 2, -1}, {0, 1, -1, 2}, 3};

void lstm_bfloat16(const Lstm& l, int threads) {
    const long B = l.batch, U = l.units;
    if (!l.gates) memcpy(l.cells, l.c0, B * U * sizeof(float));
    forward_bfloat16(l, LSTM_GATES, threads, [=](long t, long first, long there) INLINE_LAMBDA {
        LstmStep s = lstm_step(l, t, nullptr, 0, 0);
        s.keep = l.keep ? l.keep + t * B : nullptr;
        const auto bias = [&](int gate) INLINE_LAMBDA { return load(l.bias + gate * U + first, there); };
        const Vec of_i = bias(0), of_f = bias(1), of_g = bias(2), of_o = bias(3);
        return [=](long m, Vec i, Vec f, Vec g, Vec o) INLINE_LAMBDA {
            return lstm_cell(s, U, m, first, there, i + of_i, f + of_f, g + of_g, o + of_o);
        };
    });
}

void lstm_gradient_bfloat16(const Lstm& l, const LstmGradient& d, int threads) {
    memcpy(d.dc0, d.dc, l.batch * l.units * sizeof(float));
    const auto cell_back = [=](long t, long m, long first, Vec back, auto put) INLINE_LAMBDA {
        lstm_cell_back(l, d, t, m, first, back, put);
    };
    gradient_bfloat16(l, d, LSTM_GATES, d.dbias, nullptr, threads, cell_back);
}

void gru_bfloat16(const Gru& l, int threads) {
    const long U = l.units;
    forward_bfloat16(l, GRU_GATES, threads, [=](long t, long first, long there) INLINE_LAMBDA {
        const GruStep s = gru_step(l, t, nullptr, 0, 0);
        const Vec of_z = gru_bias(l, 0, first, there), of_r = gru_bias(l, 1, first, there);
        const Vec of_c = gru_bias(l, 2, first, there), of_product = load(l.bias + 5 * U + first, there);
        return [=](long m, Vec z, Vec r, Vec c, Vec product) INLINE_LAMBDA {
            return gru_cell(s, U, m, first, there, kept_before(l, t, m), z + of_z, r + of_r, c + of_c, product + of_product);
        };
    });
}

void gru_gradient_bfloat16(const Gru& l, const GruGradient& d, int threads) {
    const long U = l.units;
    memset(d.dh0, 0, l.batch * U * sizeof(float));
    const auto cell_back = [=](long t, long m, long first, Vec back, auto put) INLINE_LAMBDA {
        gru_cell_back(l, d, t, m, first, back, put);
    };
    gradient_bfloat16(l, d, GRU_GATES, d.dbias, d.dbias + 3 * U, threads, cell_back);
}

}  // namespace
