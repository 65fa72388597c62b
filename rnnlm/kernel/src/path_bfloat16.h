// One path with products in bfloat16, as path.h.
#include "cells_bfloat16.h"
#include "kernels.h"
#include "logits.h"
#include "pooling.h"
#include "softmax_bfloat16.h"

namespace rnnlm {
const Path PATH = {NAME, LANES, lstm_bfloat16, lstm_gradient_bfloat16, gru_bfloat16, gru_gradient_bfloat16,
                   softmax_bfloat16, logits, pooling, pooling_gradient};
}  // namespace rnnlm
