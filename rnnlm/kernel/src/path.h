// One path: included by a file that is compiled for its instructions and defines PATH and what it is called.
#include "gru.h"
#include "kernels.h"
#include "logits.h"
#include "lstm.h"
#include "pooling.h"
#include "softmax.h"

namespace rnnlm {
const Path PATH = {NAME, LANES, lstm, lstm_gradient, gru, gru_gradient, softmax, logits, pooling, pooling_gradient};
}  // namespace rnnlm
