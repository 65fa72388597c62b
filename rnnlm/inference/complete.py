"""Completion: how a text may continue.

The temperature chooses between two ways.

- At 0, a beam search looks for the best continuations. At each step it keeps the most probable beginnings, looks at all
  their next tokens, and keeps the best of those. Of two completions the shorter is nearly always the more probable one,
  so they are ranked by log-probability over a power of their length (Wu et al. 2016, without the constant).
- Above 0, tokens are drawn from p^(1/temperature), limited to the `top_k` most probable tokens, and to the fewest that
  together have `top_p` of the probability (Holtzman et al. 2020).

Neither writes `<unk>`, `<pad>`, `<bos>` or half a character. A completion ends with `<eos>`, or after `max_tokens`. The
pieces that repeat an unfinished word of the prefix (`rnnlm.inference.prompt`) do not count.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from rnnlm.inference.characters import WHOLE, Characters
from rnnlm.inference.prompt import prompt
from rnnlm.inference.session import Reader, Session
from rnnlm.inference.settings import Completing
from rnnlm.inference.texts import whole_characters
from rnnlm.seeds import stream

WAYS = 8  # ways to write the beginning of an unfinished word that are kept, for each number of tokens
PIECE = 256  # values of which the largest is found at once
NEGLIGIBLE = 7.0  # nats: a way that is a thousand times less probable than the most probable one


@dataclass(frozen=True)
class Completion:
    """One way in which a text may continue.

    Attributes:
        text: The prefix as it was given, and the completion.
        completion: What was written.
        log_probability: The model's log-probability of the completion, in nats. Temperature and limits change what is
            drawn, but not this value. If an unfinished word was completed, it is that of the whole word.
        tokens: How many tokens were written, including `<eos>` and the beginning of an unfinished word.
        ended: Whether the text ended there (`<eos>`), or might continue.
    """

    text: str
    completion: str
    log_probability: float
    tokens: int
    ended: bool


@dataclass(frozen=True)
class _Written:
    """A beginning of a completion: its tokens, their text and log-probability, and where in a character they stop."""

    ids: tuple[int, ...] = ()
    text: bytes = b""
    log_probability: float = 0.0
    state: int = WHOLE

    def rank(self, length_penalty: float) -> float:
        """Return the value by which completions of different lengths are compared."""
        return float(self.log_probability / len(self.ids) ** length_penalty)

    def then(self, token: int, log_probability: float, characters: Characters) -> "_Written":
        """Add one token with this log-probability."""
        return _Written(
            (*self.ids, token),
            self.text + (characters.written[token] or b""),
            self.log_probability + log_probability,
            characters.after(self.state, token),
        )


@dataclass(frozen=True)
class Completer:
    """Completes texts with a language model.

    Attributes:
        reader: The language model.
    """

    reader: Reader = field(repr=False)

    @functools.cached_property
    def characters(self) -> Characters:
        """The tokens that may be written."""
        return Characters(self.reader.tokenizer)

    def complete(self, prefix: str, how: Completing) -> list[Completion]:
        """Complete a text.

        Args:
            prefix: Any text. If empty, a document begins.
            how: How many completions, how long, and how they are found.

        Returns:
            The completions. Searched ones come best first (fewer if no more exist), drawn ones in the order of drawing.
        """
        prefix = whole_characters(prefix)
        begun = prompt(self.reader.tokenizer, prefix)
        session, begins = self._begins(self.reader.empty().feed(begun.ids), begun.begin)
        way = self._drawn if how.temperature else self._searched
        eos, completions = self.reader.tokenizer.eos, []
        for one in way(session, begins, begun.begin, how):
            text = one.text.decode().removeprefix(begun.given)
            ended = one.ids[-1] == eos
            completions.append(Completion(prefix + text, text, one.log_probability, len(one.ids), ended))
        return completions

    def _begins(self, session: Session, begin: bytes) -> tuple[Session, list[_Written]]:
        """Return the ways to write what a completion must begin with, all but its last token.

        There may be many, because a word that is a token can also be written in pieces. Ways that are too improbable to
        matter are left out.

        Args:
            session: The session after the prefix.
            begin: What the text must begin with. If empty, there is one way: to write nothing.
        """
        sessions, begins, front, likeliest = [session], [_Written()], [_Written()], -np.inf
        while begin and front:
            for row, one in enumerate(front):
                ends = session.log_probabilities[row, self.characters.completing(begin[len(one.text) :])]
                likeliest = max(likeliest, one.log_probability + float(np.logaddexp.reduce(ends, initial=-np.inf)))
            further = [
                (one.then(token, float(session.log_probabilities[row, token]), self.characters), row)
                for row, one in enumerate(front)
                for token in self.characters.inside(begin[len(one.text) :])
            ]
            further = sorted(further, key=lambda pair: -pair[0].log_probability)[:WAYS]
            further = [(one, row) for one, row in further if one.log_probability > likeliest - NEGLIGIBLE]
            front = [one for one, _ in further]
            if front:
                session = session.step([one.ids[-1] for one in front], [row for _, row in further])
                sessions.append(session)
                begins += front
        return Session.side_by_side(sessions), begins

    def _searched(self, session: Session, live: list[_Written], begin: bytes, how: Completing) -> list[_Written]:
        """Search with beams: (beams x vocabulary) continuations at each step."""
        eos, ended, beams = self.reader.tokenizer.eos, list[_Written](), max(how.beams, how.n)

        def best(found: list[_Written]) -> list[_Written]:
            """Return the best, each text once: a word can be written in pieces in more than one way."""
            texts: dict[tuple[bytes, bool], _Written] = {}
            for one in sorted(found, key=lambda one: -one.rank(how.length_penalty)):
                texts.setdefault((one.text, one.ids[-1] == eos), one)
            return list(texts.values())[: how.n]

        for left in reversed(range(how.max_tokens)):
            masks = np.stack([self.characters.allowed(one.state, left, begin[len(one.text) :]) for one in live])
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
            if not live or not left:
                break
            # Further tokens can only lower the sum, and no completion has more tokens than this to divide it by.
            longest = max(len(one.ids) for one in live) + left
            if len(ended) == how.n and live[0].log_probability / longest**how.length_penalty <= ended[-1].rank(
                how.length_penalty
            ):
                return ended
            session = session.step(tokens.tolist(), rows.tolist())
        return best(ended + live)

    def _drawn(self, session: Session, begins: list[_Written], begin: bytes, how: Completing) -> list[_Written]:
        """Draw each completion with its own generator: the first ones are the same for every `n`."""
        eos, generators = self.reader.tokenizer.eos, [stream(how.seed, "completion", n) for n in range(how.n)]
        masks = [self.characters.allowed(one.state, how.max_tokens - 1, begin[len(one.text) :]) for one in begins]
        totals = session.log_probabilities + np.array([[one.log_probability] for one in begins])
        # The first token is drawn together with the way in which the text before it was written.
        shares = distribution(totals.ravel(), np.concatenate(masks), how)
        rows, tokens = np.divmod([_draw(shares, generator.random()) for generator in generators], totals.shape[1])
        found = [
            begins[row].then(int(token), float(session.log_probabilities[row, token]), self.characters)
            for row, token in zip(rows, tokens, strict=True)
        ]
        rows_of = dict(enumerate(rows.tolist()))
        for left in reversed(range(how.max_tokens - 1)):
            live = [n for n in rows_of if found[n].ids[-1] != eos]
            if not live:
                break
            session = session.step([found[n].ids[-1] for n in live], [rows_of[n] for n in live])
            rows_of = {n: row for row, n in enumerate(live)}
            for n, row in rows_of.items():
                of_row = session.log_probabilities[row]
                shares = distribution(of_row, self.characters.allowed(found[n].state, left), how)
                token = _draw(shares, generators[n].random())
                found[n] = found[n].then(token, float(of_row[token]), self.characters)
        return found


def distribution(log_probabilities: np.ndarray, mask: np.ndarray, how: Completing) -> np.ndarray:
    """Return the probabilities that a token is drawn from: (vocabulary,) float64, with the sum 1.

    Args:
        log_probabilities: (vocabulary,) the model's.
        mask: (vocabulary,) which tokens may come, at least one.
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
        # Tokens are kept while the sum before them is less than top_p. The most probable one is always kept.
        before = np.cumsum(shares[order]) - shares[order]
        shares[order[before >= how.top_p]] = 0.0
        shares /= shares.sum()
    return np.asarray(shares)


def _draw(shares: np.ndarray, uniform: float) -> int:
    """Return the token at which the cumulative sum of the shares passes a number between 0 and 1."""
    sums = np.cumsum(shares)
    # Rounding may give the whole sum, and there is no token after that.
    return min(int(np.searchsorted(sums, uniform * sums[-1], side="right")), int(np.flatnonzero(shares)[-1]))


def _largest(values: np.ndarray, most: int) -> np.ndarray:
    """Return the places of the largest finite values, the largest first. Of equal values, the first one comes first."""
    # The largest of each piece are found much faster than a partition of all, and no value that is asked for is smaller
    # than as many of them.
    of_pieces = np.maximum.reduceat(values, np.arange(0, len(values), PIECE))
    if most < len(of_pieces):
        least = np.partition(of_pieces, len(of_pieces) - most)[len(of_pieces) - most]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    places = places[np.isfinite(values[places])]
    return np.asarray(places[np.argsort(-values[places], kind="stable")][:most])
