// The exact softmax with loss and gradient, as in softmax.h, with products in bfloat16.
//
// The exponentials of a chunk are kept twice, rounded: as a left factor for the gradient of the hidden states, and as a
// right factor for that of the embeddings, which is made transposed. The scales of the rows, weight / sum, are one more
// column of the hidden states: the gradient of the bias.
#pragma once
#include "bfloat16.h"
#include "softmax.h"

namespace {

// A chunk, and its factors.
struct Chunk16 : Chunk {
    const Half* hidden;  // left: rows by the width
    Half* by_row;        // left: rows by words; null: no gradient
    Half* by_word;       // right: one strip of words after the other; lines are the rows
    long lines;          // tiles of the rows
};

// Calls f(first row, rows, sums) for blocks of the rows of a chunk: products of the hidden states and a strip of words.
template <class F>
INLINE void logits_of_strip(const Softmax& s, const Chunk16& c, const Half* columns, F f) {
    const long depth = tiles(s.width);
    alignas(64) float sums[BLOCK * STRIP];
    for (long m = 0; m < c.rows; m += BLOCK) {
        const long rows = at_most(BLOCK, c.rows - m);
        product_block(sums, STRIP, c.hidden + m / TILE_ROWS * depth * LEFT, depth * LEFT, columns, 2 * RIGHT, depth, rows);
        f(m, rows, sums);
    }
}

// The largest logit of each row in a strip of words, whose embeddings are `columns`.
void largest_of_strip(const Softmax& s, const Chunk16& c, const Half* columns, long strip) {
    const long first = strip * STRIP, there = at_most(STRIP, s.vocabulary - first);
    logits_of_strip(s, c, columns, [&](long m, long rows, const float* sums) INLINE_LAMBDA {
        for (long r = 0; r < rows; r++) {
            float most = -INFINITY;
            for (long v = 0; v < there; v++) {
                const float logit = sums[r * STRIP + v] + s.bias[first + v];
                most = logit > most || logit != logit ? logit : most;
            }
            c.partial[strip * c.rows + m + r] = most;
        }
    });
}

// Exponentials and their sums of a strip of words.
void exponentials_of_strip(const Softmax& s, const Chunk16& c, const Half* columns, long strip) {
    const long words = tiles(s.vocabulary), first = strip * STRIP, there = s.vocabulary - first;
    Vec bias[2], present[2];
    for (int n = 0; n < 2; n++) {
        bias[n] = load(s.bias + first + n * LANES, there - n * LANES);
        for (long k = 0; k < LANES; k++) present[n][k] = n * LANES + k < there;
    }
    float* totals = c.partial + strip * c.rows;
    logits_of_strip(s, c, columns, [&](long m, long rows, const float* sums) INLINE_LAMBDA {
        const auto row = [&](long r, Vec (&e)[2]) INLINE_LAMBDA {
            const Vec shift = all(c.shift[m + r]);
            for (int n = 0; n < 2; n++)
                e[n] = exponential(load(sums + r * STRIP + n * LANES) + bias[n] - shift) * present[n];
            totals[m + r] = sum(e[0] + e[1]);
        };
        if (!c.by_row) {
            Vec e[2];
            for (long r = 0; r < rows; r++) row(r, e);
            return;
        }
        Half* by_word = c.by_word + (strip * c.lines + m / DEPTH) * 2 * RIGHT;
        for (long half = 0; half < BLOCK; half += TILE_ROWS) {
            Half* by_row = c.by_row + place(m + half, first, words);
            for (long r = half; r < half + TILE_ROWS; r += 2, by_row += 2 * DEPTH, by_word += 2 * LANES) {
                Vec even[2] = {}, odd[2] = {};
                if (r < rows) row(r, even);
                if (r + 1 < rows) row(r + 1, odd);
                for (int n = 0; n < 2; n++) {
                    const Halves a = rounded(even[n]), b = rounded(odd[n]);
                    store(by_row + n * LANES, a), store(by_row + DEPTH + n * LANES, b);
                    store(by_word + n * RIGHT, pair(a, b));
                }
            }
        }
    });
}

// dhidden of rows [begin, end).
void rows_of_hidden(const Softmax& s, const Chunk16& c, const Half* lines, long begin, long end) {
    const long D = s.width;
    product_of_rows(c.by_row, lines, tiles(s.vocabulary), D, begin, end,
                    [&](long m, long first, Vec a, Vec b, bool add) INLINE_LAMBDA {
                        put(s.dhidden + (c.first + m) * D + first, a, b, D - first, add);
                    });
    for (long m = begin; m < end; m++) scale_gradient(s, c, m);
}

// dembeddings and dbias of a strip of words. `scaled`: left, the hidden states transposed and a row more, all by the
// scales of their rows.
void strip_of_gradients(const Softmax& s, const Chunk16& c, const Half* scaled, long strip) {
    const long D = s.width, first = strip * STRIP, words = at_most(STRIP, s.vocabulary - first);
    const bool add = c.first > 0;
    alignas(64) float sums[BLOCK * STRIP], turned[STRIP * BLOCK];
    for (long d = 0; d <= D; d += BLOCK) {
        product_block(sums, STRIP, scaled + d / TILE_ROWS * c.lines * LEFT, c.lines * LEFT,
                      c.by_word + strip * c.lines * 2 * RIGHT, 2 * RIGHT, c.lines, at_most(BLOCK, D + 1 - d));
        for (long i = 0; i < BLOCK; i += 8)
            for (long w = 0; w < STRIP; w += 8) transpose(turned + w * BLOCK + i, BLOCK, sums + i * STRIP + w, STRIP);
        for (long w = 0; w < words; w++)
            for (long i = 0; i < BLOCK && d + i < D; i += LANES) {
                float* out = s.dembeddings + (first + w) * D + d + i;
                const Vec found = load(turned + w * BLOCK + i);
                store(out, add ? load(out, D - d - i) + found : found, D - d - i);
            }
        if (D - d < BLOCK)
            for (long w = 0; w < words; w++) {
                const float found = turned[w * BLOCK + D - d];
                s.dbias[first + w] = add ? s.dbias[first + w] + found : found;
            }
    }
}

void softmax_bfloat16(const Softmax& s, int threads) {
    const long V = s.vocabulary, D = s.width, width_strips = ceil_div(D, STRIP);
    const long depth = tiles(D), words = tiles(V), strips = words * DEPTH / STRIP;
    const long factor_tiles = padded(D + 1, BLOCK) / TILE_ROWS;
    threads = worthwhile(threads, 3. * s.rows * V * D / 8);
    const bool gradient = s.dhidden;
    if (s.rows == 0) {
        if (!gradient) return;
        memset(s.dembeddings, 0, V * D * sizeof(float));
        memset(s.dbias, 0, V * sizeof(float));
        return;
    }
    // Beside products this fast, reading and writing the embeddings' gradient once a chunk counts for more: with 33,278
    // words of width 400 a call took 232 to 362 ms in chunks of 180 rows, 185 ms in chunks of 721. So a chunk has 6 times as
    // many rows, at least, as in float32, unless it needs more than 4 times the memory.
    const auto rows_of = [&](long bytes) { return bytes / (V * 4) / DEPTH * DEPTH; };
    const auto larger = [](long a, long b) { return a > b ? a : b; };
    long most = larger(rows_of(CHUNK_BYTES), larger(CHUNK_ROWS, at_most(6 * CHUNK_ROWS, rows_of(4L * CHUNK_BYTES))));
    most = at_most(most, s.rows);
    const long most_lines = tiles(most);
    const long columns_size = strips * depth * 2 * RIGHT, lines_size = width_strips * words * 2 * RIGHT;
    const long hidden_size = most_lines * DEPTH * depth * DEPTH, by_row_size = most_lines * DEPTH * words * DEPTH;
    const long by_word_size = strips * most_lines * 2 * RIGHT, scaled_size = factor_tiles * most_lines * LEFT;
    long size = 2 * rnnlm::room(most) + rnnlm::room(strips * most);
    for (long part : {columns_size, hidden_size}) size += rnnlm::room(part / 2);
    for (long part : {lines_size, by_row_size, by_word_size, scaled_size}) size += gradient ? rnnlm::room(part / 2) : 0;
    Scratch scratch(size);
    const auto take = [&](long halves) { return (Half*)scratch.take(halves / 2); };
    Half *columns = take(columns_size), *hidden = take(hidden_size), *lines = nullptr, *scaled = nullptr;
    Chunk16 c = {};
    c.hidden = hidden;
    if (gradient) {
        lines = take(lines_size), scaled = take(scaled_size);
        c.by_row = take(by_row_size), c.by_word = take(by_word_size);
    }
    c.shift = scratch.take(most), c.scale = scratch.take(most), c.partial = scratch.take(strips * most);
    rnnlm::parallel(threads, [&](int id) {
        for (long p = strips * id / threads; p < strips * (id + 1) / threads; p++)
            for (long k = 0; k < depth; k++)
                for (int n = 0; n < 2; n++) {
                    const long word = p * STRIP + n * LANES;
                    pack_tile_transposed(columns + ((p * depth + k) * 2 + n) * RIGHT,
                                         s.embeddings + word * D + k * DEPTH, D, D - k * DEPTH, V - word);
                }
        for (long k = words * id / threads; gradient && k < words * (id + 1) / threads; k++)
            for (long p = 0; p < width_strips; p++)
                for (int n = 0; n < 2; n++) {
                    const long column = p * STRIP + n * LANES;
                    pack_tile(lines + ((p * words + k) * 2 + n) * RIGHT, s.embeddings + k * DEPTH * D + column, D,
                              V - k * DEPTH, D - column);
                }
    });
    for (c.first = 0; c.first < s.rows; c.first += most) {
        c.rows = at_most(most, s.rows - c.first), c.lines = tiles(c.rows);
        rnnlm::parallel(threads, [&](int id) {
            for (long m = c.rows * id / threads; m < c.rows * (id + 1) / threads; m++)
                pack_row(hidden, m, depth, s.hidden + (c.first + m) * D, D, 1.f);
        });
        exponentials_of_chunk(s, c, strips, [&](bool find_largest) {
            rnnlm::Pieces pieces(strips);
            rnnlm::parallel(threads, [&](int) {
                const Tiles registers;
                for (long p; pieces.take(p);)
                    (find_largest ? largest_of_strip : exponentials_of_strip)(s, c, columns + p * depth * 2 * RIGHT, p);
            });
        });
        const long piece = at_most(ROWS_AT_ONCE, padded(ceil_div(c.rows, threads), BLOCK));
        rnnlm::Pieces pieces_of_rows(ceil_div(c.rows, piece)), tiles_of_factors(factor_tiles), pieces_of_words(strips);
        rnnlm::parallel(threads, [&](int) {
            const Tiles registers;
            for (long p; pieces_of_rows.take(p);) {
                const long begin = p * piece, end = at_most(begin + piece, c.rows);
                finish_nll(s, c, begin, end);
                if (gradient) rows_of_hidden(s, c, lines, begin, end);
            }
            // The hidden states, transposed, with the scales as the row behind the last.
            for (long p; gradient && tiles_of_factors.take(p);)
                for (long k = 0; k < c.lines; k++) {
                    Half* tile = scaled + (p * c.lines + k) * LEFT;
                    const long first = p * TILE_ROWS;
                    pack_left_transposed(tile, first, D - first, [&](long half) INLINE_LAMBDA {
                        const long m = k * DEPTH + half;
                        return Lines{s.hidden + (c.first + m) * D, D, c.rows - m, c.scale + m};
                    });
                    if (first <= D && D < first + TILE_ROWS)
                        for (long n = 0; n < DEPTH && k * DEPTH + n < c.rows; n++)
                            tile[(D - first) * DEPTH + n] = rounded(all(c.scale[k * DEPTH + n]))[0];
                }
        });
        if (!gradient) continue;
        rnnlm::parallel(threads, [&](int) {
            const Tiles registers;
            for (long p; pieces_of_words.take(p);) strip_of_gradients(s, c, scaled, p);
        });
        if (s.targets) targets_of_words(s, c);
    }
}

}  // namespace
