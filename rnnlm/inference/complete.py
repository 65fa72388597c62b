"""Completion: how a text may go on.

Two ways, as the temperature says.

- At 0 the best continuations are searched for with beams: at each step the most probable beginnings are kept, all their
  next tokens are looked at, and the best of those are kept again. Of two completions the shorter is nearly always the
  likelier, so they are ranked by log-probability over a power of their length (Wu et al. 2016, without the constant).
- Above 0 tokens are drawn: from p^(1/temperature), cut down to the `top_k` most probable tokens, and to the fewest that
  together have `top_p` of the probability (Holtzman et al. 2020).

Neither writes `<unk>`, `<pad>` or `<bos>`, nor half a character. A completion ends with `<eos>`, or after `max_tokens`.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from rnnlm.inference.characters import WHOLE, Characters
from rnnlm.inference.prompt import Prompt, prompt, written
from rnnlm.inference.session import Reader, Session
from rnnlm.inference.settings import Completing
from rnnlm.inference.texts import whole_characters


@dataclass(frozen=True)
class Completion:
    """One way in which a text may go on.

    Attributes:
        text: The prefix as it was given, and the completion.
        completion: What was written.
        log_probability: Of what was written, in nats, as the model has it: temperature and cuts change what is drawn,
            not this. Where a half word was completed, of the whole word.
        tokens: How many tokens were written, `<eos>` included.
        ended: Whether the text ended there (`<eos>`), or might go on.
    """

    text: str
    completion: str
    log_probability: float
    tokens: int
    ended: bool


@dataclass(frozen=True)
class _Written:
    """A beginning of a completion: its tokens, their log-probability, and where in a character they stop."""

    ids: tuple[int, ...] = ()
    log_probability: float = 0.0
    state: int = WHOLE

    def rank(self, length_penalty: float) -> float:
        """Give what completions of different lengths are compared by."""
        return float(self.log_probability / len(self.ids) ** length_penalty)

    def then(self, token: int, log_probability: float, characters: Characters) -> "_Written":
        """Write one token more, of this log-probability."""
        return _Written((*self.ids, token), self.log_probability + log_probability, characters.after(self.state, token))


@dataclass(frozen=True)
class Completer:
    """Completes texts with a language model.

    Attributes:
        reader: The language model.
    """

    reader: Reader = field(repr=False)

    @functools.cached_property
    def characters(self) -> Characters:
        """What the vocabulary may write."""
        return Characters(self.reader.tokenizer)

    def complete(self, prefix: str, how: Completing) -> list[Completion]:
        """Complete a text.

        Args:
            prefix: Any text; with none, a document begins.
            how: How many completions, how long, and how they are found.

        Returns:
            As many as were asked for: searched ones the best first (fewer, where no more exist), drawn ones as drawn.
        """
        prefix = whole_characters(prefix)
        begun = prompt(self.reader.tokenizer, prefix)
        session = self.reader.empty().feed(begun.ids)
        found = self._drawn(session, begun, how) if how.temperature else self._searched(session, begun, how)
        eos = self.reader.tokenizer.eos
        completions = []
        for one in found:
            text = written(self.reader.tokenizer, begun, one.ids)
            completions.append(
                Completion(prefix + text, text, one.log_probability, len(one.ids), one.ids[-1:] == (eos,))
            )
        return completions

    def _searched(self, session: Session, begun: Prompt, how: Completing) -> list[_Written]:
        """Search with beams: (beams x vocabulary) continuations at each step."""
        eos, live, ended = self.reader.tokenizer.eos, [_Written()], list[_Written]()
        beams = max(how.beams, how.n)

        def best(found: list[_Written]) -> list[_Written]:
            return sorted(found, key=lambda one: -one.rank(how.length_penalty))[: how.n]

        for allowed in self._steps(begun, how):
            masks = np.stack([allowed(one.state) for one in live])
            before = np.array([one.log_probability for one in live])
            totals = np.where(masks, session.log_probabilities, -np.inf) + before[:, None]
            ended += [
                one.then(eos, float(session.log_probabilities[row, eos]), self.characters)
                for row, one in enumerate(live)
                if masks[row, eos]
            ]
            ended = best(ended)
            totals[:, eos] = -np.inf
            rows, tokens = np.divmod(_largest(totals.ravel(), beams), totals.shape[1])
            live = [
                live[row].then(int(token), float(session.log_probabilities[row, token]), self.characters)
                for row, token in zip(rows, tokens, strict=True)
            ]
            # What is added can only lower a sum; spread over more tokens than this it will not be.
            hope = live[0].log_probability / how.max_tokens**how.length_penalty if live else -np.inf
            if len(ended) == how.n and hope <= ended[-1].rank(how.length_penalty):
                return ended
            if not live or len(live[0].ids) == how.max_tokens:
                break
            session = session.step(tokens.tolist(), rows.tolist())
        return best(ended + live)

    def _drawn(self, session: Session, begun: Prompt, how: Completing) -> list[_Written]:
        """Draw each completion with a generator of its own: the first are the same, however many are asked for."""
        eos, found = self.reader.tokenizer.eos, [_Written()] * how.n
        generators = [np.random.default_rng([how.seed, n]) for n in range(how.n)]
        live, rows = list(range(how.n)), [0] * how.n
        for allowed in self._steps(begun, how):
            for n, row in zip(live, rows, strict=True):
                of_row = session.log_probabilities[row]
                token = _draw(distribution(of_row, allowed(found[n].state), how), generators[n].random())
                found[n] = found[n].then(token, float(of_row[token]), self.characters)
            going_on = [(n, row) for n, row in zip(live, rows, strict=True) if found[n].ids[-1] != eos]
            if not going_on or len(found[going_on[0][0]].ids) == how.max_tokens:
                break
            session = session.step([found[n].ids[-1] for n, _ in going_on], [row for _, row in going_on])
            live, rows = [n for n, _ in going_on], list(range(len(going_on)))
        return found

    def _steps(self, begun: Prompt, how: Completing) -> Iterator[Callable[[int], np.ndarray]]:
        """Give for each token what tells which tokens may come, by where in a character the text stands."""
        for n in range(how.max_tokens):
            left = how.max_tokens - n - 1
            yield functools.partial(self.characters.allowed, left=left, begin=begun.begin if n == 0 else b"")


def distribution(log_probabilities: np.ndarray, mask: np.ndarray, how: Completing) -> np.ndarray:
    """Give what a token is drawn from: (vocabulary,) float64, in sum 1.

    Args:
        log_probabilities: (vocabulary,) the model's.
        mask: (vocabulary,) which tokens may come; one at least.
        how: Temperature, above 0, `top_k` and `top_p`.
    """
    scores = np.where(mask, log_probabilities.astype(np.float64) / how.temperature, -np.inf)
    if 0 < how.top_k < int(mask.sum()):
        left_out = np.ones(len(scores), bool)
        left_out[_largest(scores, how.top_k)] = False
        scores[left_out] = -np.inf
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    if how.top_p < 1.0:
        order = np.argsort(-shares, kind="stable")
        # All before which less than top_p has been gathered: the most probable one is always kept.
        before = np.cumsum(shares[order]) - shares[order]
        shares[order[before >= how.top_p]] = 0.0
        shares /= shares.sum()
    return np.asarray(shares)


def _draw(shares: np.ndarray, uniform: float) -> int:
    """Give the token at which the shares, added up, pass a number between 0 and 1."""
    sums = np.cumsum(shares)
    # Rounding may give the whole sum, behind which there is no token.
    return min(int(np.searchsorted(sums, uniform * sums[-1], side="right")), int(np.flatnonzero(shares)[-1]))


def _largest(values: np.ndarray, most: int) -> np.ndarray:
    """Give the places of the largest finite values, the largest first, of equal ones the first."""
    if most < len(values):
        least = np.partition(values, len(values) - most)[len(values) - most]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    places = places[np.isfinite(values[places])]
    return np.asarray(places[np.argsort(-values[places], kind="stable")][:most])
