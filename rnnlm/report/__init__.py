"""The report of a comparison: for people (`report.html`, markdown, figures) and for programs (`verdict.json`)."""

from rnnlm.report.drawing import figures
from rnnlm.report.writing import markdown, table, write_report

__all__ = ["figures", "markdown", "table", "write_report"]
