// The exact softmax with loss and gradient, as in softmax.h, with products in bfloat16.
//
// A thread does some rows at a time: it turns their logits into exponentials, for as many words as its second cache holds,
// and multiplies these by the embeddings at once, for the gradient of the hidden states. The exponentials are rounded, and
// kept for the gradient of the embeddings alone, which is made transposed. The scales of the rows, weight / sum, are one
// more column of the hidden states there: the gradient of the bias.
#pragma once
#include <vector>

#include "bfloat16.h"
#include "softmax.h"

namespace {

// A chunk of rows, and its factors. Of those in float32 it has only the shifts and the scales.
struct Chunk16 : Chunk {
    const Half *columns, *lines;  // the embeddings: right, strips of words; right, strips of the width
    const Half* hidden;           // left: rows by the width
    Half* by_word;                // right: exponentials, one strip of words after the other; null: no gradient
    long lines_of_rows;           // tiles of the rows
};

// Scratch of a thread, for the rows that it does.
struct ThreadScratch {
    Half* exponentials;  // left: rows by WORDS_AT_ONCE
    float* totals;       // (rows, LANES): their sums; or in the first number the largest logit
};

const long WORDS_AT_ONCE = DEPTH_AT_ONCE * DEPTH;

// Calls f(first row, rows, sums) for blocks of rows [begin, end): products of the hidden states and a strip of words.
template <class F>
INLINE void logits_of_strip(const Softmax& s, const Chunk16& c, long strip, long begin, long end, F f) {
    const long depth = tiles(s.width);
    alignas(64) float sums[BLOCK * STRIP];
    for (long m = begin; m < end; m += BLOCK) {
        const long rows = at_most(BLOCK, end - m);
        product_block(sums, STRIP, c.hidden + m / TILE_ROWS * depth * LEFT, depth * LEFT,
                      c.columns + strip * depth * 2 * RIGHT, 2 * RIGHT, depth, rows);
        f(m, rows, sums);
    }
}

// The largest logits of rows [begin, end) in a strip of words.
void largest_of_strip(const Softmax& s, const Chunk16& c, const ThreadScratch& own, long strip, long begin, long end) {
    const long first = strip * STRIP, there = at_most(STRIP, s.vocabulary - first);
    logits_of_strip(s, c, strip, begin, end, [&](long m, long rows, const float* sums) INLINE_LAMBDA {
        for (long r = 0; r < rows; r++) {
            float& most = own.totals[(m - begin + r) * LANES];
            for (long v = 0; v < there; v++) {
                const float logit = sums[r * STRIP + v] + s.bias[first + v];
                most = logit > most || logit != logit ? logit : most;
            }
        }
    });
}

// Exponentials of rows [begin, end) in a strip of words, added to their sums.
void exponentials_of_strip(const Softmax& s, const Chunk16& c, const ThreadScratch& own, long strip, long begin,
                           long end) {
    const long first = strip * STRIP, there = s.vocabulary - first;
    Vec bias[2], present[2];
    for (int n = 0; n < 2; n++) {
        bias[n] = load(s.bias + first + n * LANES, there - n * LANES);
        for (long k = 0; k < LANES; k++) present[n][k] = n * LANES + k < there;
    }
    logits_of_strip(s, c, strip, begin, end, [&](long m, long rows, const float* sums) INLINE_LAMBDA {
        const auto row = [&](long r, Vec (&e)[2]) INLINE_LAMBDA {
            const Vec shift = all(c.shift[m + r]);
            for (int n = 0; n < 2; n++)
                e[n] = exponential(load(sums + r * STRIP + n * LANES) + bias[n] - shift) * present[n];
            float* total = own.totals + (m - begin + r) * LANES;
            store(total, load(total) + (e[0] + e[1]));
        };
        if (!c.by_word) {
            Vec e[2];
            for (long r = 0; r < rows; r++) row(r, e);
            return;
        }
        Half* by_word = c.by_word + (strip * c.lines_of_rows + m / DEPTH) * 2 * RIGHT;
        for (long half = 0; half < BLOCK; half += TILE_ROWS) {
            Half* by_row = own.exponentials + place(m - begin + half, first % WORDS_AT_ONCE, DEPTH_AT_ONCE);
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

// Adds the exponentials of rows [begin, end) times the embeddings of their words, from `word` on, to dhidden.
void add_to_hidden(const Softmax& s, const Chunk16& c, const ThreadScratch& own, long word, long begin, long end) {
    const long D = s.width, words = tiles(s.vocabulary), depth = at_most(DEPTH_AT_ONCE, words - word / DEPTH);
    alignas(64) float sums[BLOCK * STRIP];
    for (long n = 0; n < D; n += STRIP)
        for (long m = begin; m < end; m += BLOCK) {
            const long rows = at_most(BLOCK, end - m);
            product_block(sums, STRIP, own.exponentials + (m - begin) * DEPTH_AT_ONCE * DEPTH, DEPTH_AT_ONCE * LEFT,
                          c.lines + (n / STRIP * words + word / DEPTH) * 2 * RIGHT, 2 * RIGHT, depth, rows);
            for (long r = 0; r < rows; r++)
                put(s.dhidden + (c.first + m + r) * D + n, load(sums + r * STRIP), load(sums + r * STRIP + LANES), D - n,
                    word > 0);
        }
}

// Everything of rows [begin, end) but what they contribute to the gradients of the embeddings and the bias.
void rows_of_chunk(const Softmax& s, const Chunk16& c, const ThreadScratch& own, long begin, long end) {
    const long strips = tiles(s.vocabulary) * DEPTH / STRIP, strips_at_once = WORDS_AT_ONCE / STRIP;
    // Returns whether all sums are well inside float32's range.
    const auto exponentials = [&] {
        memset(own.totals, 0, (end - begin) * LANES * sizeof(float));
        for (long strip = 0; strip < strips; strip++) {
            exponentials_of_strip(s, c, own, strip, begin, end);
            if (c.by_word && (strip + 1 == strips || (strip + 1) % strips_at_once == 0))
                add_to_hidden(s, c, own, strip / strips_at_once * WORDS_AT_ONCE, begin, end);
        }
        bool safe = true;
        for (long m = begin; m < end; m++) {
            const float total = sum(load(own.totals + (m - begin) * LANES));
            const bool row_is_safe = total > SMALL_SUM && total < LARGE_SUM;
            // Until the largest logit is known.
            if (!row_is_safe) c.shift[m] = INFINITY;
            safe &= row_is_safe;
            c.scale[m] = s.weights[c.first + m] / total;
            s.nll[c.first + m] = std::log(total);
        }
        return safe;
    };
    for (long m = begin; m < end; m++) c.shift[m] = 0;
    if (!exponentials()) {
        for (long m = begin; m < end; m++) own.totals[(m - begin) * LANES] = -INFINITY;
        for (long strip = 0; strip < strips; strip++) largest_of_strip(s, c, own, strip, begin, end);
        for (long m = begin; m < end; m++)
            if (c.shift[m] != 0) c.shift[m] = own.totals[(m - begin) * LANES];
        exponentials();
    }
    finish_nll(s, c, begin, end);
    for (long m = begin; c.by_word && m < end; m++) scale_gradient(s, c, m);
}

// dembeddings and dbias of a strip of words. `scaled`: left, the hidden states transposed and a row more, all by the
// scales of their rows.
void strip_of_gradients(const Softmax& s, const Chunk16& c, const Half* scaled, long strip) {
    const long D = s.width, first = strip * STRIP, words = at_most(STRIP, s.vocabulary - first);
    const bool add = c.first > 0;
    alignas(64) float sums[BLOCK * STRIP], turned[STRIP * BLOCK];
    for (long d = 0; d <= D; d += BLOCK) {
        product_block(sums, STRIP, scaled + d / TILE_ROWS * c.lines_of_rows * LEFT, c.lines_of_rows * LEFT,
                      c.by_word + strip * c.lines_of_rows * 2 * RIGHT, 2 * RIGHT, c.lines_of_rows, at_most(BLOCK, D + 1 - d));
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
    // words of width 400 a call of an earlier version took 232 to 362 ms with AMX in chunks of 180 rows, 185 ms in chunks
    // of 721. So a chunk has 6 times as many rows, at least, as in float32, unless it needs more than 4 times the memory.
    // Chunks are as long as each other.
    const auto rows_of = [&](long bytes) { return bytes / (V * 2) / DEPTH * DEPTH; };
    const auto larger = [](long a, long b) { return a > b ? a : b; };
    long most = larger(rows_of(CHUNK_BYTES), larger(CHUNK_ROWS, at_most(6 * CHUNK_ROWS, rows_of(4L * CHUNK_BYTES))));
    most = gradient ? padded(ceil_div(s.rows, ceil_div(s.rows, most)), DEPTH) : s.rows;
    const long most_lines = tiles(most), rows_at_once = at_most(ROWS_AT_ONCE, most_lines * DEPTH);
    const long columns_size = strips * depth * 2 * RIGHT, lines_size = width_strips * words * 2 * RIGHT;
    const long hidden_size = most_lines * DEPTH * depth * DEPTH, own_size = rows_at_once * WORDS_AT_ONCE;
    const long by_word_size = strips * most_lines * 2 * RIGHT, scaled_size = factor_tiles * most_lines * LEFT;
    long size = 2 * rnnlm::room(most) + threads * rnnlm::room(rows_at_once * LANES);
    for (long part : {columns_size, hidden_size}) size += rnnlm::room(part / 2);
    for (long part : {lines_size, by_word_size, scaled_size}) size += gradient ? rnnlm::room(part / 2) : 0;
    if (gradient) size += threads * rnnlm::room(own_size / 2);
    Scratch scratch(size);
    const auto take = [&](long halves) { return (Half*)scratch.take(halves / 2); };
    Half *columns = take(columns_size), *hidden = take(hidden_size), *lines = nullptr, *scaled = nullptr;
    Chunk16 c = {};
    std::vector<ThreadScratch> own(threads);
    if (gradient) {
        lines = take(lines_size), scaled = take(scaled_size);
        c.by_word = take(by_word_size);
        for (auto& of_thread : own) of_thread.exponentials = take(own_size);
    }
    for (auto& of_thread : own) of_thread.totals = scratch.take(rows_at_once * LANES);
    c.columns = columns, c.lines = lines, c.hidden = hidden;
    c.shift = scratch.take(most), c.scale = scratch.take(most);
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
        c.rows = at_most(most, s.rows - c.first), c.lines_of_rows = tiles(c.rows);
        // Every thread gets as many pieces as the others.
        const long count = threads * ceil_div(c.rows, rows_at_once * threads);
        rnnlm::Pieces pieces_of_rows(count), tiles_of_factors(factor_tiles), pieces_of_words(strips);
        rnnlm::parallel(threads, [&](int id) {
            const Tiles registers;
            for (long p; pieces_of_rows.take(p);) {
                const long begin = part_of(c.rows, BLOCK, (int)p, (int)count);
                const long end = part_of(c.rows, BLOCK, (int)p + 1, (int)count);
                for (long m = begin; m < end; m++)
                    pack_row(hidden, m, depth, s.hidden + (c.first + m) * D, D, 1.f);
                rows_of_chunk(s, c, own[id], begin, end);
            }
        });
        if (!gradient) continue;
        rnnlm::parallel(threads, [&](int) {
            // The hidden states, transposed, with the scales as the row behind the last.
            for (long p; tiles_of_factors.take(p);)
                for (long k = 0; k < c.lines_of_rows; k++) {
                    Half* tile = scaled + (p * c.lines_of_rows + k) * LEFT;
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
        rnnlm::parallel(threads, [&](int) {
            const Tiles registers;
            for (long p; pieces_of_words.take(p);) strip_of_gradients(s, c, scaled, p);
        });
        if (s.targets) targets_of_words(s, c);
    }
}

}  // namespace
