"""fastai's models in use: `predict` and `get_preds` of a text classifier, `predict` of a language model.

    python -m benchmarks.peers.fastai_serving TASK

fastai's own learners with its default tokenizer (spaCy's, in this process), data blocks and AWD_LSTM, random weights.
"""

import contextlib
import importlib.metadata
import io
import json
import time
import warnings

import pandas as pd
import torch
from fastai.text.all import (
    AWD_LSTM,
    TextDataLoaders,
    awd_lstm_clas_config,
    awd_lstm_lm_config,
    language_model_learner,
    text_classifier_learner,
)

from benchmarks.serving.task import Serving, lexicon, read, texts


def main() -> None:
    """Measure."""
    warnings.simplefilter("ignore")
    task = read()
    torch.manual_seed(1)
    sizes = {"emb_sz": task.embedding, "n_hid": task.hidden, "n_layers": task.layers}
    # Every word is in it, so that the vocabulary is whole.
    words = lexicon(task)
    known = [" ".join(words[i : i + task.words]) for i in range(0, len(words), task.words)]
    table = pd.DataFrame({"text": known, "label": ["bad", "good"] * (len(known) // 2)})
    with contextlib.redirect_stdout(io.StringIO()):
        rates = classifier_rates(task, table, sizes)
        seconds = completion_seconds(task, table, sizes)
    versions = {name: importlib.metadata.version(name) for name in ("fastai", "torch")}
    print(json.dumps({"rates": rates, "seconds": seconds, "versions": versions}))


def classifier_rates(task: Serving, table: pd.DataFrame, sizes: dict[str, int]) -> dict[str, float]:
    """Return the texts a second."""
    data = TextDataLoaders.from_df(
        table,
        text_col="text",
        label_col="label",
        valid_pct=0.2,
        seed=1,
        bs=16,
        text_vocab=None,
        min_freq=1,
        num_workers=0,
    )
    learner = text_classifier_learner(
        data, AWD_LSTM, pretrained=False, config=awd_lstm_clas_config | sizes, max_len=task.words
    )
    given = texts(task, task.texts, task.words, seed=1)
    rates = {}
    with learner.no_bar(), learner.no_logging():
        learner.predict(given[0])
        begin = time.perf_counter()
        for text in given:
            learner.predict(text)
        rates["predict, a text a call"] = task.texts / (time.perf_counter() - begin)
        begin = time.perf_counter()
        learner.get_preds(dl=data.test_dl(given, num_workers=0))
        rates["get_preds, all in one call"] = task.texts / (time.perf_counter() - begin)
    return rates


def completion_seconds(task: Serving, table: pd.DataFrame, sizes: dict[str, int]) -> dict[str, list[float]]:
    """Return the seconds of each completion."""
    data = TextDataLoaders.from_df(table, text_col="text", is_lm=True, valid_pct=0.2, seed=1, bs=4, num_workers=0)
    learner = language_model_learner(data, AWD_LSTM, pretrained=False, config=awd_lstm_lm_config | sizes)
    taken = []
    with learner.no_bar(), learner.no_logging():
        for prefix in texts(task, task.calls + 5, task.prefix, seed=2):
            begin = time.perf_counter()
            learner.predict(prefix, n_words=task.completed)
            taken.append(time.perf_counter() - begin)
    return {f"{task.completed} words, predict (drawn)": taken[5:]}


if __name__ == "__main__":
    main()
