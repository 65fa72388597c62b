import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import ConfigError
from rnnlm.inference import correct as module
from rnnlm.inference.correct import correct
from rnnlm.inference.lexicon import Lexicon
from rnnlm.inference.score import score
from rnnlm.inference.settings import Correcting
from rnnlm.inference.texts import words_of
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
EASY = Correcting(penalty=4.0)


def test_misspelt_words_are_corrected_and_all_else_stays(trained: Make) -> None:
    model = trained("word")
    text = "  The flim wsa\ta DELIGTH, 1,000  fims -- it's THE edn?\n"
    found = correct(model, text, Correcting(penalty=2.0), model.lexicon)
    assert found.text == "  The film was\ta DELIGHT, 1,000  films -- it's THE end?\n"
    for word in found.words:
        assert text[word.start : word.end] == word.word
        totals = [candidate.total for candidate in word.candidates]
        assert totals == sorted(totals, reverse=True)
        assert word.candidates[0].word == word.correction


def test_a_candidate_is_worth_the_whole_sentence_without_its_penalties(
    trained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN", 100)
    model = trained("word")
    found = correct(model, "the fin film was good", Correcting(penalty=3.0, distance=2), model.lexicon)
    (looked_at,) = [word for word in found.words if word.word == "fin"]
    letters = len({letter for word in model.lexicon.ranks for letter in word})
    assert {candidate.word for candidate in looked_at.candidates} >= {"fine", "film", "fin"}
    for candidate in looked_at.candidates:
        (scored,) = score(model, [f"the {candidate.word} film was good"])
        unknown = math.log(1 + letters) * 4 if candidate.word == "fin" else 0.0
        assert candidate.log_probability == pytest.approx(-scored.nll, abs=1e-4)
        assert candidate.total == pytest.approx(-scored.nll - 3.0 * candidate.distance - unknown, abs=1e-4)
    assert {one.word: one.distance for one in looked_at.candidates}.items() >= {"fine": 1, "film": 2, "fin": 0}.items()


def test_a_known_word_stays_unless_another_fits_better_by_more_than_the_penalty(trained: Make) -> None:
    model = trained("word")
    text = "the film was fun"
    assert correct(model, text, Correcting(penalty=1e6), model.lexicon).text == text
    free = correct(model, text, Correcting(penalty=0.0), model.lexicon)
    for word in free.words:
        known = [one for one in word.candidates if one.word == word.word]
        assert not known or known[0].total <= word.candidates[0].total


def test_words_without_a_candidate_stay(trained: Make) -> None:
    model = trained("word")
    for text in ["", " ", "xylophonist", "12345 !!", "😀", "\u0000"]:
        found = correct(model, text, EASY, model.lexicon)
        assert (found.text, found.words) == (text, ())


def test_subwords_need_a_list_of_words(trained: Make) -> None:
    model = trained("bpe")
    with pytest.raises(ConfigError, match="words: "):
        _ = model.lexicon
    lexicon = Lexicon.of(["the", "film", "was", "delight"])
    found = correct(model, "the film was a deligth", Correcting(penalty=0.0), lexicon)
    assert [word.word for word in found.words] == ["deligth"]
    assert [one.word for one in found.words[0].candidates] == ["delight", "deligth"] or found.text.endswith("deligth")


def test_a_long_text_is_read_around_each_word(trained: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model, longest = trained("word"), 0
    kept = score

    def watched(trained: Trained, texts: list[str]) -> object:
        nonlocal longest
        longest = max(longest, *(len(text.split()) for text in texts))
        return kept(trained, texts)

    monkeypatch.setattr(module, "score", watched)
    text = "the film was a delight " * 40
    found = correct(model, text + "flim" + text.rstrip(), EASY, model.lexicon)
    assert "flim" not in found.text.replace("flimthe", "")
    assert longest <= 2 * module.AROUND + 1


def test_corrections_before_are_context_and_words_behind_are_as_they_were(
    trained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = trained("word"), list[str]()
    kept = score

    def watched(trained: Trained, texts: list[str]) -> object:
        seen.extend(texts)
        return kept(trained, texts)

    monkeypatch.setattr(module, "score", watched)
    correct(model, "flim, deligth.", Correcting(penalty=0.1), model.lexicon)
    assert seen == ["flim, deligth.", "film, deligth.", "film, deligth.", "film, delight."]


@settings(max_examples=40)
@given(st.text(st.characters() | st.sampled_from("film wasThe "), max_size=40))
def test_any_text_comes_back_but_for_its_words(trained: Make, text: str) -> None:
    model = trained("word")
    found = correct(model, text, EASY, model.lexicon)
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    rebuilt, end = "", 0
    for word in found.words:
        rebuilt, end = rebuilt + whole[end : word.start] + word.correction, word.end
    assert rebuilt + whole[end:] == found.text
    assert {word.word for word in found.words} <= {word for word, _ in words_of(whole)}


def test_a_classifier_corrects_nothing(classifier: Trained) -> None:
    with pytest.raises(ConfigError, match="classifier"):
        correct(classifier, "the flim", EASY, classifier.lexicon)
