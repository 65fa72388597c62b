"""The figures of a report."""

import math
import statistics
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from rnnlm.arms import ARMS
from rnnlm.evaluation.verdict import Cell, LabelCurve, Verdict
from rnnlm.report import words
from rnnlm.report.style import COLOURS, GREY, MARKERS, blank_figure, style
from rnnlm.report.summary import Summary, summaries, target_models
from rnnlm.targets import Measure, measure_of

# Tick marks of a time axis, in seconds: about three for each power of ten.
TIMES = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 10_800, 36_000, 86_400, 259_200, 864_000)
SHORTEST = 0.05  # seconds; shorter times are drawn here


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption."""

    figure: Figure
    title: str
    caption: str


def figures(verdict: Verdict) -> dict[str, Figure]:
    """Draw a verdict's figures, by name. A figure without data is left out."""
    return {name: drawing.figure for name, drawing in drawings(verdict).items()}


def drawings(verdict: Verdict) -> dict[str, Drawing]:
    """Draw a verdict's figures with their captions, by name, in the order of the report."""
    with style():
        drawn = {name: draw(verdict) for name, draw in _figures(verdict).items()}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _looks(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """Return the colour and marker of each arm. A known arm has the same ones in every report."""
    unknown = [name for name in words.arms(verdict) if name not in ARMS]
    places = {name: arm.look for name, arm in ARMS.items()}
    places |= {name: len(ARMS) + n for n, name in enumerate(unknown)}
    return {name: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for name, place in places.items()}


def _legend(figure: Figure, verdict: Verdict, shown: set[str]) -> None:
    looks = _looks(verdict)
    arms = [name for name in words.arms(verdict) if name in shown]
    handles = [Line2D([], [], color=looks[name][0], marker=looks[name][1], label=words.arm(name)) for name in arms]
    # Three names are side by side if they are short enough.
    columns = 3 if len(arms) == 3 and sum(len(words.arm(name)) for name in arms) <= 45 else 2
    # More lines in the legend do not make the plot smaller.
    figure.set_figheight(figure.get_figheight() + 0.22 * (-(-len(arms) // columns) - 1))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.2, handlelength=1.6)


def _measured(measure: Measure, where: str) -> str:
    return f"{measure.words} on {where}{' (%)' if measure.factor == 100.0 else ''}"


def _against_labels(task: str) -> Callable[[Verdict], Drawing | None]:
    measure = measure_of(task)

    def draw(verdict: Verdict) -> Drawing | None:
        by_arm = _by_arm(verdict, task)
        if not by_arm:
            return None
        rows = [row for some in by_arm.values() for row in some]
        figure = blank_figure(3.9)
        axes = figure.add_subplot()
        curves = {curve.arm: curve for curve in verdict.label_curves}
        for place, (name, some) in enumerate(by_arm.items()):
            # The arms are slightly shifted, so that their bands can be distinguished.
            aside = 1.07 ** (place / max(1, len(by_arm) - 1) - 0.5)
            look = _looks(verdict)[name]
            _score_line(axes, measure, some, aside, look)
            if name in curves:
                _going_on(axes, measure, curves[name], some, aside, look[0])
        numbers = sorted({row.labels for row in rows})
        _label_ticks(axes, verdict, numbers, 2.2 * numbers[-1] if curves else 1.25 * numbers[-1])
        axes.set_xlabel("labels")
        axes.set_ylabel(_measured(measure, "the test split"))
        _legend(figure, verdict, set(by_arm))
        caption = f"Test {measure.words} of each arm against the number of labels it learnt from (log scale)"
        several = any(len(row.values(measure.name)) > 1 for row in rows)
        caption += ": mean over seeds, and from the lowest to the highest seed." if several else "."
        if several and any(len(row.values(measure.name)) == 1 for row in rows):
            caption += " A point without a band is a single seed."
        if curves:
            caption += " Dotted: what up to twice as many labels would bring, with its 95 % interval."
        return Drawing(figure, f"{measure.title} against number of labels", caption + _which_is_better(measure))

    return draw


def _by_arm(verdict: Verdict, task: str) -> dict[str, list[Summary]]:
    """Return the scored cells of a target task by arm, in the order of the report, each arm's by label count."""
    rows = [row for row in summaries(verdict, task) if row.labels and row.values(measure_of(task).name)]
    found = {name: [row for row in rows if row.arm == name] for name in words.arms(verdict)}
    return {name: some for name, some in found.items() if some}


def _which_is_better(measure: Measure) -> str:
    return "" if measure.higher_is_better else " Lower is better."


def _score_line(axes: Axes, measure: Measure, rows: list[Summary], aside: float, look: tuple[str, str]) -> None:
    colour, marker = look
    x = [row.labels * aside for row in rows]
    values = [[measure.factor * value for value in row.values(measure.name)] for row in rows]
    mean = [sum(some) / len(some) for some in values]
    low, high = [min(some) for some in values], [max(some) for some in values]
    # A band that narrows to the point of a single seed would look like certainty, so it ends before.
    spread = [len(some) > 1 for some in values]
    axes.fill_between(x, low, high, where=spread, color=colour, alpha=0.13, linewidth=0)
    axes.vlines(x, low, high, color=colour, linewidth=1.2, alpha=0.7)
    axes.plot(x, mean, color=colour, marker=marker)


def _going_on(axes: Axes, measure: Measure, curve: LabelCurve, rows: list[Summary], aside: float, colour: str) -> None:
    """Draw what more labels would bring, from the score of an arm with the most labels on."""
    values = next(row.values(measure.name) for row in rows if row.labels == curve.most)
    last = measure.factor * sum(values) / len(values)
    up = measure.factor if measure.higher_is_better else -measure.factor
    x = [curve.most * aside, *(more.labels * aside for more in curve.gains)]
    low, value, high = (
        [last, *(last + up * getattr(more.gain, end) for more in curve.gains)] for end in ("low", "value", "high")
    )
    axes.plot(x, value, color=colour, linestyle=":")
    axes.fill_between(x, low, high, color=colour, alpha=0.08, linewidth=0)


def _label_ticks(axes: Axes, verdict: Verdict, numbers: list[int], end: float) -> None:
    """Mark the label counts on a log axis that has an end. If two are too close, only the larger one has a name."""
    axes.set_xscale("log")
    axes.set_xlim(numbers[0] / 1.25, end)
    apart = (end / (1.25 * numbers[0])) ** 0.12
    named: list[int] = []
    for number in reversed(numbers):
        if not named or named[-1] / number >= apart:
            named.append(number)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(named, [words.labels(verdict, number).replace(" (", "\n(") for number in named])


def _cost(task: str) -> Callable[[Verdict], Drawing | None]:
    measure = measure_of(task)

    def draw(verdict: Verdict) -> Drawing | None:
        by_arm = _by_arm(verdict, task)
        if not by_arm:
            return None
        rows = [row for some in by_arm.values() for row in some]
        figure = blank_figure(3.9)
        axes = figure.add_subplot()
        numbers = sorted({row.labels for row in rows})
        for name, some in by_arm.items():
            colour, marker = _looks(verdict)[name]
            x = [max(row.seconds_in_all, SHORTEST) for row in some]
            y = [measure.factor * statistics.fmean(row.values(measure.name)) for row in some]
            sizes = [30.0 + 70.0 * numbers.index(row.labels) / max(1, len(numbers) - 1) for row in some]
            axes.plot(x, y, color=colour, linewidth=1.0, alpha=0.6)
            axes.scatter(x, y, s=sizes, color=colour, marker=marker, zorder=3)
        _time_axis(axes, rows)
        axes.set_ylabel(_measured(measure, "the test split"))
        _legend(figure, verdict, set(by_arm))
        caption = (
            f"Test {measure.words} of each arm against the time that it takes from nothing (log scale): its own "
            "training, and that of the models that it starts from, which were trained once for all. "
            f"Small mark: {numbers[0]:,} labels" + (f"; large mark: {numbers[-1]:,}." if len(numbers) > 1 else ".")
        )
        return Drawing(figure, f"{measure.title} against time", caption + _which_is_better(measure))

    return draw


def _time_axis(axes: Axes, rows: list[Summary]) -> None:
    axes.set_xscale("log")
    low, high = (limit(max(row.seconds_in_all, SHORTEST) for row in rows) for limit in (min, max))
    axes.set_xlim(low / 1.4, high * 1.4)
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = [tick for tick in TIMES if low / 1.4 <= tick <= high * 1.4]
    axes.set_xticks(ticks, [words.round_duration(tick) for tick in ticks])
    axes.set_xlabel("time in all")


def _gain(task: str, title: str, axis: str, better: str) -> Callable[[Verdict], Drawing | None]:
    def draw(verdict: Verdict) -> Drawing | None:
        rows = [row for row in summaries(verdict, task) if row.gain is not None]
        if not rows:
            return None
        lines = _forest_lines(verdict, rows)
        figure = blank_figure(1.0 + 0.27 * len(lines))
        axes = figure.add_subplot()
        for place, (_, row) in enumerate(lines):
            if row is not None:
                _forest_line(axes, row, place, _looks(verdict)[row.arm])
        axes.axvline(0, color=GREY, linewidth=1.2, zorder=1)
        axes.set_yticks(range(len(lines)), [text for text, _ in lines])
        for tick, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if row is None else "normal")
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(_round_ticks(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.signed(value, _tick_decimals(axes))))
        axes.set_xlabel(axis)
        caption = f"What each arm gains over scratch, with its 95 % interval; right of the line is better{better}."
        outcomes = {row.gain.outcome for row in rows if row.gain is not None}
        if "equal" in outcomes:
            caption += " A grey centre: as good, within the margin."
        if "open" in outcomes:
            caption += " A hollow mark: it is open which is better."
        if "no claim" in outcomes:
            caption += " A hollow mark without a line: too few test documents for a claim."
        return Drawing(figure, title, caption)

    return draw


def _round_ticks(most: int) -> MaxNLocator:
    return MaxNLocator(most, steps=[1, 2, 5, 10])


def _tick_decimals(axes: Axes) -> int:
    """Return the number of decimals that makes the ticks different."""
    ticks = axes.get_xticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _forest_lines(verdict: Verdict, rows: list[Summary]) -> list[tuple[str, Summary | None]]:
    """Return the lines of a forest plot from the top: the arms below each label count."""
    lines: list[tuple[str, Summary | None]] = []
    for number in sorted({row.labels for row in rows}):
        if number:
            lines.append((f"{words.labels(verdict, number)} labels", None))
        lines += [(words.arm(row.arm), row) for row in rows if row.labels == number]
    return lines


def _forest_line(axes: Axes, row: Summary, place: int, look: tuple[str, str]) -> None:
    assert row.gain is not None
    colour, marker = look
    factor = measure_of(row.task).factor
    interval = row.gain.gain
    if row.gain.outcome != "no claim":
        axes.hlines(place, factor * interval.low, factor * interval.high, color=colour, linewidth=2.2)
    inside = {"open": "white", "no claim": "white", "equal": "lightgrey"}.get(row.gain.outcome, colour)
    axes.plot(factor * interval.value, place, marker=marker, color=colour, markerfacecolor=inside, markersize=7.5)


def _language_model(verdict: Verdict) -> Drawing | None:
    rows = summaries(verdict, "language_model")
    metrics = [name for name in ("perplexity", "bits_per_character") if any(row.values(name) for row in rows)]
    if not metrics:
        return None
    figure = blank_figure(1.0 + 0.5 * len(rows))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, metrics, strict=True):
        _dots(axes, rows, name, _looks(verdict))
        # The names of the arms leave little room: a long title would be cut off.
        axes.set_title(textwrap.fill(words.metric(name), 12))
    panels[0].set_yticks(range(len(rows)), [words.arm(row.arm) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.7)
    caption = "The language models of the arms on the target's test split; further left is better"
    several = any(len(row.cells) > 1 for row in rows)
    caption += ". Mean over seeds, and from the lowest to the highest seed." if several else "."
    return Drawing(figure, "Language model of the target text", caption)


def _dots(axes: Axes, rows: list[Summary], name: str, looks: dict[str, tuple[str, str]]) -> None:
    everything = [value for row in rows for value in row.values(name)]
    for place, row in enumerate(rows):
        values, mean = row.values(name), row.mean(name)
        if mean is None:
            continue
        colour, marker = looks[row.arm]
        axes.hlines(place, min(values), max(values), color=colour, linewidth=2.2)
        axes.plot(mean, place, marker=marker, color=colour, markersize=7.5)
        axes.annotate(
            words.score(name, mean), (mean, place), (0, 7), textcoords="offset points", ha="center", va="bottom"
        )
    _positive_axis(axes, everything, "x")
    # Room at both ends for the numbers above the marks.
    axes.margins(x=0.28)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _positive_axis(axes: Axes, values: Sequence[float], direction: str) -> None:
    """Scale an axis of perplexities: linear, or logarithmic if one is many times another."""
    axis = axes.xaxis if direction == "x" else axes.yaxis
    if min(values) > 0 and max(values) / min(values) > 8:
        if direction == "x":
            axes.set_xscale("log")
        else:
            axes.set_yscale("log")
        wide = max(values) / min(values) > 300
        axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 3.0) if direction == "x" else (1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(_round_ticks(3 if direction == "x" else 6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _learning_language_model(verdict: Verdict) -> Drawing | None:
    curves = _curves(verdict, "language_model", "perplexity")
    if not curves:
        return None
    figure = blank_figure(3.9)
    axes = figure.add_subplot()
    _draw_curves(axes, curves, _looks(verdict))
    _positive_axis(axes, [value for _, _, y in curves for value in y], "y")
    axes.set_xlabel("training tokens read")
    axes.set_ylabel("perplexity on the validation split")
    _legend(figure, verdict, {cell.arm for cell, _, _ in curves})
    caption = (
        "Validation perplexity of each language model while it read the target text; one line a seed. Lower is better."
    )
    return Drawing(figure, "Learning curves of the language models", caption)


def _learning_target(task: str) -> Callable[[Verdict], Drawing | None]:
    measure = measure_of(task)

    def draw(verdict: Verdict) -> Drawing | None:
        curves = _curves(verdict, task, measure.name)
        if not curves:
            return None
        numbers = sorted({cell.labels for cell, _, _ in curves})
        columns = min(2, len(numbers))
        lines = -(-len(numbers) // columns)
        figure = blank_figure(1.2 + 2.1 * lines if columns > 1 else 3.9)
        panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.08}).flat)
        for axes, number in zip(panels, numbers, strict=False):
            some = [
                (cell, x, [measure.factor * value for value in y]) for cell, x, y in curves if cell.labels == number
            ]
            _draw_curves(axes, some, _looks(verdict))
            axes.xaxis.set_major_locator(_round_ticks(3))
            axes.set_title(f"{words.labels(verdict, number)} labels")
            axes.yaxis.set_major_locator(_round_ticks(6))
        for axes in panels[len(numbers) :]:
            axes.set_axis_off()
        figure.supxlabel("training documents read", fontsize=10)
        figure.supylabel(_measured(measure, "validation"), fontsize=10)
        _legend(figure, verdict, {cell.arm for cell, _, _ in curves})
        caption = (
            f"Validation {measure.words} of each {words.task(task)} while it read its labelled documents; one line a "
            "seed."
        )
        if any(way.way == "cross-validation" for way in verdict.validation.values()):
            caption += " Models that a cross-validation chose have no curve."
        title = f"Learning curves of the {words.task(task)}s"
        return Drawing(figure, title, caption + _which_is_better(measure))

    return draw


def _curves(verdict: Verdict, task: str, metric: str) -> list[tuple[Cell, list[int], list[float]]]:
    """Return the learning curves of a metric, with or without `valid/` in its name.

    A cross-validation has none: what judges a model there is trained apart from it.
    """
    curves = []
    for row in summaries(verdict, task):
        way = verdict.validation.get(row.labels)
        for cell in row.cells if way is None or way.way != "cross-validation" else ():
            points = [
                (point.tokens, point.metrics.get(f"valid/{metric}", point.metrics.get(metric)))
                for point in cell.history
            ]
            known = [(x, y) for x, y in points if y is not None]
            if known:
                curves.append((cell, [x for x, _ in known], [y for _, y in known]))
    return curves


def _draw_curves(
    axes: Axes, curves: list[tuple[Cell, list[int], list[float]]], looks: dict[str, tuple[str, str]]
) -> None:
    for cell, x, y in curves:
        colour, marker = looks[cell.arm]
        axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.2, alpha=0.8)
    axes.xaxis.set_major_locator(_round_ticks(4))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _figures(verdict: Verdict) -> dict[str, Callable[[Verdict], Drawing | None]]:
    """Return what draws each figure, by its name, in the order of the report."""
    figures: dict[str, Callable[[Verdict], Drawing | None]] = {}
    tasks = target_models(verdict)
    for task in tasks:
        measure = measure_of(task)
        axis = f"gain in {measure.words} ({measure.short})" if measure.higher_is_better else f"{measure.words} saved"
        gain = f"Gain in {measure.words}" if measure.higher_is_better else f"{measure.title} saved"
        title = f"{gain} over scratch"
        figures |= {
            measure.name: _against_labels(task),
            "cost": _cost(task),
            "gain": _gain(task, title, axis, ""),
        }
    figures |= {
        "language_model": _language_model,
        "language_model_gain": _gain(
            "language_model",
            "Gain of the language model over scratch",
            "bits per character saved",
            " (fewer bits per character)",
        ),
    }
    figures |= {f"learning_{task}": _learning_target(task) for task in tasks}
    return figures | {"learning_language_model": _learning_language_model}
