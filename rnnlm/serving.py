"""The registered model: text in, scores out.

MLflow runs this file as the model's code, with a copy of this package beside it. So a caller needs nothing of ours:

    mlflow.pyfunc.load_model("models:/demo-source@champion").predict(["A text.", "Another one."])

Every text gets one row, in the order in which the texts came.

- A language model gives `nll` (negative log-likelihood in nats of the whole text, its end token included), `tokens`
  (how many were predicted), `perplexity` and `bits_per_character`. Of an empty text the end token alone is scored;
  bits per character of no characters are null.
- A classifier gives `label`, the most probable class, and `probabilities` by class, calibrated with the temperature
  that the validation split chose. Of a text longer than the classifier's `max_tokens` the end is read, as in training.

A text is scored by itself, from a zero state, whatever stands beside it in the batch. It is cleaned as `ingest` does
it (line ends, control characters, Unicode NFC, white space at both ends); the HTML breaks and replacements of a
corpus's own configuration are left to the caller. Half a surrogate pair, which UTF-8 cannot hold, counts as U+FFFD.
"""

import math
import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel, PythonModelContext

from rnnlm.config import Corpus
from rnnlm.corpus.clean import cleaner
from rnnlm.tokens import EncodedDocuments, TextTokenizer
from rnnlm.tokens.reader import NO_LABEL

_TOKENIZED_AT_ONCE = 256  # texts whose tokens are Python objects at a time

# The cleaning that depends on no configuration. A corpus must name files; these are never read.
_clean = cleaner(Corpus(files=["-"]))


class TextModel(PythonModel):
    """A language model or a classifier that takes text; which of both the checkpoint says."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint and build its model.

        Raises:
            DataError: If the checkpoint's folder is not whole.
        """
        # A file in the caller's home folder may name another backend, and TensorFlow comes with the first import.
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        from rnnlm.model.checkpoint import Checkpoint

        folder = Path(context.artifacts["checkpoint"])
        checkpoint = Checkpoint.load(folder)
        self.labels, self.temperature = checkpoint.description.labels, checkpoint.description.temperature
        self.model = checkpoint.build()
        self.tokenizer = TextTokenizer.load(folder / "tokenizer.json")

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: list[str],
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Score each text; the module's text says what a row holds.

        Args:
            context: MLflow's; all that is needed of it was read by `load_context`.
            model_input: The texts.
            params: MLflow's; there are none.
        """
        from rnnlm.model.classifier import Classifier

        texts = [_clean(_whole_characters(text)) for text in model_input]
        if isinstance(self.model, Classifier):
            return self._classify(texts)
        return self._score(texts)

    def _score(self, texts: list[str]) -> list[dict[str, Any]]:
        from rnnlm.evaluation.language_model import score_documents

        # Running text has no <bos>: its first token is predicted after the <eos> of what came before, so that each
        # text stands by itself instead of going on with the one before it in the batch.
        bos, eos = self.tokenizer.bos, self.tokenizer.eos
        start = eos if bos is None else bos
        documents = encode(self.tokenizer, texts, before=[eos] if bos is None else [])
        scores = score_documents(self.model, documents, bos=start, eos=eos)
        return [
            {
                "nll": float(nll),
                "tokens": int(tokens),
                "perplexity": math.exp(min(nll / tokens, 700.0)),  # float64 ends at exp(709)
                "bits_per_character": float(nll / math.log(2) / characters) if characters else None,
            }
            for nll, tokens, characters in zip(scores.nll, scores.tokens, scores.n_characters, strict=True)
        ]

    def _classify(self, texts: list[str]) -> list[dict[str, Any]]:
        from rnnlm.evaluation.calibration import with_temperature
        from rnnlm.training.classifier import predict

        probabilities = predict(self.model, encode(self.tokenizer, texts))
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probabilities": {label: float(value) for label, value in zip(self.labels, row, strict=True)},
            }
            for row in with_temperature(probabilities, self.temperature)
        ]


# MLflow would make the output's schema of it, and warn that it cannot: rnnlm.registry declares what a row holds.
del TextModel.predict.__annotations__["return"]


def encode(tokenizer: TextTokenizer, texts: list[str], before: list[int] | None = None) -> EncodedDocuments:
    """Encode texts as the tokenize step does, in memory and without labels.

    Args:
        tokenizer: The checkpoint's tokenizer.
        texts: Cleaned texts.
        before: Tokens that stand before each text's own.
    """
    ids = [
        np.array([*(before or []), *tokens], np.uint32)
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        for tokens in tokenizer.encode(texts[start : start + _TOKENIZED_AT_ONCE])
    ]
    return EncodedDocuments(
        ids=np.concatenate(ids) if ids else np.zeros(0, np.uint32),
        offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
        labels=np.full(len(texts), NO_LABEL, np.int16),
        n_characters=np.array([len(text) for text in texts], np.int64),
        n_bytes=np.array([len(text.encode()) for text in texts], np.int64),
        n_words=np.array([len(text.split()) for text in texts], np.int64),
        document_ids=np.array([str(place) for place in range(len(texts))], object),
    )


def _whole_characters(text: str) -> str:
    """Join the two halves of surrogate pairs, and replace halves that stand alone: JSON can carry both."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


mlflow.models.set_model(TextModel())
