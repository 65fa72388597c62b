// The C interface: what Python's ctypes calls, without TensorFlow.
#include "kernels.h"
#include "pool.h"

namespace {

template <class F>
int with(const char* path, F call) {
    const rnnlm::Path* found = rnnlm::path_named(path);
    if (found) call(*found);
    return !found;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// Names of the paths that the operations take, the second for products in bfloat16 (null if there is none), and the
// number of threads.
const char* rnnlm_path() { return rnnlm::best_path().name; }
const char* rnnlm_bfloat16_path() {
    const rnnlm::Path* path = rnnlm::best_bfloat16_path();
    return path ? path->name : nullptr;
}
int rnnlm_threads() { return rnnlm::threads(); }

// Whether this processor can take a path.
int rnnlm_has(const char* path) { return rnnlm::path_named(path) != nullptr; }

// Each returns 0, or 1 if this processor cannot take the path.
int rnnlm_lstm(const char* path, int threads, const rnnlm::Lstm* l) {
    return with(path, [&](auto& p) { p.lstm(*l, threads); });
}
int rnnlm_lstm_gradient(const char* path, int threads, const rnnlm::Lstm* l, const rnnlm::LstmGradient* d) {
    return with(path, [&](auto& p) { p.lstm_gradient(*l, *d, threads); });
}
int rnnlm_gru(const char* path, int threads, const rnnlm::Gru* l) {
    return with(path, [&](auto& p) { p.gru(*l, threads); });
}
int rnnlm_gru_gradient(const char* path, int threads, const rnnlm::Gru* l, const rnnlm::GruGradient* d) {
    return with(path, [&](auto& p) { p.gru_gradient(*l, *d, threads); });
}
int rnnlm_softmax(const char* path, int threads, const rnnlm::Softmax* s) {
    return with(path, [&](auto& p) { p.softmax(*s, threads); });
}
int rnnlm_logits(const char* path, int threads, const rnnlm::Logits* s) {
    return with(path, [&](auto& p) { p.logits(*s, threads); });
}
int rnnlm_pooling(const char* path, int threads, const rnnlm::Pooling* p, const rnnlm::PoolingGradient* d) {
    return with(path, [&](auto& found) { d ? found.pooling_gradient(*p, *d, threads) : found.pooling(*p, threads); });
}
}
#pragma GCC visibility pop
