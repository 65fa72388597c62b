"""How all figures look. They are drawn without pyplot, so that no global state remains."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# The palette of Okabe and Ito, for every common colour blindness. Its yellow is too pale on white.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#595959"
_WIDTH = 5.2
_STYLE: dict[str, object] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.5,
    # An arm's name is not a formula, and the bytes of a figure depend only on what it shows.
    "text.parse_math": False,
    "svg.hashsalt": "rnnlm",
}


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of an SVG or PNG; equal figures give equal bytes."""
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Apply this style to everything that is drawn inside."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # If the font lacks the script of an arm's name, boxes are drawn. Its marker and the tables still identify it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def blank_figure(height: float) -> Figure:
    """Return a figure of the width of the report's page and of this height in inches."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
