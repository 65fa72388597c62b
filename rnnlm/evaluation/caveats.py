"""What a reader has to know of the data before the scores mean anything: what was left out, what no token tells."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import listed
from rnnlm.evaluation.enough import counted
from rnnlm.experiment import Comparison, Validation
from rnnlm.plan import Plan
from rnnlm.refs import CellId, DocumentsRef, ScoreRef, TokensRef
from rnnlm.settings import Corpus, Tokenizer

# A vocabulary of the 10,000 most frequent words leaves out 3 to 8 % of an English text, and up to 15 % of one in a
# language of many word forms. One in five is more than a choice of words: the text is in another language or script
# than the vocabulary, and few sentences are without a hole.
MANY_UNKNOWN = 0.2
# Share of the documents that are left out without a word in the verdict.
TRIFLE = 0.01


def shared_start_sentence(cells: Plan) -> str:
    """Say that models with several seeds start from one language model. Return nothing if they do not.

    Args:
        cells: All cells of the comparison.
    """
    of_labels = [spec for spec in cells.values() if spec.id.task != "language_model"]
    needed = {(need, spec.id.seed) for spec in of_labels for need in spec.needs if isinstance(need, CellId)}
    starts = [need for need, _ in needed if need.task == "language_model"]
    if len(set(starts)) == len(starts):
        return ""
    return (
        "All seeds start from the same language model of the target text. What another one would give is not known "
        "(comparison.seeds_language_model)."
    )


def mean_sentence(scores: Sequence[ScoreRef]) -> str:
    """Say what the weighted mean is made of, and with which shares. Return nothing if there is none.

    Args:
        scores: All cells.
    """
    prefix, shares = "valid/share_", dict[int, list[dict[str, float]]]()
    for score in scores:
        if of_parts := {name.removeprefix(prefix): n for name, n in score.metrics.items() if name.startswith(prefix)}:
            shares.setdefault(score.labels, []).append(of_parts)
    if not shares:
        return ""
    parts = list(next(iter(shares.values()))[0])
    of_labels = [
        f"{listed([f'{100 * fmean(one[part] for one in of_seeds):.0f}' for part in parts])} % with {labels:,} labels"
        for labels, of_seeds in sorted(shares.items())
    ]
    titles = listed([arm_named(part).title for part in parts])
    return f"The weighted mean is one of {titles}; shares: {', '.join(of_labels)}."


def validation_sentence(ways: Mapping[int, Validation]) -> str:
    """Say which documents chose the models of the target task. Return nothing if there are none.

    Args:
        ways: How models are chosen, by their number of labels.
    """
    if not ways:
        return ""
    if uncounted := max((way.documents for way in ways.values() if way.way == "split"), default=0):
        return (
            f"Numbers of labels leave out the {uncounted:,} labelled validation documents that chose each model "
            "(comparison.validation: split)."
        )
    said = "A number of labels counts all labelled documents of the target that a model was trained or chosen on."
    if crossed := [f"{labels:,}" for labels, way in ways.items() if way.way == "cross-validation"]:
        said += f" With {' and '.join(crossed)} labels, cross-validation chose."
    if held_out := [(labels, way.documents) for labels, way in ways.items() if way.way == "held out"]:
        (labels, number), *more = held_out
        others = "".join(f", with {labels:,} labels, {number:,}" for labels, number in more)
        said += f" With {labels:,} labels, {number:,} of them chose{others}; nothing was trained on these."
    return said


def added_seeds_sentence(comparison: Comparison, *, stopped: bool) -> str:
    """Say that seeds were added while comparisons were open. Return nothing if their number was fixed.

    Args:
        comparison: The comparison.
        stopped: Whether it ended because its minutes were used up.
    """
    if not comparison.looks:
        return ""
    said = (
        f"Seeds were added where the answer was open: {comparison.looks[0]} at first, at most {comparison.looks[-1]}. "
        "Intervals and claims allow for the repeated looks."
    )
    if stopped:
        said += (
            f" Then the limit of {comparison.minutes:g} minutes (comparison.minutes) was reached. More seeds might "
            "decide what is open."
        )
    return said


def unknown_sentences(source: TokensRef, target: TokensRef, own: Tokenizer | None) -> list[str]:
    """Say where many tokens are unknown, and what to do.

    Args:
        source: The source's tokens.
        target: The target's tokens.
        own: The target's own tokenizer; None if it has the source's.
    """
    said = []
    every = "one that knows every text (kind: bpe, unigram or byte)"
    if (share := unknown_share(source)) > MANY_UNKNOWN:
        said.append(
            f"{100 * share:.1f} % of the source's tokens are unknown to its tokenizer: the source model learns little "
            f"of its text. Give source.tokenizer a larger vocabulary_size, or choose {every}."
        )
    if (share := unknown_share(target)) > MANY_UNKNOWN:
        if own is None:
            whose = "the source's tokenizer, which the target shares"
            remedy = f"Give the target a tokenizer of its own (target.tokenizer), or the source {every}."
        else:
            whose = "the target's tokenizer"
            remedy = f"Give target.tokenizer a larger vocabulary_size, or choose {every}."
        said.append(
            f"{100 * share:.1f} % of the target's tokens are unknown to {whose}: the models see little of the text, "
            f"and the scores say little about transfer. {remedy}"
        )
    return said


def unknown_share(tokens: TokensRef) -> float:
    """Return the share of the unknown among all tokens."""
    return sum(tokens.unknown.values()) / max(1, sum(tokens.tokens.values()))


def left_out_sentences(documents: DocumentsRef, corpus: Corpus) -> list[str]:
    """Say what the target's texts lost on the way in, where it is more than a trifle or concerns the test split.

    What a setting asks for (`labels`, `exclude`) is not said: the report's table has it.

    Args:
        documents: The target's documents.
        corpus: Where they are from.
    """
    reasons = {
        "empty": "without text",
        "duplicate": "with the same text as another one of their split",
        "overlap": "with the same text as one of a later split (valid, test)",
    }
    lost = {reason: documents.dropped.get(reason, 0) for reason in reasons}
    no_documents = documents.dropped.get("junk", 0) + documents.dropped.get("blank", 0)
    read = sum(documents.documents.values()) + sum(documents.dropped.values()) - no_documents
    of_test = documents.duplicates.get("test", 0)
    seen = sum(documents.overlap.get(pair, 0) for pair in ("train+test", "valid+test"))
    said, number = [], sum(lost.values())
    if number > TRIFLE * read or (number > 0 and of_test + seen > 0):
        parts = [f"{count:,} {reasons[reason]}" for reason, count in lost.items() if count]
        said.append(f"{number:,} of the target's {read:,} documents are left out: {', '.join(parts)}.")
    given = bool(corpus.split or corpus.test or corpus.format == "aclimdb")
    if of_test and given:
        said.append(
            f"The given test split is scored without {of_test:,} of its documents: the scores are not comparable with "
            "published ones on the whole of it. target.corpus.drop_duplicates: false keeps it whole."
        )
    if seen and corpus.drop_overlap:
        said.append(
            f"{counted(seen)} of the test split {_was(seen)} in train or valid, too, and {_was(seen)} taken out there: "
            "scores of models that were trained on the splits as they are given may be higher for that."
        )
    elif seen:
        said.append(
            f"{counted(seen)} of the test split {'is' if seen == 1 else 'are'} in train or valid, too, and "
            f"{_was(seen)} kept (drop_overlap: false): the scores are higher for that."
        )
    return said


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
