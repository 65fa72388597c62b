"""PyTorch's `nn.LSTM` with tied softmax, without any regulariser but the weight decay.

    python -m benchmarks.peers.torch_lstm TASK

Precision bfloat16 is `torch.autocast`; variants: `batch first` and `time first`, the order of the LSTM's axes.
"""

import itertools

import numpy as np
import torch
from torch import nn

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, Task, measure_steps, read_task

State = tuple[torch.Tensor, torch.Tensor]


class LanguageModel(nn.Module):
    """Embedding, LSTM layers of which the last is as wide as the embedding, tied softmax with a bias."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        widths = [task.embedding] + [task.hidden] * (task.layers - 1) + [task.embedding]
        batch_first = task.variant == "batch first"
        self.embedding = nn.Embedding(task.vocabulary, task.embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.layers = nn.ModuleList(
            nn.LSTM(before, after, batch_first=batch_first) for before, after in itertools.pairwise(widths)
        )
        self.output = nn.Linear(task.embedding, task.vocabulary)
        self.output.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor, states: list[State | None]) -> tuple[torch.Tensor, list[State | None]]:
        """Return the logits of all places, and the states, from which no gradient flows back."""
        hidden = self.embedding(tokens)
        ends: list[State | None] = []
        for layer, state in zip(self.layers, states, strict=True):
            hidden, (h, c) = layer(hidden, state)
            ends.append((h.detach(), c.detach()))
        return self.output(hidden), ends


def main() -> None:
    """Measure the training step."""
    task = read_task()
    torch.manual_seed(1)
    model = LanguageModel(task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    states: list[State | None] = [None] * task.layers

    def step(tokens: np.ndarray, targets: np.ndarray) -> float:
        nonlocal states
        if task.variant == "time first":
            tokens, targets = np.ascontiguousarray(tokens.T), np.ascontiguousarray(targets.T)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=task.precision == "bfloat16"):
            logits, states = model(torch.from_numpy(tokens), states)
            loss = nn.functional.cross_entropy(logits.view(-1, task.vocabulary), torch.from_numpy(targets).reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        return float(loss)

    measure_steps(task, step, "torch")


if __name__ == "__main__":
    main()
