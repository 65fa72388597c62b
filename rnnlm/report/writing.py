"""The files of the report, and the same content for Prefect's artifacts."""

import base64
import html
import math
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jinja2
import yaml

from rnnlm.arms import arm_named
from rnnlm.errors import DataError
from rnnlm.evaluation.summary import best
from rnnlm.evaluation.verdict import Cell, Confusion, Example, Examples, Verdict
from rnnlm.report import words
from rnnlm.report.answer import answer_of
from rnnlm.report.drawing import drawings
from rnnlm.report.style import render
from rnnlm.report.summary import Summary, summaries, target_models
from rnnlm.targets import TARGETS, TASKS, measure_of

# The figure on the first screen of a page is the first of these that there is.
FIRST_FIGURES = ("gain", "language_model_gain")


def write_report(verdict: Verdict, folder: Path) -> None:
    """Write `verdict.json`, `report.html` and `figures/*.png` into an existing folder.

    Equal verdicts give equal files. The page needs no other file, no network and no scripts.

    Raises:
        DataError: If a number of the verdict is infinite or not a number. The error names the field.
    """
    for field, value in _leaves(verdict.model_dump(), ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(
                f"the verdict holds a number that is not finite: {value}",
                where=field,
                remedy="Look at the training of this cell. Lower its learning rate if its loss diverged.",
            )
    (folder / "verdict.json").write_text(verdict.model_dump_json(indent=2) + "\n", encoding="utf-8")
    drawn = drawings(verdict)
    pictures = folder / "figures"
    pictures.mkdir(exist_ok=True)
    for name, drawing in drawn.items():
        (pictures / f"{name}.png").write_bytes(render(drawing.figure, "png"))
    # The gains come first: they are the answer. The others stay in their order.
    lead = next((name for name in FIRST_FIGURES if name in drawn), None)
    order = sorted(drawn, key=lambda name: name != lead)
    shown = [
        {
            "title": drawn[name].title,
            "caption": drawn[name].caption,
            "svg": base64.b64encode(render(drawn[name].figure, "svg")).decode("ascii"),
        }
        for name in order
    ]
    (folder / "report.html").write_text(_page(verdict, shown), encoding="utf-8")


def table(verdict: Verdict) -> list[dict[str, str]]:
    """Return the scores as rows with equal columns, for a table artifact."""
    rows = [
        {
            "task": words.task(row.task),
            "labels": words.labels(verdict, row.labels) if row.labels else "",
            "arm": words.arm(row.arm),
            "seeds": str(len(row.cells)),
            **{
                words.metric(name): row.score(name) if row.values(name) else ""
                for name in ("perplexity", "bits_per_character", *_first_scores(verdict))
            },
            "gain over scratch": words.gain(row.gain),
            "outcome": _outcome(row),
        }
        for task in words.KINDS
        for row in summaries(verdict, task)
    ]
    empty = [column for column in (rows[0] if rows else {}) if not any(row[column] for row in rows)]
    return [{column: text for column, text in row.items() if column not in empty} for row in rows]


def _first_scores(verdict: Verdict) -> list[str]:
    """Return the scores of the target task that the first table has."""
    return [name for task in target_models(verdict) for name in (measure_of(task).name, *TARGETS[task].shown)]


def markdown(verdict: Verdict) -> str:
    """Return the verdict and its tables as markdown."""
    answer = answer_of(verdict)
    parts = [f"# Verdict of {_escaped(verdict.experiment)}"]
    parts += [f"> {_escaped(sentence)}" for sentence in answer.warnings]
    parts += [f"**{_escaped(statement.text)}**" for statement in answer.answers[:1]]
    parts += [_escaped(statement.text) for statement in answer.answers[1:]]
    parts += ["\n".join(f"- {_escaped(sentence)}" for sentence in answer.notes)]
    language_model = summaries(verdict, "language_model")
    if language_model:
        parts += ["## Language model", _markdown_table(_language_model_table(language_model))]
    for task in target_models(verdict):
        parts += [f"## {task.capitalize()}", _markdown_table(_target_table(verdict, task))]
    parts += [f"## {title}\n\n{_markdown_table(rows)}" for _, title, rows in _other_tables(verdict)]
    if verdict.coverage:
        parts += ["## Words of the target", _markdown_table(_coverage_table(verdict))]
    # An indented block has no closing fence, which the command might contain.
    parts += ["## Repeat it", textwrap.indent(verdict.command, "    ")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _language_model_table(rows: list[Summary]) -> list[list[str]]:
    head = ["arm", "perplexity", "bits per character", "gain over scratch [95 %]", "outcome", "seeds"]
    return [head] + [
        [
            words.arm(row.arm),
            row.score("perplexity"),
            row.score("bits_per_character"),
            words.gain(row.gain),
            _outcome(row),
            str(len(row.cells)),
        ]
        for row in rows
    ]


def _text_table(rows: list[Summary]) -> list[list[str]]:
    """Return the scores of the language models that do not depend on the tokenizer, and those about unknown words."""
    names = ("bits_per_byte", "word_perplexity", "known_perplexity", "unknown_share")
    known = [name for name in names if any(row.values(name) for row in rows)]
    if not known:
        return []
    return [["arm", *(words.metric(name) for name in known)]] + [
        [words.arm(row.arm), *(row.score(name) for name in known)] for row in rows
    ]


def _target_table(verdict: Verdict, task: str) -> list[list[str]]:
    """Return the scores of the models of the target task, and what each gains over scratch."""
    measure, shown = measure_of(task), TARGETS[task].shown
    worth = {(one.arm, one.labels): one for one in verdict.equivalences}
    head = ["labels", "arm", words.metric(measure.name), "gain over scratch [95 %]", "outcome"]
    head += [*(["labels scratch needs [95 %]"] if worth else []), *(words.metric(name) for name in shown), "seeds"]
    return [head] + [
        [
            words.labels(verdict, row.labels),
            words.arm(row.arm),
            row.score(measure.name),
            words.gain(row.gain),
            _outcome(row),
            *([words.equivalence(worth.get((row.arm, row.labels)))] if worth else []),
            *(row.score(name) for name in shown),
            str(len(row.cells)),
        ]
        for row in summaries(verdict, task)
    ]


def _quality_table(verdict: Verdict, task: str) -> list[list[str]]:
    """Return the other scores of the models of the target task, and what they cost."""
    rows = summaries(verdict, task)
    known = [name for name in TARGETS[task].quality if any(row.values(name) for row in rows)]
    heads = [words.metric(name.rpartition("/")[2]) for name in known]
    return [["labels", "arm", *heads, "time", "time in all"]] + [
        [
            words.labels(verdict, row.labels),
            words.arm(row.arm),
            *(row.score(name) for name in known),
            words.duration(row.seconds),
            words.duration(row.seconds_in_all),
        ]
        for row in rows
    ]


def _pair_table(verdict: Verdict) -> list[list[str]]:
    """Return the numbers of documents that only one of two arms gets right."""
    gains = [one for one in (*verdict.gains, *verdict.beyond, *verdict.tradition) if one.only_arm is not None]
    rows = [
        [
            words.labels(verdict, one.labels),
            words.arm(one.arm),
            words.arm(one.baseline),
            f"{one.only_arm:,}",
            f"{one.only_baseline:,}",
            words.probability(one.mcnemar_p),
            str(one.seeds),
        ]
        for one in sorted(gains, key=lambda one: one.labels)
    ]
    head = ["labels", "arm", "against", "only the arm is right", "only the other", "p (McNemar)", "seeds"]
    return [head, *rows] if rows else []


def _confusion_table(found: Confusion) -> list[list[str]]:
    """Return a confusion matrix (rows: true, columns: predicted) with the scores of each class."""
    names = [one.label for one in found.classes] if found.counts else []
    return [["", *names, "precision", "recall", "F1", "documents"]] + [
        [
            one.label,
            *(f"{count:,}" for count in (found.counts[place] if found.counts else [])),
            *(words.share(value) for value in (one.precision, one.recall, one.f1)),
            f"{one.support:,}",
        ]
        for place, one in enumerate(found.classes)
    ]


def _confusion_title(verdict: Verdict, found: Confusion) -> str:
    of = f", sum of {found.seeds} seeds" if found.seeds > 1 else ""
    return f"{words.arm(found.arm)}, {words.labels(verdict, found.labels)} labels{of}"


def _example_lists(verdict: Verdict, found: Examples) -> tuple[str, list[tuple[str, list[Example]]]]:
    """Return the documents that the arm or the baseline answers better, with their headings."""
    every = "" if found.seeds == 1 else f" with all {found.seeds} seeds"
    of = f"of {found.documents:,} test documents{every}"
    arm, baseline = words.arm(found.arm), words.arm(found.baseline)
    of_classes = TASKS["classification"].model in target_models(verdict)
    heading = "Only {} is right" if of_classes else "{} is better"
    return f"{arm} and {baseline} with {words.labels(verdict, found.labels)} labels", [
        (f"{heading.format(arm)}: {found.only_arm:,} {of}", found.of_arm),
        (f"{heading.format(baseline)}: {found.only_baseline:,} {of}", found.of_baseline),
    ]


def _coverage_table(verdict: Verdict) -> list[list[str]]:
    types, tokens = (sum(getattr(row, name) for row in verdict.coverage) for name in ("types", "tokens"))
    return [["start of the row", "types", "% of types", "training tokens", "% of tokens"]] + [
        [
            words.RUNGS.get(row.rung, row.rung),
            f"{row.types:,}",
            f"{100 * row.types / max(1, types):.1f}",
            f"{row.tokens:,}",
            f"{100 * row.tokens / max(1, tokens):.1f}",
        ]
        for row in verdict.coverage
    ]


def _left_out_table(verdict: Verdict) -> list[list[str]]:
    """Return how much was left out of the texts when they were read, with a row for each reason."""
    rows = [[words.LEFT_OUT.get(reason, reason), *counts] for reason, counts in _by_text(verdict.left_out)]
    rows += [
        [f"in {pair.replace('+', ' and ')} (different texts)", *counts] for pair, counts in _by_text(verdict.overlap)
    ]
    return [["documents", *verdict.left_out], *rows] if rows else []


def _by_text(counts: dict[str, dict[str, int]]) -> list[tuple[str, list[str]]]:
    """Group counts by reason, and leave out reasons without any."""
    reasons = dict.fromkeys(reason for one in counts.values() for reason in one)
    table = [(reason, [one.get(reason, 0) for one in counts.values()]) for reason in reasons]
    return [(reason, [f"{number:,}" for number in numbers]) for reason, numbers in table if any(numbers)]


def _outcome(row: Summary) -> str:
    if row.gain is not None:
        return words.outcome(row.gain)
    return "baseline" if row.arm == "scratch" else words.NONE


def _markdown_table(rows: list[list[str]]) -> str:
    head, *body = [" | ".join(_escaped(text) for text in row) for row in rows]
    rule = " | ".join("---" for _ in rows[0])
    return "\n".join(f"| {line} |" for line in [head, rule, *body])


def _escaped(text: str) -> str:
    """Escape text, so that it is not read as markdown or HTML."""
    line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*|]|\](?=\())", r"\\\1", line)


def template(name: str) -> jinja2.Template:
    """Return a template of this folder. Values are inserted as text, never as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


class _Number(NamedTuple):
    """A number of the first screen.

    Attributes:
        title: What it is.
        value: The number.
        interval: Its interval, or its spread; empty if there is none.
        about: Which model, or which comparison.
    """

    title: str
    value: str
    interval: str
    about: str


def _numbers(verdict: Verdict) -> list[_Number]:
    """Return the three numbers that answer first: how good the model to use is, and what transfer gains."""
    found: list[_Number] = []
    for task in (*target_models(verdict), "language_model"):
        chosen = [one for one in verdict.recommended if one.task == task]
        rows = {(row.arm, row.labels): row for row in summaries(verdict, task)}
        measure = measure_of(task).name
        if chosen and not found and (row := rows.get((chosen[-1].arm, chosen[-1].labels))):
            value, spread = row.score(measure), ""
            if " ± " in value:
                unit = " %" if value.endswith(" %") else ""
                value, spread = value.removesuffix(unit).split(" ± ")
                value, spread = value + unit, f"± {spread}"
            found.append(
                _Number(
                    f"{words.metric(measure)} of the model to use", value, spread, _which(verdict, row.arm, row.labels)
                )
            )
        over_scratch = [gain for gain in verdict.gains if gain.task == task and arm_named(gain.arm).transfer]
        beyond = [gain for gain in verdict.beyond if gain.task == task]
        for title, gains in (
            ("gain of transfer over scratch [95 %]", over_scratch),
            ("gain over the target's own text [95 %]", beyond),
        ):
            if (one := best(gains)) and one.outcome != "no claim":
                value, _, interval = words.gain(one).partition(" [")
                about = f"{_which(verdict, one.arm, one.labels)}: {words.outcome(one)}"
                found.append(_Number(title, value, f"[{interval}", about))
    return found[:3]


def _which(verdict: Verdict, arm: str, labels: int) -> str:
    return words.arm(arm) + (f", {words.labels(verdict, labels)} labels" if labels else ", language model")


def _other_tables(verdict: Verdict) -> list[tuple[str, str, list[list[str]]]]:
    """Return a table for each baseline but scratch, of each task, with its anchor and title."""
    tables = []
    for task in (*target_models(verdict), "language_model"):
        of_task = [gain for gain in (*verdict.beyond, *verdict.tradition) if gain.task == task]
        for baseline in dict.fromkeys(gain.baseline for gain in of_task):
            gains = sorted((g for g in of_task if g.baseline == baseline), key=lambda gain: gain.labels)
            labelled = any(gain.labels for gain in gains)
            rows = [[*(["labels"] if labelled else []), "arm", "gain [95 %]", "outcome", "seeds"]]
            for gain in gains:
                place = [words.labels(verdict, gain.labels)] if labelled else []
                rows.append([*place, words.arm(gain.arm), words.gain(gain), words.outcome(gain), str(gain.seeds)])
            title = f"{words.task(task).capitalize()}: against {words.arm(baseline)}"
            tables.append((f"{task}-{baseline}", title, rows))
    return tables


def _page(verdict: Verdict, shown: list[dict[str, str]]) -> str:
    answer = answer_of(verdict)
    language_model = summaries(verdict, "language_model")
    configuration = verdict.model_dump(mode="json")["configuration"]
    return template("report.html.j2").render(
        verdict=verdict,
        answer=answer,
        numbers=_numbers(verdict),
        others=_other_tables(verdict),
        facts=_facts(verdict),
        language_model=_language_model_table(language_model) if language_model else [],
        over_text=_text_table(language_model),
        targets=[
            {
                "name": task,
                "scores": _target_table(verdict, task),
                "quality": _quality_table(verdict, task),
                "about": TARGETS[task].about,
            }
            for task in target_models(verdict)
        ],
        pairs_of_arms=_pair_table(verdict),
        confusions=[(_confusion_title(verdict, one), _confusion_table(one)) for one in verdict.confusions],
        examples=[_example_lists(verdict, one) for one in verdict.examples],
        coverage=_coverage_table(verdict) if verdict.coverage else [],
        in_words=[gain.sentence for gain in [*verdict.gains, *verdict.beyond, *verdict.tradition]],
        figures=shown,
        cells=[
            (words.task(task), _cell_table(verdict, [cell for row in rows for cell in row.cells]))
            for task in words.KINDS
            if (rows := summaries(verdict, task))
        ],
        source=[
            (words.plain(name).replace("seconds", "time"), words.fact(name, value))
            for name, value in verdict.source.items()
        ],
        documents=[(words.plain(name), f"{number:,}") for name, number in verdict.documents.items()],
        left_out=_left_out_table(verdict),
        unknown=[(name, words.share(share)) for name, share in verdict.unknown.items()],
        seconds=[(words.plain(name), _time(verdict, name)) for name in verdict.seconds],
        configuration=yaml.safe_dump(configuration, allow_unicode=True, sort_keys=False, width=100),
    )


def _time(verdict: Verdict, part: str) -> str:
    busy = verdict.busy_cores.get(part)
    return words.duration(verdict.seconds[part]) + (f", {busy:.1f}\u00a0cores\u00a0busy" if busy is not None else "")


def _facts(verdict: Verdict) -> str:
    """Return one line that says what was compared."""
    if not verdict.cells:
        return ""
    names = [words.arm(name) for name in words.arms(verdict)]
    numbers = sorted({cell.labels for cell in verdict.cells if cell.labels})
    facts = f"Compared: {words.listing(names)}"
    if numbers:
        facts += f"; at {words.listing(words.labels(verdict, number) for number in numbers)} labels"
    seeds = sorted({len(row.cells) for task in words.KINDS for row in summaries(verdict, task)})
    most = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seed{'s' * (seeds[0] > 1)}"
    return f"{facts}; {most} each."


def _cell_table(verdict: Verdict, cells: list[Cell]) -> list[list[str]]:
    metrics = list(dict.fromkeys(name for cell in cells for name in cell.metrics))
    # Scores on the test split come before scores during training.
    metrics.sort(key=lambda name: "/" in name)
    with_labels = any(cell.labels for cell in cells)
    head = [*(["labels"] if with_labels else []), "arm", "seed", *(words.metric(name) for name in metrics), "time"]
    return [head] + [
        [
            *([words.labels(verdict, cell.labels)] if with_labels else []),
            words.arm(cell.arm),
            str(cell.seed),
            *(words.score(name, cell.metrics.get(name)) for name in metrics),
            words.duration(cell.seconds),
        ]
        for cell in cells
    ]


def _leaves(value: object, field: str) -> Iterator[tuple[str, object]]:
    """Return every single value of nested dictionaries and lists, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{field}[{place}]")
    else:
        yield field, value
