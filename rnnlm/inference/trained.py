"""A trained model, loaded from disk and ready to use."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from rnnlm.errors import ConfigError, DataError
from rnnlm.inference.complete import Completer
from rnnlm.inference.lexicon import Lexicon
from rnnlm.inference.session import Reader
from rnnlm.model.checkpoint import Checkpoint, Description
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.store import made_anew
from rnnlm.targets import TARGETS
from rnnlm.tokens import TextTokenizer


@dataclass(frozen=True)
class Trained:
    """A model with its tokenizer.

    Attributes:
        description: The checkpoint's description.
        tokenizer: The tokenizer.
        model: The model.
    """

    description: Description
    tokenizer: TextTokenizer
    model: LanguageModel | TargetModel = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> "Trained":
        """Read a checkpoint and build its model.

        Raises:
            DataError: If the folder is not complete, or its files do not belong together.
        """
        checkpoint, tokenizer = Checkpoint.load(folder), TextTokenizer.load(folder / "tokenizer.json")
        expected = checkpoint.description.vocabulary_size
        if tokenizer.size != expected:
            raise DataError(
                f"the tokenizer has {tokenizer.size:,} tokens, and the model {expected:,}",
                where=str(folder),
                remedy=made_anew(folder),
            )
        return cls(checkpoint.description, tokenizer, checkpoint.build())

    def target_model(self, kind: str) -> TargetModel:
        """Return this model as one of a target task.

        Args:
            kind: What such models are called: classifier, regressor, tagger.

        Raises:
            ConfigError: If it is another model.
        """
        if not isinstance(self.model, TargetModel) or self.description.kind != kind:
            raise self._another(f"a {kind}")
        return self.model

    @property
    def language_model(self) -> LanguageModel:
        """This model as a language model.

        Raises:
            ConfigError: If it is a model of a target task.
        """
        if not isinstance(self.model, LanguageModel):
            raise self._another("a language model")
        return self.model

    def _another(self, wanted: str) -> ConfigError:
        kind = self.description.kind
        answers = TARGETS[kind].use if kind in TARGETS else "score, complete, rescore, correct"
        return ConfigError(
            f"{wanted} is needed, but this is a {kind.replace('_', ' ')}",
            where="task",
            remedy=f"A {kind.replace('_', ' ')} answers: {answers}.",
        )

    @functools.cached_property
    def reader(self) -> Reader:
        """The language model in the middle of a text."""
        return Reader(self.language_model, self.tokenizer)

    @functools.cached_property
    def completer(self) -> Completer:
        """The language model, ready to continue a text."""
        return Completer(self.reader)

    @functools.cached_property
    def lexicon(self) -> Lexicon:
        """The words of the vocabulary.

        Raises:
            ConfigError: If the tokens are not words.
        """
        if not self.tokenizer.has_whole_words:
            raise ConfigError(
                "the tokens of this model are no words, among which a word could be looked for",
                where="words",
                remedy="Pass the correct words, the most frequent first.",
            )
        return Lexicon.of(token for i, token in enumerate(self.tokenizer.tokens) if i not in self.tokenizer.special)
