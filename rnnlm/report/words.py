"""How names and numbers are written in the page, the figures and the artifacts."""

import re
from collections.abc import Iterable

from rnnlm.arms import ARMS, arm_named
from rnnlm.evaluation.verdict import Equivalence, Gain, Verdict
from rnnlm.targets import TARGETS, Metric, measure_of, three_digits

# Scores of language models; those of target tasks are the tasks' own.
_LANGUAGE_MODEL = {
    "nll": Metric("negative log-likelihood", decimals=3),
    "perplexity": Metric("perplexity"),
    "bits_per_character": Metric("bits per character", decimals=3),
    "bits_per_byte": Metric("bits per byte", decimals=3),
    "word_perplexity": Metric("perplexity of a word"),
    "known_perplexity": Metric("perplexity without unknown words"),
    "unknown_share": Metric("unknown words", share=True),
}
# What models do, in the order of a report.
KINDS = ("language_model", *TARGETS)
METRICS: dict[str, Metric] = _LANGUAGE_MODEL | {
    name: found for target in TARGETS.values() for name, found in target.metrics.items()
}
_OTHER = Metric("", decimals=3)
LEFT_OUT = {
    "junk": "files that are not data",
    "blank": "blank rows",
    "empty": "without text",
    "duplicate": "same text as another one of the split",
    "overlap": "same text as one of a later split",
    "label": "label is not one to keep",
    "unlabelled": "no label, although labels to keep are given",
    "excluded": "excluded",
}
RUNGS = {
    "exact": "the same word",
    "normalised": "the same except for case, form or accents",
    "neighbours": "nearest shared words",
    "linear": "linear map",
    "pieces": "mean of its pieces",
    "mean": "mean of all rows",
}
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def arm(name: str) -> str:
    """Return an arm's name in words. An unknown arm keeps its own name."""
    return arm_named(name).title


def arms(verdict: Verdict) -> list[str]:
    """Return the arms of a verdict: first the known ones in their order, then the others."""
    found = list(dict.fromkeys([cell.arm for cell in verdict.cells] + [gain.arm for gain in verdict.gains]))
    return [name for name in ARMS if name in found] + [name for name in found if name not in ARMS]


def task(name: str) -> str:
    """Return a task's name in words."""
    return plain(name)


def metric(name: str) -> str:
    """Return a metric's name in words; `valid/accuracy` is the accuracy on the validation split."""
    split, slash, last = name.rpartition("/")
    words = METRICS[last].words if last in METRICS else plain(last)
    return f"{words} ({'validation' if split == 'valid' else split})" if slash else words


def plain(name: str) -> str:
    """Return a key (`target_tokens`) as words."""
    return name.replace("_", " ")


def labels(verdict: Verdict, number: int) -> str:
    """Return a label count in words: `500`, `all (9,612)`, `500 + 561` where 561 more chose the model."""
    way = verdict.validation.get(number)
    text = f"{number:,} + {way.documents:,}" if way is not None and way.way == "split" else f"{number:,}"
    return f"all ({text})" if is_all(verdict, number) else text


def is_all(verdict: Verdict, number: int) -> bool:
    """Return whether this label count is all labelled documents."""
    largest = max((cell.labels for cell in verdict.cells), default=0)
    comparison = verdict.configuration.get("comparison")
    asked = comparison.get("labels") if isinstance(comparison, dict) else None
    return number > 0 and number == largest and isinstance(asked, list | tuple) and "all" in asked


def signed(value: float, decimals: int, plus: bool = True) -> str:
    """Write a number with a real minus sign or a plus. A number that rounds to zero has no sign."""
    text = f"{abs(value):,.{decimals}f}"
    if not text.strip("0.,"):
        return text
    return f"{MINUS}{text}" if value < 0 else f"+{text}" if plus else text


def score(name: str, value: float | None, spread: float | None = None) -> str:
    """Write a score, with its standard deviation if there is one: `70.3 ± 1.2 %`, `165.3`, `1.412 ± 0.003`."""
    if value is None:
        return NONE
    found = METRICS.get(name.rpartition("/")[2], _OTHER)
    factor, unit = (100.0, " %") if found.share else (1.0, "")
    decimals = _decimals(found, value)
    text = signed(factor * value, decimals, plus=False)
    return f"{text} ± {factor * spread:,.{decimals}f}{unit}" if spread is not None else text + unit


def _decimals(metric: Metric, value: float) -> int:
    if metric.share:
        return 1
    if metric.decimals is not None:
        return metric.decimals
    # Three digits or more: 165.3 has four, because a perplexity is compared with others of its size.
    return 1 if abs(value) >= 20 else max(2 if abs(value) >= 1 else 3, three_digits(value))


def gain(found: Gain | None) -> str:
    """Write a gain with its 95 % interval: `+3.2 points [1.1, 5.4]`. If no claim is made, leave the interval out."""
    if found is None:
        return NONE
    measure = measure_of(found.task)
    middle = f" {measure.short}" if measure.short else ""
    value, low, high = (measure.factor * one for one in (found.gain.value, found.gain.low, found.gain.high))
    decimals = measure.decimals_of(found.gain.value, found.gain.low, found.gain.high)
    if found.outcome == "no claim":
        return f"{signed(value, decimals)}{middle}"
    return f"{signed(value, decimals)}{middle} [{signed(low, decimals, False)}, {signed(high, decimals, False)}]"


def outcome(found: Gain) -> str:
    """Write the outcome; it says so if it is about models with one seed only."""
    claimed = found.outcome in ("positive", "negative", "equal")
    return f"{found.outcome}, one seed" if claimed and found.about == "models" else found.outcome


def equivalence(found: Equivalence | None) -> str:
    """Write the label count that scratch needs, with its interval: `480 [250, > 9,612]`, or `≤ 100` at the least."""
    if found is None:
        return NONE

    def number(value: float | None) -> str:
        if value is None:
            return f"> {found.most:,}"
        return f"\N{LESS-THAN OR EQUAL TO} {found.least:,}" if value <= found.least else f"{value:,.0f}"

    return f"{number(found.needed)} [{number(found.low)}, {number(found.high)}]"


def share(value: float) -> str:
    """Write a share of one: `70.3 %`."""
    return f"{100.0 * value:.1f} %"


def probability(value: float | None) -> str:
    """Write a p-value: `0.032`, `< 0.001`."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Write a time: `0.4 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def round_duration(seconds: float) -> str:
    """Write a round time: `0.3 s`, `10 min`, `3 h`."""
    size, unit = next((one for one in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= one[0]), (1, "s"))
    return f"{seconds / size:g} {unit}"


def fact(name: str, value: float | int | str) -> str:
    """Write one fact about the source model, by its name."""
    last = re.split(r"[/.]", name)[-1]
    if isinstance(value, str):
        return task(value) if last == "task" else value
    if last.endswith("seconds"):
        return duration(value)
    if last in METRICS:
        return score(last, float(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def listing(items: Iterable[str]) -> str:
    """Write items as `a, b and c`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
