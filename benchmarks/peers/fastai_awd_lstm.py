"""fastai's AWD_LSTM language model with all its regularisers on.

    python -m benchmarks.peers.fastai_awd_lstm TASK

The model and the regularisers are fastai's own, with its default strengths: dropout of input, hidden, output and
embedding, weight drop, AR 2 and TAR 1. The loop around it is PyTorch's, with the fused optimizer, which costs less
than fastai's `Learner`. Precision bfloat16 is `torch.autocast`.
"""

import numpy as np
import torch
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config
from fastai.text.models.core import get_language_model
from torch import nn

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, measure_steps, read_task

AR, TAR = 2.0, 1.0  # fastai's TextLearner


def main() -> None:
    """Measure the training step."""
    task = read_task()
    torch.manual_seed(1)
    sizes = {"emb_sz": task.embedding, "n_hid": task.hidden, "n_layers": task.layers}
    model = get_language_model(AWD_LSTM, task.vocabulary, config=awd_lstm_lm_config | sizes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    model.train()
    model.reset()

    def step(tokens: np.ndarray, targets: np.ndarray) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=task.precision == "bfloat16"):
            logits, raw, dropped = model(torch.from_numpy(tokens))
            loss = nn.functional.cross_entropy(logits.view(-1, task.vocabulary), torch.from_numpy(targets).reshape(-1))
            # As in fastai's RNNRegularizer: in the gradient, not in the loss that is reported.
            regularised = loss + AR * dropped.float().pow(2).mean()
            regularised = regularised + TAR * (raw[:, 1:] - raw[:, :-1]).float().pow(2).mean()
        regularised.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        return float(loss)

    measure_steps(task, step, "fastai", "torch")


if __name__ == "__main__":
    main()
