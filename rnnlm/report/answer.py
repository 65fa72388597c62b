"""What a reader sees first: the page, Prefect's artifact and the terminal say the same."""

from typing import NamedTuple

from rnnlm.evaluation.comparison import verdict_sentences
from rnnlm.evaluation.recommendation import recommendation_sentence
from rnnlm.evaluation.summary import Statement, answers
from rnnlm.evaluation.verdict import Verdict


class Answer(NamedTuple):
    """The sentences of a verdict by what they are for.

    Attributes:
        warnings: What has to be read before the answer.
        answers: What to use, and what transfer brought.
        notes: What else there is to know.
    """

    warnings: list[str]
    answers: list[Statement]
    notes: list[str]


def answer_of(verdict: Verdict) -> Answer:
    """Return the sentences of a verdict by what they are for.

    Sentences that list arms by their outcomes are left out: there are tables of them.
    """
    recommended = recommendation_sentence(verdict.recommended)
    of_tables = set(verdict_sentences(verdict.gains, verdict.beyond, verdict.tradition, recommended))
    said = answers(verdict.gains, verdict.beyond, verdict.recommended)
    notes = [sentence for sentence in verdict.sentences[verdict.warnings :] if sentence not in of_tables]
    return Answer(verdict.sentences[: verdict.warnings], said, notes)
