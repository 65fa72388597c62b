import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import ConfigError
from rnnlm.inference.complete import distribution
from rnnlm.inference.prompt import prompt, read
from rnnlm.inference.settings import Completing
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
KINDS = ["word", "bpe", "unigram", "character", "byte", "whitespace"]
TINY = ("a b c", "c b a")  # of white space: 5 tokens with <unk> and <eos>


def log_probability(model: Trained, before: list[int], ids: list[int]) -> float:
    """Score tokens after others, by a softmax in float64 over the model's logits of all of it."""
    logits, _ = model.language_model(np.array([*before, *ids], np.int32)[:-1, None])
    logits = np.asarray(logits, np.float64)[len(before) - 1 :, 0]
    own = logits[np.arange(len(ids)), ids]
    return float((own - np.log(np.exp(logits).sum(axis=1))).sum())


def all_completions(
    model: Trained, before: list[int], length: int, length_penalty: float
) -> list[tuple[float, list[int]]]:
    """Return every completion up to a length with its log-probability, the best first."""
    tokenizer = model.tokenizer
    tokens = [i for i in range(tokenizer.size) if i not in tokenizer.special]
    found = [
        (log_probability(model, before, [*ids, tokenizer.eos]), [*ids, tokenizer.eos])
        for n in range(length)
        for ids in itertools.product(tokens, repeat=n)
    ]
    whole = itertools.product(tokens, repeat=length)
    found += [(log_probability(model, before, list(ids)), list(ids)) for ids in whole]
    return sorted(found, key=lambda one: -one[0] / len(one[1]) ** length_penalty)


@pytest.mark.parametrize(("cell", "softmax"), [("lstm", "exact"), ("gru", "exact")])
@pytest.mark.parametrize(("prefix", "length_penalty"), [("", 0.0), ("a", 1.0), ("b c ", 0.6)])
def test_a_full_search_finds_the_best_of_all(
    trained: Make, cell: str, softmax: str, prefix: str, length_penalty: float
) -> None:
    model = trained("whitespace", cell, softmax, TINY)
    before = [model.tokenizer.eos, *model.tokenizer.encode([prefix])[0][:-1]]
    wanted = all_completions(model, before, 3, length_penalty)[:12]
    found = model.completer.complete(prefix, Completing(max_tokens=3, n=12, beams=256, length_penalty=length_penalty))
    assert [one.log_probability for one in found] == pytest.approx([score for score, _ in wanted], abs=1e-4)
    for one, (_, ids) in zip(found, wanted, strict=True):
        words = [model.tokenizer.tokens[i] for i in ids if i != model.tokenizer.eos]
        assert one.completion.split() == words
        assert (one.tokens, one.ended) == (len(ids), ids[-1] == model.tokenizer.eos)
        assert one.text == prefix + one.completion
        assert one.text.split() == prefix.split() + words


def test_a_search_gives_fewer_where_there_are_no_more(trained: Make) -> None:
    model = trained("whitespace", texts=TINY)
    found = model.completer.complete("a", Completing(max_tokens=1, n=200))
    assert sorted(one.completion for one in found) == ["", " a", " b", " c"]


def test_one_beam_takes_the_likeliest_token_each_time(trained: Make) -> None:
    model = trained("character")
    before = list(model.tokenizer.encode(["the film"])[0][:-1])
    wanted: list[int] = []
    for _ in range(5):
        session = model.reader.empty().feed(before + wanted)
        of_next = session.log_probabilities[0].copy()
        of_next[list(model.tokenizer.special)] = -np.inf
        wanted.append(int(of_next.argmax()))
    # It ends nowhere before, for the end is searched for too.
    found = model.completer.complete("the film", Completing(max_tokens=5, n=1, beams=1, length_penalty=0.0))
    ends = [log_probability(model, before, [*wanted[:n], model.tokenizer.eos]) for n in range(5)]
    best = max([*ends, log_probability(model, before, wanted)])
    assert found[0].log_probability == pytest.approx(best, abs=1e-4)


def test_an_adaptive_softmax_completes_too(trained: Make, small_groups: None) -> None:
    model = trained("word", softmax="adaptive")
    (found,) = model.completer.complete("the film", Completing(max_tokens=1, beams=1))
    before = list(model.tokenizer.encode(["the film"])[0][:-1])
    allowed = [i for i in range(model.tokenizer.size) if i not in model.tokenizer.special - {model.tokenizer.eos}]
    assert found.log_probability == pytest.approx(max(log_probability(model, before, [i]) for i in allowed), abs=1e-4)


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 1.0},
        {"temperature": 0.5},
        {"temperature": 2.0, "top_k": 5},
        {"temperature": 1.0, "top_p": 0.6},
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_probable(trained: Make, how: dict[str, Any]) -> None:
    model, draws = trained("whitespace"), 0
    session = model.reader.start().feed("the film")
    counts = dict.fromkeys(range(model.tokenizer.size), 0)
    of = {token: i for i, token in enumerate(model.tokenizer.tokens)} | {"": model.tokenizer.eos}
    for seed in range(12):
        for one in model.completer.complete("the film", Completing(max_tokens=1, n=250, seed=seed, **how)):
            counts[of[one.completion.strip()]] += 1
            draws += 1
    # By hand: what may come, to the power of the inverse temperature; then the cuts.
    shares = np.exp(session.log_probabilities[0].astype(np.float64)) ** (1 / how["temperature"])
    shares[model.tokenizer.unk] = 0.0
    order = np.argsort(-shares)
    if "top_k" in how:
        shares[order[how["top_k"] :]] = 0.0
    shares /= shares.sum()
    if "top_p" in how:
        needed = int(np.searchsorted(np.cumsum(shares[order]), how["top_p"])) + 1
        shares[order[needed:]] = 0.0
        shares /= shares.sum()
    for token, share in enumerate(shares):
        assert abs(counts[token] / draws - share) <= 4.5 * np.sqrt(share * (1 - share) / draws) + 1e-9


@given(
    st.lists(st.integers(-2_000, 0).map(lambda hundredths: hundredths / 100), min_size=2, max_size=30),
    st.floats(0.05, 5),
    st.integers(0, 40),
    st.floats(0.01, 1),
    st.data(),
)
def test_what_is_drawn_from_is_a_distribution_over_the_likeliest(
    scores: list[float], temperature: float, top_k: int, top_p: float, data: st.DataObject
) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)).filter(any)))
    values = np.array(scores, np.float32)
    how = Completing(temperature=temperature, top_k=top_k, top_p=top_p)
    shares = distribution(values, mask, how)
    kept = shares > 0
    assert shares.sum() == pytest.approx(1.0)
    assert not kept[~mask].any()
    assert kept.sum() <= (top_k or len(scores))
    assert values[kept].max() == pytest.approx(values[mask].max())
    left_out = mask & ~kept
    if left_out.any() and kept.any():
        underflown = np.exp((values[left_out].max() - values[mask].max()) / temperature) < 1e-300
        assert underflown or values[kept].min() >= values[left_out].max()
    if not top_k and top_p < 1.0:
        whole = distribution(values, mask, Completing(temperature=temperature))
        smallest = whole[kept].min()
        # Without the last one it would not be enough.
        assert whole[kept].sum() >= top_p - 1e-9
        assert whole[kept].sum() - smallest < top_p + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_text(trained: Make, kind: str) -> None:
    complete = trained(kind).completer.complete
    how = {"max_tokens": 12, "temperature": 1.5}
    first = complete("the film", Completing(n=3, seed=5, **how))
    assert [one.text for one in complete("the film", Completing(n=3, seed=5, **how))] == [one.text for one in first]
    assert [one.text for one in complete("the film", Completing(n=2, seed=5, **how))] == [one.text for one in first[:2]]
    others = complete("the film", Completing(n=3, seed=6, **how))
    assert [one.text for one in others] != [one.text for one in first]
    assert len({one.text for one in first}) > 1


@settings(max_examples=25)
@given(st.text(st.characters()), st.integers(1, 6), st.sampled_from([0.0, 1.0, 3.0]), st.integers(0, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_any_prefix_is_kept_and_completed_with_whole_text(
    trained: Make, kind: str, prefix: str, tokens: int, temperature: float, seed: int
) -> None:
    model = trained(kind)
    how = Completing(max_tokens=tokens, n=2, beams=2, temperature=temperature, seed=seed)
    whole = prefix.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    for one in model.completer.complete(prefix, how):
        assert one.text == whole + one.completion
        one.text.encode()
        # The pieces in which the beginning of a half word is written do not count.
        assert 1 <= one.tokens <= tokens + len(prompt(model.tokenizer, prefix).begin)
        assert one.ended or one.tokens >= tokens
        assert not any(token in one.completion for token in ("<unk>", "<pad>", "<bos>", "<eos>"))
        assert one.log_probability < 0


@pytest.mark.parametrize("kind", ["character", "byte"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_log_probability_is_the_models_own(trained: Make, kind: str, temperature: float) -> None:
    model = trained(kind)
    how = Completing(max_tokens=8, n=3, temperature=temperature, top_k=9 if temperature else 0)
    for one in model.completer.complete("the film ", how):
        # Character by character there is one way only to write a text.
        parts = [bytes([byte]) for byte in one.completion.encode()]
        parts = parts if kind == "byte" else [character.encode() for character in one.completion]
        ids = [model.tokenizer.written.index(part) for part in parts] + [model.tokenizer.eos] * one.ended
        before = [*model.tokenizer.encode(["the film"])[0][:-1], *model.tokenizer.encode([" "])[0][1:-1]]
        assert one.log_probability == pytest.approx(log_probability(model, before, ids), abs=1e-4)


def test_a_half_word_is_completed(trained: Make) -> None:
    model = trained("word")
    found = model.completer.complete("The film was a Deligh", Completing(max_tokens=1, n=5))
    assert [one.text for one in found] == ["The film was a Delight"]
    assert {one.text for one in model.completer.complete("the fi", Completing(max_tokens=1, n=9))} == {
        "the film",
        "the films",
        "the fine",
    }
    # Of a word with which none begins, nothing is expected.
    assert prompt(model.tokenizer, "the zzz").begin == b""
    assert prompt(model.tokenizer, "the fi ").begin == b""


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_half_word_goes_on_as_the_whole_word_is_written(trained: Make, kind: str, temperature: float) -> None:
    model = trained(kind)
    # Read as pieces, it would stay in pieces.
    begun = prompt(model.tokenizer, "The fil")
    assert begun.begin == b" fil"
    assert begun.ids == read(model.tokenizer, "the")
    for one in model.completer.complete("The fil", Completing(max_tokens=2, n=20, temperature=temperature)):
        assert one.text == f"The fil{one.completion}"


def test_all_ways_to_write_a_half_word_are_weighed(trained: Make) -> None:
    model = trained("bpe")
    how = Completing(max_tokens=1, n=256, length_penalty=0.0)
    found = model.completer.complete("The fil", how)
    before = list(prompt(model.tokenizer, "The fil").ids)
    written, wanted = model.tokenizer.written, dict[str, float]()

    def ways(ids: list[int], rest: bytes) -> None:
        for i, token in enumerate(written):
            if token and rest.startswith(token) and rest != token:
                ways([*ids, i], rest[len(token) :])
            elif token and token.startswith(rest):
                text = b"".join(written[j] or b"" for j in [*ids, i]).decode()
                score = log_probability(model, before, [*ids, i])
                wanted[text] = max(score, wanted.get(text, -np.inf))

    ways([], b" fil")
    best = sorted(wanted.items(), key=lambda item: -item[1])
    assert [f" fil{one.completion}" for one in found[:3]] == [text for text, _ in best[:3]]
    assert [one.log_probability for one in found[:3]] == pytest.approx([score for _, score in best[:3]], abs=1e-4)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_space_at_the_end_is_part_of_the_next_token(trained: Make, kind: str) -> None:
    model = trained(kind)
    with_space, without = prompt(model.tokenizer, "the film "), prompt(model.tokenizer, "the film")
    assert with_space.ids == without.ids
    for one in model.completer.complete("the film ", Completing(max_tokens=3, n=4)):
        ids = model.tokenizer.encode([one.text])[0]
        assert ids[: len(without.ids)] == list(without.ids)


@pytest.mark.parametrize(("kind", "text"), [("word", "the film."), ("whitespace", "the film ."), ("bpe", "the film .")])
def test_tokens_are_joined_as_text_is_written(trained: Make, kind: str, text: str) -> None:
    tokenizer = trained(kind).tokenizer
    ids = [i for i in tokenizer.encode([text])[0] if i not in tokenizer.special]
    assert b"".join(tokenizer.written[i] or b"" for i in ids).decode().strip() == text


def test_a_classifier_completes_nothing(classifier: Trained) -> None:
    with pytest.raises(ConfigError, match="classifier"):
        _ = classifier.completer
