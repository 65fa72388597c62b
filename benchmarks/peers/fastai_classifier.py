"""Documents a second of fastai's text classifier on its AWD_LSTM encoder, in training (all weights) and in evaluation.

    python -m benchmarks.peers.fastai_classifier TASK

Model, batches and padding are fastai's own: `get_text_classifier` with the default dropouts and `SentenceEncoder` in
parts of 72 tokens, documents sorted by length by `SortedDL` and padded in front by `Pad_Chunk`. The loop around them is
PyTorch's on plain tensors, with the fused optimizer and without AR and TAR, which costs less than fastai's `Learner`.
Precision bfloat16 is `torch.autocast`.
"""

import time

import torch
from fastai.text.data import Pad_Chunk, SortedDL, TensorText
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import get_text_classifier
from torch import nn

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, Task, documents, finish, read_task

PART = 72  # tokens that fastai's SentenceEncoder reads at once


def batches(task: Task, batch: int, shuffle: bool) -> SortedDL:
    """Return the batches of a pass over all documents."""
    drawn = documents(task, 1)
    texts = [
        TensorText(part) for part in torch.from_numpy(drawn.ids).split(torch.from_numpy(drawn.offsets).diff().tolist())
    ]
    pairs = list(zip(texts, torch.from_numpy(drawn.labels), strict=True))
    return SortedDL(
        pairs,
        bs=batch,
        shuffle=shuffle,
        res=[len(text) for text in texts],
        before_batch=Pad_Chunk(seq_len=PART, decode=False),
        num_workers=0,
    )


def main() -> None:
    """Measure the classifier."""
    task = read_task()
    torch.manual_seed(1)
    sizes = {"emb_sz": task.embedding, "n_hid": task.hidden, "n_layers": task.layers}
    model = get_text_classifier(AWD_LSTM, task.vocabulary, 2, seq_len=PART, config=sizes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    training = task.part == "training"
    # In evaluation the variant says it: "64 documents" is fastai's own choice, twice the size.
    data = batches(task, task.batch if training else int(task.variant.split()[0]), shuffle=training)
    model.train(training)

    def one_pass() -> None:
        for texts, labels in data:
            with (
                torch.set_grad_enabled(training),
                torch.autocast("cpu", torch.bfloat16, enabled=task.precision == "bfloat16"),
            ):
                logits = model(texts.as_subclass(torch.Tensor))[0]
                if not training:
                    logits.float().softmax(dim=1)
                    continue
                loss = nn.functional.cross_entropy(logits, labels.as_subclass(torch.Tensor))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()

    one_pass()
    rates = []
    for _ in range(task.rounds):
        begin = time.perf_counter()
        for _ in range(task.steps):
            one_pass()
        rates.append(task.steps * task.documents / (time.perf_counter() - begin))
    finish(rates, None, "fastai", "torch")


if __name__ == "__main__":
    main()
