"""How all figures look, drawn without pyplot so that nothing global remains."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common colour blindness; its yellow is too pale on white.
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
    # An arm's name is no formula, and a figure's bytes depend on nothing but what it shows.
    "text.parse_math": False,
    "svg.hashsalt": "rnnlm",
}


def render(figure: Figure, kind: str) -> bytes:
    """Give a figure as the bytes of an SVG or PNG; equal figures give equal bytes."""
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Have what is drawn inside look so."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # An arm's name in a script that the font lacks is drawn as boxes; its marker and the tables still tell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def blank_figure(height: float) -> Figure:
    """Give a figure as wide as the report's page allows, and so many inches high."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
