"""The learning-rate range test: the loss while the learning rate grows and grows, and what to read from it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnlm.errors import TrainingError

# As in fastai: decay of the mean, and the multiple of its lowest value that counts as divergence.
SMOOTHING = 0.98
DIVERGED = 4.0
# As in fastai: the mean of the first tenth is still rough, and the last updates belong to the divergence.
SKIPPED_FIRST = 0.1
SKIPPED_LAST = 5


class Suggestions(NamedTuple):
    """Learning rates to try as the peak of a schedule; the names are fastai's.

    Attributes:
        steep: The rate at which the smoothed loss falls most steeply.
        minimum: A tenth of the rate at which the smoothed loss is lowest.
    """

    steep: float
    minimum: float


@dataclass(frozen=True, eq=False)
class Curve:
    """The loss against a learning rate that grows from update to update.

    Attributes:
        planned: Updates that were to be made; there are fewer where the loss diverged.
        learning_rates: (updates,) the rate of each update.
        losses: (updates,) the loss of each; it is that of the weights that the updates before have made.
        smoothed: (updates,) exponential mean of the losses: with m_0 = 0, m_n = 0.98 m_{n-1} + 0.02 loss_n it is
            m_n / (1 - 0.98^n), which takes out the zero that the mean began with (Kingma & Ba 2015).
    """

    planned: int
    learning_rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    smoothed: npt.NDArray[np.float64]

    def suggestions(self) -> Suggestions | None:
        """Suggest learning rates by the formulas of fastai's `steep` and `minimum`.

        With the rates r and the smoothed losses s, but for the first tenth of the planned updates and the last 5:

            steep   = r_k,       k = argmin_i (s_{i+1} - s_i) / (ln r_{i+1} - ln r_i)
            minimum = r_k / 10,  k = argmin_i s_i

        Returns:
            The suggestions; None if the loss did not fall, for then there is nothing to read from the curve.
        """
        kept = slice(round(SKIPPED_FIRST * self.planned), -SKIPPED_LAST)
        rates, smoothed = self.learning_rates[kept], self.smoothed[kept]
        if len(rates) < 2 or smoothed.argmin() == 0:
            return None
        slopes = np.diff(smoothed) / np.diff(np.log(rates))
        return Suggestions(steep=float(rates[slopes.argmin()]), minimum=float(rates[smoothed.argmin()] / 10.0))


def range_test(update: Callable[[int, float], float], learning_rates: npt.NDArray[np.float64]) -> Curve:
    """Update once at each learning rate until the smoothed loss is four times its lowest, or no number (Smith 2017).

    Args:
        update: Makes update n (from 0) at a learning rate, and gives the loss before it.
        learning_rates: (updates,) the rates, growing.

    Raises:
        TrainingError: If the loss of the first update is no number.
    """
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for n, rate in enumerate(learning_rates):
        loss = update(n, float(rate))
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss
        smoothed.append(mean / (1.0 - SMOOTHING ** (n + 1)))
        if smoothed[-1] > DIVERGED * min(smoothed):
            break
    if not losses:
        raise TrainingError(
            f"the loss or its gradient is no number already at the first update, at {learning_rates[0]:g}",
            remedy="No learning rate mends that: look at the weights that the training starts from.",
        )
    return Curve(len(learning_rates), learning_rates[: len(losses)], np.array(losses), np.array(smoothed))
