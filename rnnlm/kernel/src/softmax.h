// The exact softmax: loss and gradient in one pass over chunks of rows, so that the logits of a window are never all in
// memory. A chunk has its exponentials in panels of words, (panel, row, word).
//
// The usual pass for the maximum is left out: logits of a language model stay far from where float32's exponential ends.
// A chunk with a sum outside [1e-30, 1e30] is done over, with the maximum of each such row taken off; the other rows get
// the same bits again.
#pragma once
#include <cmath>

#include "kernels.h"
#include "layer.h"

namespace {

using rnnlm::Softmax;

const float SMALL_SUM = 1e-30f, LARGE_SUM = 1e30f;

struct Chunk {
    long first, rows;
    float *shift, *scale;  // (rows): what is taken off the logits; weight / sum of exponentials
    float *exponentials;   // (panels, rows, PANEL); null: no gradient
    float *partial;        // (panels, rows): their sums, or the largest logits
    float *scaled;         // (panels of the width, rows, PANEL): hidden * scale
};

// Exponentials and their sums of one panel of words, whose embeddings are `columns`; or only the largest logits.
void panel_of_words(const Softmax& s, const Chunk& c, const float* columns, long panel, bool find_largest) {
    const long D = s.width, first = panel * PANEL, width = s.vocabulary - first;
    Vec bias[4];
    for (int n = 0; n < 4; n++) bias[n] = load(s.bias + first + n * LANES, width - n * LANES);
    in_blocks(0, c.rows, [&](long m0, auto rows) INLINE_LAMBDA {
        constexpr int M = decltype(rows)::number;
        Vec sums[M][4];
        for (int m = 0; m < M; m++)
            for (int n = 0; n < 4; n++) sums[m][n] = bias[n];
        accumulate<M, 4>(sums, s.hidden + (c.first + m0) * D, D, 1, columns, PANEL, LANES, D);
        for (int m = 0; m < M; m++) {
            float* result = c.partial + panel * c.rows + m0 + m;
            if (find_largest) {
                float most = -INFINITY;
                for (long v = 0; v < PANEL && v < width; v++) {
                    float logit = sums[m][v / LANES][v % LANES];
                    most = logit > most || logit != logit ? logit : most;
                }
                *result = most;
                continue;
            }
            Vec total = {};
            float* out = c.exponentials ? c.exponentials + (panel * c.rows + m0 + m) * PANEL : nullptr;
            for (int n = 0; n < 4; n++) {
                Vec e = exponential(sums[m][n] - all(c.shift[m0 + m]));
                if (width < PANEL)
                    for (long k = width > n * LANES ? width - n * LANES : 0; k < LANES; k++) e[k] = 0;
                total += e;
                if (out) store(out + n * LANES, e);
            }
            *result = sum(total);
        }
    });
}

// dhidden of row m from the product of its exponentials: times its scale, less the part of its target.
void scale_gradient(const Softmax& s, const Chunk& c, long m) {
    const long D = s.width, row = c.first + m;
    const float weight = s.weights[row], *target = s.targets ? s.embeddings + s.targets[row] * D : nullptr;
    for (long d = 0; d < D; d += LANES) {
        Vec gradient = load(s.dhidden + row * D + d, D - d) * all(c.scale[m]);
        if (target) gradient = gradient - all(weight) * load(target + d, D - d);
        store(s.dhidden + row * D + d, gradient, D - d);
    }
}

// dhidden of rows [begin, end), and what they contribute to the embeddings' gradient: hidden * scale.
void rows_of_hidden(const Softmax& s, const Chunk& c, const float* lines, long begin, long end) {
    const long D = s.width, V = s.vocabulary;
    for (long v = 0; v < V; v += LINES)
        for (long d = 0; d < D; d += PANEL)
            in_blocks(begin, end, [&](long m, auto rows) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                Vec sums[M][4];
                clear(sums);
                for (long w = v; w < V && w < v + LINES; w += PANEL)
                    accumulate<M, 4>(sums, c.exponentials + (w / PANEL * c.rows + m) * PANEL, PANEL, 1,
                                     lines + d * V + w * PANEL, PANEL, LANES, at_most(PANEL, V - w));
                write<M>(s.dhidden + (c.first + m) * D + d, D, sums, D - d, v > 0);
            });
    for (long m = begin; m < end; m++) {
        scale_gradient(s, c, m);
        const float* hidden = s.hidden + (c.first + m) * D;
        for (long d = 0; d < D; d += LANES)
            store(c.scaled + (d / PANEL * c.rows + m) * PANEL + d % PANEL, load(hidden + d, D - d) * all(c.scale[m]));
    }
}

// dembeddings and dbias of one panel of words.
void panel_of_gradients(const Softmax& s, const Chunk& c, long panel) {
    const long D = s.width, first = panel * PANEL, width = at_most(PANEL, s.vocabulary - first);
    const float* e = c.exponentials + panel * c.rows * PANEL;
    const bool add = c.first > 0;
    for (long k = 0; k < c.rows; k += LINES)
        for (long d = 0; d < D; d += PANEL)
            in_blocks(0, width, [&](long m, auto rows) INLINE_LAMBDA {
                constexpr int M = decltype(rows)::number;
                Vec sums[M][4];
                clear(sums);
                accumulate<M, 4>(sums, e + k * PANEL + m, 1, PANEL, c.scaled + d * c.rows + k * PANEL, PANEL, LANES,
                                 at_most(LINES, c.rows - k));
                write<M>(s.dembeddings + (first + m) * D + d, D, sums, D - d, add || k);
            });
    for (int n = 0; n < 4 && n * LANES < width; n++) {
        Vec total = {};
        for (long k = 0; k < c.rows; k++) total += all(c.scale[k]) * load(e + k * PANEL + n * LANES);
        float* b = s.dbias + first + n * LANES;
        store(b, add ? load(b, width - n * LANES) + total : total, width - n * LANES);
    }
}

// Summed in double, in eight sums so that they need not wait for each other.
INLINE double dot(const float* a, const float* b, long n) {
    double sums[8] = {};
    long k = 0;
    for (; k + 8 <= n; k += 8)
        for (int j = 0; j < 8; j++) sums[j] += (double)a[k + j] * b[k + j];
    double total = 0;
    for (; k < n; k++) total += (double)a[k] * b[k];
    for (double one : sums) total += one;
    return total;
}

// nll holds the logarithm of each row's sum. What was taken off the logits is added, and the target's logit taken off.
void finish_nll(const Softmax& s, const Chunk& c, long begin, long end) {
    for (long m = begin; m < end; m++) {
        const long row = c.first + m;
        double logit = 0;
        if (s.targets) {
            const float *hidden = s.hidden + row * s.width, *target = s.embeddings + s.targets[row] * s.width;
            logit = s.bias[s.targets[row]];
            logit += dot(hidden, target, s.width);
        }
        s.nll[row] = (float)(s.nll[row] + (c.shift[m] - logit));
    }
}

// The part of the targets in the gradient of their words.
void targets_of_words(const Softmax& s, const Chunk& c) {
    const long D = s.width;
    for (long row = c.first; row < c.first + c.rows; row++) {
        const long target = s.targets[row];
        float* out = s.dembeddings + target * D;
        for (long d = 0; d < D; d += LANES) {
            Vec part = all(s.weights[row]) * load(s.hidden + row * D + d, D - d);
            store(out + d, load(out + d, D - d) - part, D - d);
        }
        s.dbias[target] -= s.weights[row];
    }
}

// The exponentials of a chunk by words(find_largest), which leaves `parts` sums or largest logits of each row; then the
// scales, and the logarithms of the sums in nll.
template <class F>
void exponentials_of_chunk(const Softmax& s, Chunk& c, long parts, F words) {
    const auto totals = [&] {
        // Part by part: a row's parts are far from each other.
        float* total = s.nll + c.first;
        for (long m = 0; m < c.rows; m++) total[m] = 0;
        for (long p = 0; p < parts; p++)
            for (long m = 0; m < c.rows; m++) total[m] += c.partial[p * c.rows + m];
        bool safe = true;
        for (long m = 0; m < c.rows; m++) {
            const bool row_is_safe = total[m] > SMALL_SUM && total[m] < LARGE_SUM;
            if (!row_is_safe) c.shift[m] = INFINITY;  // until the largest logit is known
            safe &= row_is_safe;
            c.scale[m] = s.weights[c.first + m] / total[m];
            total[m] = std::log(total[m]);
        }
        return safe;
    };
    for (long m = 0; m < c.rows; m++) c.shift[m] = 0;
    words(false);
    if (totals()) return;
    words(true);
    for (long m = 0; m < c.rows; m++) {
        if (c.shift[m] == 0) continue;
        c.shift[m] = c.partial[m];
        for (long p = 1; p < parts; p++) {
            const float other = c.partial[p * c.rows + m];
            if (other > c.shift[m] || other != other) c.shift[m] = other;
        }
    }
    words(false);
    totals();
}

void softmax(const Softmax& s, int threads) {
    const long V = s.vocabulary, D = s.width, panels = ceil_div(V, PANEL), width_panels = ceil_div(D, PANEL);
    const bool gradient = s.dhidden;
    // Packing a word takes as long as the products of about eight rows.
    threads = worthwhile(threads, ((gradient ? 3. : 1.) * s.rows + 8.) * V * D);
    if (s.rows == 0) {
        if (!gradient) return;
        memset(s.dembeddings, 0, V * D * sizeof(float));
        memset(s.dbias, 0, V * sizeof(float));
        return;
    }
    // Without a gradient a chunk has one sum for each panel alone.
    long most = CHUNK_BYTES / (panels * (gradient ? PANEL : 1) * 4) / ROWS * ROWS;
    most = at_most(most < CHUNK_ROWS ? CHUNK_ROWS : most, s.rows);
    // Packed once for all chunks; without a gradient there is one chunk as a rule, and a thread packs what it needs next.
    const long columns_size = (gradient ? panels : threads) * PANEL * D, partial_size = panels * most;
    const long lines_size = gradient ? width_panels * PANEL * V : 0;
    const long exponentials_size = gradient ? panels * most * PANEL : 0;
    const long scaled_size = gradient ? width_panels * most * PANEL : 0;
    long size = 0;
    for (long part : {columns_size, lines_size, most, most, exponentials_size, partial_size, scaled_size})
        size += rnnlm::room(part);
    Scratch scratch(size);
    float *columns = scratch.take(columns_size), *lines = scratch.take(lines_size);
    Chunk c = {0, 0, scratch.take(most), scratch.take(most), scratch.take(exponentials_size),
               scratch.take(partial_size), scratch.take(scaled_size)};
    if (!gradient) c.exponentials = nullptr;
    const auto pack = [&](float* panel, long p) {
        pack_transposed(panel, s.embeddings + p * PANEL * D, D, D, V - p * PANEL);
        return panel;
    };
    if (gradient)
        rnnlm::parallel(threads, [&](int id) {
            for (long p = panels * id / threads; p < panels * (id + 1) / threads; p++)
                pack(columns + p * PANEL * D, p);
            const long begin = V * id / threads, end = V * (id + 1) / threads;
            for (long d = 0; d < D; d += PANEL)
                pack_panel(lines + d * V + begin * PANEL, s.embeddings + begin * D + d, D, end - begin, D - d);
        });
    for (c.first = 0; c.first < s.rows; c.first += most) {
        c.rows = at_most(most, s.rows - c.first);
        const auto words = [&](bool find_largest) {
            rnnlm::Pieces pieces(panels);
            rnnlm::parallel(threads, [&](int id) {
                for (long p; pieces.take(p);) {
                    const float* panel = gradient ? columns + p * PANEL * D : pack(columns + id * PANEL * D, p);
                    panel_of_words(s, c, panel, p, find_largest);
                }
            });
        };
        exponentials_of_chunk(s, c, panels, words);
        const long piece = rows_of_piece(c.rows, threads);
        rnnlm::Pieces pieces_of_rows(ceil_div(c.rows, piece)), pieces_of_words(panels);
        rnnlm::parallel(threads, [&](int) {
            for (long p; pieces_of_rows.take(p);) {
                const long begin = p * piece, end = at_most(begin + piece, c.rows);
                finish_nll(s, c, begin, end);
                if (gradient) rows_of_hidden(s, c, lines, begin, end);
            }
        });
        if (!gradient) continue;
        rnnlm::parallel(threads, [&](int) {
            for (long p; pieces_of_words.take(p);) panel_of_gradients(s, c, p);
        });
        if (s.targets) targets_of_words(s, c);
    }
}

}  // namespace
