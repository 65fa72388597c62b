"""Learning-rate schedules, and the lengths of windows that vary."""

import math
from typing import Literal

import numpy as np

Schedule = Literal["one_cycle", "slanted_triangular", "cosine", "constant"]

# Smith & Topin 2019 in fastai's form, but for a shorter way up: Adam needs little, and the steps are few.
WARM_UP = 0.1
START = 25.0
END = 10_000.0
# Howard & Ruder 2018: a tenth of the steps up, and 32 times lower at both ends.
CUT_FRACTION = 0.1
RATIO = 32.0

# Merity et al. 2018: 5 % of the windows are drawn around half the length, with standard deviation 5 at length 70.
HALF_SHARE = 0.05
DEVIATION = 5.0 / 70.0
SHORTEST = 2


def learning_rate(schedule: Schedule, step: int, steps: int, peak: float) -> float:
    """Return the learning rate of a step.

    Args:
        schedule: Name of the schedule.
        step: Steps taken before this one.
        steps: Steps in all.
        peak: Highest learning rate.
    """
    if schedule == "constant":
        return peak
    return {"one_cycle": one_cycle, "slanted_triangular": slanted_triangular, "cosine": cosine}[schedule](
        step, steps, peak
    )


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Up from peak / 25 along a cosine for a tenth of the steps, then down to peak / 10,000 (Smith & Topin 2019)."""
    up = max(1.0, WARM_UP * steps)
    if step < up:
        return _cosine(peak / START, peak, step / up)
    return _cosine(peak, peak / END, min(1.0, (step - up) / max(1.0, steps - up)))


def slanted_triangular(step: int, steps: int, peak: float) -> float:
    """Up from peak / 32 in a straight line for a tenth of the steps, then down to peak / 32 (Howard & Ruder 2018)."""
    cut = max(1, math.floor(steps * CUT_FRACTION))
    share = step / cut if step < cut else max(0.0, 1.0 - (step - cut) / max(1.0, cut * (1.0 / CUT_FRACTION - 1.0)))
    return peak * (1.0 + share * (RATIO - 1.0)) / RATIO


def cosine(step: int, steps: int, peak: float) -> float:
    """Down from peak to zero along half a cosine (Loshchilov & Hutter 2017)."""
    return _cosine(peak, 0.0, min(1.0, step / steps))


def window_lengths(tokens: int, window: int, vary: bool, generator: np.random.Generator) -> np.ndarray:
    """Cut a number of time steps into windows; the last one may reach beyond the end.

    Varied lengths follow the normal distribution of Merity et al. 2018 at three points with its mean and variance
    (Gauss-Hermite quadrature: the middle with weight 2/3, and the middle plus and minus sqrt(3) deviations with
    weight 1/6 each), so that there are only four lengths to trace: a free length would trace a graph each.

    Args:
        tokens: Time steps to cover.
        window: Length, or the middle of the lengths.
        vary: Whether lengths vary.
        generator: Draws them.

    Returns:
        The lengths, with a sum of at least `tokens`.
    """
    if not vary:
        return np.full(-(-tokens // window), window)
    away = round(math.sqrt(3.0) * DEVIATION * window)
    lengths = np.maximum(SHORTEST, [window // 2, window - away, window, window + away])
    rest = 1.0 - HALF_SHARE
    shares = [HALF_SHARE, rest / 6, rest * 2 / 3, rest / 6]
    drawn = generator.choice(lengths, size=-(-tokens // int(lengths.min())), p=shares)
    return drawn[: int(np.searchsorted(np.cumsum(drawn), tokens)) + 1]


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
