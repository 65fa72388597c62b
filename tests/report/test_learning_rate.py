import json
from pathlib import Path

import numpy as np
import pytest

from rnnlm.report.learning_rate import draw_learning_rate, write_learning_rate
from rnnlm.training.range_test import Curve

RATES = np.geomspace(1e-7, 10.0, 200)


def curve(lowest: float, rise: float = 3.0) -> Curve:
    """A loss that falls from 7 to 5 around a rate and rises again behind it."""
    away = np.log10(RATES / lowest)
    losses = 7.0 - 2.0 * np.exp(-(away**2)) + np.where(away > 0, rise * away**2, 0.0)
    return Curve(200, RATES, losses, losses)


def test_the_file_says_what_the_curve_suggests(tmp_path: Path) -> None:
    some = curve(0.1)
    write_learning_rate(some, 0.015, tmp_path)
    content = json.loads((tmp_path / "learning-rate.json").read_text())
    found = some.suggestions()
    assert found is not None
    assert content["suggestions"] == {"steep": found.steep, "minimum": found.minimum}
    assert content["suggestions"]["minimum"] == pytest.approx(0.01, rel=0.2)
    assert content["present"] == 0.015
    np.testing.assert_array_equal(content["learning_rates"], RATES)
    np.testing.assert_array_equal(content["smoothed"], some.smoothed)
    picture = (tmp_path / "learning-rate.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    write_learning_rate(some, 0.015, tmp_path)
    assert (tmp_path / "learning-rate.png").read_bytes() == picture


def test_the_figure_marks_the_suggestions_and_the_divergence_does_not_flatten_the_fall() -> None:
    some = curve(0.1, rise=100.0)
    found = some.suggestions()
    assert found is not None
    figure = draw_learning_rate(some, 0.015)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    upright = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]  # type: ignore[arg-type,index]
    assert upright == [0.015, found.minimum, found.steep]
    low, high = axes.get_ylim()
    assert low < some.losses.min()
    assert 2.0 / (high - low) > 0.5, "the fall from 7 to 5 fills most of the picture"


def test_a_curve_without_suggestions_is_drawn_too(tmp_path: Path) -> None:
    flat = Curve(200, RATES[:1], np.array([5.0]), np.array([5.0]))
    write_learning_rate(flat, 0.015, tmp_path)
    assert json.loads((tmp_path / "learning-rate.json").read_text())["suggestions"] is None
