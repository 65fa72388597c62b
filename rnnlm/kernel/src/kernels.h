// What a path of instructions computes. All arrays are float32 in C order, without any demand on alignment. The caller
// owns them all; inputs are only read, outputs are written whole. Nothing is kept between two calls but scratch memory.
#pragma once
#include <cstdint>

namespace rnnlm {

// One layer of an LSTM over a sequence. Gates lie side by side in Keras' order: input, forget, candidate, output.
struct Lstm {
    long steps, batch, inputs, units;
    long rows;               // of x, where ids are given
    const float *x;          // (steps, batch, inputs); with ids (rows, inputs)
    const float *kernel;     // (inputs, 4 units)
    const float *recurrent;  // (units, 4 units)
    const float *bias;       // (4 units)
    const float *h0, *c0;    // (batch, units): the state before the first step
    const float *keep;       // (steps, batch), 0 where the state is reset before a step, otherwise 1; null: never reset
    float *h;                // (steps, batch, units): the outputs
    float *cells;            // (steps, batch, units); without gates (batch, units), the last alone
    float *gates;            // (steps, batch, 4 units), for the gradient; null: there will be none
    // Both weights in int8, in place of those in float32, where these are not null: a quarter as much is read at a
    // step. A weight is its integer times the scale of its column. On the paths for float32, and without gates.
    const int8_t *int8_kernel, *int8_recurrent;
    const float *kernel_scales, *recurrent_scales;  // (4 units)
    // (steps, batch): the row of x that each step reads, such as a word's embedding; null: x has one for each. A row that
    // is read often is multiplied once. On the paths for float32, and without gates.
    const int32_t *ids;
};

struct LstmGradient {
    const float *dh;      // (steps, batch, units)
    const float *dc;      // (batch, units): of the last cell
    float *dx;            // (steps, batch, inputs)
    float *dkernel;       // (inputs, 4 units)
    float *drecurrent;    // (units, 4 units)
    float *dbias;         // (4 units)
    float *dh0, *dc0;     // (batch, units)
};

// One layer of a GRU whose reset gate is applied after the recurrent product (Cho et al. 2014, as cuDNN computes it).
// Gates lie side by side in Keras' order: update, reset, candidate.
struct Gru {
    long steps, batch, inputs, units;
    long rows;               // as for the LSTM
    const float *x;          // (steps, batch, inputs); with ids (rows, inputs)
    const float *kernel;     // (inputs, 3 units)
    const float *recurrent;  // (units, 3 units)
    const float *bias;       // (2, 3 units): of the product by the inputs, of the recurrent product
    const float *h0;         // (batch, units): the state before the first step
    const float *keep;       // as for the LSTM
    float *h;                // (steps, batch, units): the outputs
    float *gates;            // (steps, batch, 4 units), for the gradient: update, reset, candidate, and the candidate's
                             // recurrent product; null: there will be none
    const int8_t *int8_kernel, *int8_recurrent;     // as for the LSTM
    const float *kernel_scales, *recurrent_scales;  // (3 units)
    const int32_t *ids;                             // as for the LSTM
};

struct GruGradient {
    const float *dh;    // (steps, batch, units)
    float *dx;          // (steps, batch, inputs)
    float *dkernel;     // (inputs, 3 units)
    float *drecurrent;  // (units, 3 units)
    float *dbias;       // (2, 3 units)
    float *dh0;         // (batch, units)
};

// The negative log-likelihood of each row's target, -log softmax(hidden embeddings' + bias)[target], and the gradient of
// its weighted sum over the rows.
struct Softmax {
    long rows, vocabulary, width;
    const float *hidden;      // (rows, width)
    const float *embeddings;  // (vocabulary, width)
    const float *bias;        // (vocabulary)
    const int32_t *targets;   // (rows), each in [0, vocabulary); null: log sum exp alone, without the target's logit
    const float *weights;     // (rows)
    float *nll;               // (rows)
    float *dhidden;           // (rows, width); null: no gradient at all
    float *dembeddings;       // (vocabulary, width)
    float *dbias;             // (vocabulary)
};

// hidden embeddings' + bias, for few rows: a row of embeddings is read once for all of them.
struct Logits {
    long rows, vocabulary, width;
    const float *hidden;      // (rows, width)
    const float *embeddings;  // (vocabulary, width)
    const float *bias;        // (vocabulary)
    float *logits;            // (rows, vocabulary)
    const int8_t *int8_embeddings;  // in int8, in place of those in float32, if not null
    const float *embeddings_scales;  // (vocabulary): what the integers of each word are multiplied by
};

// c[t] = forget[t] * c[t - 1] + added[t], unit by unit: the recurrence of the QRNN.
struct Pooling {
    long steps, size;  // size: batch * units
    const float *forget, *added, *before;
    float *cells;
};
struct PoolingGradient {
    const float *dcells;
    float *dforget, *dadded, *dbefore;
};

struct Path {
    const char *name;
    int lanes;
    void (*lstm)(const Lstm &, int threads);
    void (*lstm_gradient)(const Lstm &, const LstmGradient &, int threads);
    void (*gru)(const Gru &, int threads);
    void (*gru_gradient)(const Gru &, const GruGradient &, int threads);
    void (*softmax)(const Softmax &, int threads);
    void (*logits)(const Logits &, int threads);
    void (*pooling)(const Pooling &, int threads);
    void (*pooling_gradient)(const Pooling &, const PoolingGradient &, int threads);
};

extern const Path portable, avx2, avx512;
// Their products are in bfloat16, their sums and all arrays in float32.
extern const Path avx2_bf16, avx512_bf16, amx;

// The path of this processor: the fastest whose instructions it has. With products in bfloat16 there may be none: null.
const Path &best_path();
const Path *best_bfloat16_path();
// The path of that name; null if there is none or this processor lacks its instructions.
const Path *path_named(const char *name);

}  // namespace rnnlm
