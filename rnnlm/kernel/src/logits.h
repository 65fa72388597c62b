// The logits of every word after few rows of hidden states.
#pragma once
#include "kernels.h"
#include "layer.h"

namespace {

using rnnlm::Logits;

const int WORDS = 4;  // at a time, so that no sum waits for the one before

INLINE float scale_of(const float*, const Logits&, long) { return 1.f; }
INLINE float scale_of(const int8_t*, const Logits& s, long word) { return s.embeddings_scales[word]; }

template <class Weight>
void logits_of_words(const Logits s, const Weight* embeddings, long begin, long end) {
    const long D = s.width;
    for (long first = begin; first < end; first += WORDS) {
        const long words = at_most(WORDS, end - first);
        const Weight* rows[WORDS];  // past the last word, its own row again
        for (int n = 0; n < WORDS; n++) rows[n] = embeddings + (first + at_most(n, words - 1)) * D;
        in_blocks(0, s.rows, [&](long m0, auto rows_of_block) INLINE_LAMBDA {
            constexpr int M = decltype(rows_of_block)::number;
            Vec sums[M][WORDS];
            clear(sums);
            for (long k = 0; k < D; k += LANES) {
                Vec columns[WORDS];
                for (int n = 0; n < WORDS; n++) columns[n] = weights_at(rows[n] + k, D - k);
                for (int m = 0; m < M; m++) {
                    const Vec left = load(s.hidden + (m0 + m) * D + k, D - k);
                    for (int n = 0; n < WORDS; n++) sums[m][n] += left * columns[n];
                }
            }
            for (int m = 0; m < M; m++)
                for (int n = 0; n < words; n++) {
                    const long word = first + n;
                    s.logits[(m0 + m) * s.vocabulary + word] = sum(sums[m][n]) * scale_of(rows[n], s, word) + s.bias[word];
                }
        });
    }
}

void logits(const Logits& s, int threads) {
    threads = worthwhile(threads, (double)s.rows * s.vocabulary * s.width);
    rnnlm::parallel(threads, [&](int id) {
        const long begin = part_of(s.vocabulary, WORDS, id, threads), end = part_of(s.vocabulary, WORDS, id + 1, threads);
        if (s.int8_embeddings) return logits_of_words(s, s.int8_embeddings, begin, end);
        logits_of_words(s, s.embeddings, begin, end);
    });
}

}  // namespace
