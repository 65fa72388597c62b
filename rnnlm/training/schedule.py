"""Learning-rate schedules."""

import math

# Smith & Topin 2019 in fastai's form, but for a shorter way up: Adam needs little, and the steps are few.
WARM_UP = 0.1
START = 25.0
END = 10_000.0


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Give the learning rate of a step: up from peak / 25 along a cosine, then down to peak / 10,000.

    Args:
        step: Steps taken before this one.
        steps: Steps in all.
        peak: Highest learning rate.
    """
    up = max(1.0, WARM_UP * steps)
    if step < up:
        return _cosine(peak / START, peak, step / up)
    return _cosine(peak, peak / END, min(1.0, (step - up) / max(1.0, steps - up)))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
