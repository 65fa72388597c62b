// The C interface: what Python's ctypes calls, without TensorFlow.
#include "kernels.h"
#include "pool.h"

#pragma GCC visibility push(default)
extern "C" {

// Name of the path that the operations take, and the number of threads.
const char* rnnlm_path() { return rnnlm::best_path().name; }
int rnnlm_threads() { return rnnlm::threads(); }

// Whether this processor can take a path.
int rnnlm_has(const char* path) { return rnnlm::path_named(path) != nullptr; }

// Each returns 0, or 1 if this processor cannot take the path.
int rnnlm_lstm(const char* path, int threads, const rnnlm::Lstm* l) {
    const rnnlm::Path* p = rnnlm::path_named(path);
    if (p) p->lstm(*l, threads);
    return !p;
}
int rnnlm_lstm_gradient(const char* path, int threads, const rnnlm::Lstm* l, const rnnlm::LstmGradient* d) {
    const rnnlm::Path* p = rnnlm::path_named(path);
    if (p) p->lstm_gradient(*l, *d, threads);
    return !p;
}
int rnnlm_gru(const char* path, int threads, const rnnlm::Gru* l) {
    const rnnlm::Path* p = rnnlm::path_named(path);
    if (p) p->gru(*l, threads);
    return !p;
}
int rnnlm_gru_gradient(const char* path, int threads, const rnnlm::Gru* l, const rnnlm::GruGradient* d) {
    const rnnlm::Path* p = rnnlm::path_named(path);
    if (p) p->gru_gradient(*l, *d, threads);
    return !p;
}
int rnnlm_softmax(const char* path, int threads, const rnnlm::Softmax* s) {
    const rnnlm::Path* p = rnnlm::path_named(path);
    if (p) p->softmax(*s, threads);
    return !p;
}
int rnnlm_pooling(const char* path, int threads, const rnnlm::Pooling* p, const rnnlm::PoolingGradient* d) {
    const rnnlm::Path* found = rnnlm::path_named(path);
    if (!found) return 1;
    d ? found->pooling_gradient(*p, *d, threads) : found->pooling(*p, threads);
    return 0;
}
}
#pragma GCC visibility pop
