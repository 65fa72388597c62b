"""The figure and the file of the learning-rate finder."""

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rnnlm.report.style import COLOURS, GREY, blank_figure, render, style
from rnnlm.training.range_test import Curve

FIGURE, FILE = "learning-rate.png", "learning-rate.json"

_PALE = "#bdbdbd"
# The upper end of the plot, above the loss at the beginning, as a share of its fall. The divergence is cut off there,
# because it is many times as high as the rest.
_ROOM = 0.6


def write_learning_rate(curve: Curve, present: float, folder: Path) -> None:
    """Write `learning-rate.png` and `learning-rate.json` into a folder that exists.

    Args:
        curve: What the finder found.
        present: The learning rate of the experiment.
        folder: Where to write.
    """
    suggestions = curve.suggestions()
    content = {
        "suggestions": suggestions and suggestions._asdict(),
        "present": present,
        "learning_rates": curve.learning_rates.tolist(),
        "losses": curve.losses.tolist(),
        "smoothed": curve.smoothed.tolist(),
    }
    (folder / FILE).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (folder / FIGURE).write_bytes(render(draw_learning_rate(curve, present), "png"))


def draw_learning_rate(curve: Curve, present: float) -> Figure:
    """Draw the loss against the learning rate, with the suggested rate and the rate of the experiment."""
    with style():
        figure = blank_figure(3.9)
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.plot(curve.learning_rates, curve.losses, color=_PALE, linewidth=1.0, label="each update")
        axes.plot(curve.learning_rates, curve.smoothed, color=COLOURS[0], label="smoothed")
        axes.axvline(present, color=GREY, linestyle="--", linewidth=1.4, label=f"set now: {present:.2g}")
        if suggestions := curve.suggestions():
            minimum, steep = suggestions.minimum, suggestions.steep
            # The dot is the place on the curve. For `minimum` its rate is ten times the suggestion.
            _mark(axes, curve, minimum, 10.0 * minimum, COLOURS[2], f"a tenth of the minimum: {minimum:.2g}")
            _mark(axes, curve, steep, steep, COLOURS[3], f"steepest: {steep:.2g}")
        axes.set_ylim(*_limits(curve))
        axes.xaxis.set_major_locator(LogLocator(numticks=20))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss (nats a token)")
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2, handlelength=1.6)
    return figure


def _mark(axes: Axes, curve: Curve, rate: float, read_at: float, colour: str, label: str) -> None:
    axes.axvline(rate, color=colour, linewidth=1.4, label=label)
    loss = np.interp(np.log(read_at), np.log(curve.learning_rates), curve.smoothed)
    axes.plot(read_at, loss, color=colour, marker="o", zorder=3)


def _power_of_ten(rate: float, _: int | None) -> str:
    return f"{rate:g}" if rate >= 0.01 else f"1e{np.log10(rate):.0f}"


def _limits(curve: Curve) -> tuple[float, float]:
    begin = curve.losses[: max(1, curve.planned // 10)].max()
    low = curve.losses.min()
    fall = max(begin - low, 0.01 * begin)
    return float(low - 0.1 * fall), float(begin + _ROOM * fall)
