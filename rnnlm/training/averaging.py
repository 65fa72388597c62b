"""Averages of the weights along a training: those are evaluated and published, the raw ones go on training."""

from rnnlm.settings import LanguageModelTraining


def averaging_rate(settings: LanguageModelTraining, step: int, triggered: int | None) -> float:
    """Return the share by which the average moves to the raw weights after a step; 0: there is no average yet.

    Args:
        settings: Kind of averaging, and its decay.
        step: Steps taken, this one included.
        triggered: nt_asgd: the step after which averaging began; None if it has not yet.

    Returns:
        ema: 1 - decay, more in the first steps, so that the random start is forgotten (Tan & Le 2019 use the same).
        nt_asgd: 1 / n at the n-th step since it began, which makes a plain mean (Merity et al. 2018).
    """
    if settings.averaging == "ema":
        return 1.0 - min(settings.ema_decay, (1.0 + step) / (10.0 + step))
    if settings.averaging == "nt_asgd" and triggered is not None:
        return 1.0 / (step - triggered)
    return 0.0


def is_triggered(scores: list[float], trigger_after: int) -> bool:
    """Return whether averaging begins: the newest score is worse than the best, but for the `trigger_after` before it.

    The non-monotonic criterion of NT-ASGD (Merity et al. 2018, algorithm 1, and the authors' program).

    Args:
        scores: Negative log-likelihood at each evaluation so far, the newest last.
        trigger_after: Evaluations just before the newest that are left out of the comparison.
    """
    # max: a negative end would count from the back.
    before = scores[: max(0, len(scores) - 1 - trigger_after)]
    return bool(before) and scores[-1] > min(before)
