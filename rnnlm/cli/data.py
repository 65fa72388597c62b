"""The commands that look at files before there is an experiment: `rnnlm look` and `rnnlm new`."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnlm.cli.terminal import Traceback, errors_for_people
from rnnlm.errors import ConfigError
from rnnlm.store import home

if TYPE_CHECKING:
    from rnnlm.corpus.survey import Survey

PANEL = "Data"

Data = Annotated[list[str], typer.Argument(metavar="DATA…", help="Files, folders, globs or addresses.")]

# Labels and values that are shown.
_SHOWN = 6
# Characters of a value that are shown.
_WIDTH = 24


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (look, new):
        app.command(rich_help_panel=PANEL)(command)


def look(
    data: Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one line of JSON.")] = False,
    traceback: Traceback = False,
) -> None:
    """Look at files: formats, columns, lengths, scripts, labels, and what may go wrong with them."""
    with errors_for_people(traceback):
        from rnnlm.corpus.survey import survey

        kinds = survey(data, home() / "downloads")
        if as_json:
            typer.echo(json.dumps({"kinds": [_facts(kind) for kind in kinds]}, ensure_ascii=False))
            return
        for position, kind in enumerate(kinds):
            if position:
                typer.echo()
            _show(kind)


def new(
    data: Data,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="DATA", help="Text that a language model learns first; may be repeated."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the label; `-`: none.", show_default="what looks like one"),
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the text.", show_default="what looks like one")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the experiment.", show_default="by the name of the data")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write.", show_default="NAME.yaml")
    ] = None,
    traceback: Traceback = False,
) -> None:
    """Write an experiment for files, ready to run, with sizes that fit the data and this machine."""
    with errors_for_people(traceback):
        from rnnlm.corpus.advice import warnings_of
        from rnnlm.corpus.proposal import Machine, name_of, propose, survey_both

        called = name or name_of(data)
        file = output or Path(f"{called}.yaml")
        if file.exists():
            raise ConfigError("the file is there already.", where=str(file), remedy="Give another --name or --output.")
        if not source:
            raise ConfigError(
                "a source is missing: the text that a language model learns before it is tried on these files.",
                remedy="Give text of the same language with `--source DATA`, as much as you have: other documents of "
                "the same kind, books, news. It needs no labels. Documents of the target are left out of it.",
            )
        wanted = "" if label == "-" else label
        target, taught = survey_both(data, source, home() / "downloads", text=text, label=wanted)
        for of, kind in (("target", target), ("source", taught)):
            for warning in warnings_of(kind):
                typer.echo(f"! {of}: {warning}")
        folder = file.absolute().parent
        command = f"rnnlm run {shlex.quote(file.name)}"
        proposal = propose(target, taught, called, Machine.here(), folder, command)
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(proposal.yaml)
        except FileNotFoundError as error:
            raise ConfigError("there is no such folder.", where=str(folder), remedy="Make it first.") from error
        width = max(map(len, proposal.chosen))
        for what, said in proposal.chosen.items():
            typer.echo(f"{what:<{width}}  {said}")
        typer.echo()
        typer.echo(f"Written  {file}")
        here = "" if folder == Path.cwd() else f"cd {shlex.quote(os.path.relpath(folder))} && "
        typer.echo(f"Run it   {here}{command}")


def _show(kind: "Survey") -> None:
    from rnnlm.corpus.advice import warnings_of

    facts = _facts(kind)
    names = facts["files"]
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    _say(", ".join(names[:3]) + more)
    rows = [("format", _format(facts)), ("documents", _documents(kind, facts))]
    if lengths := facts["characters"]:
        rows.append(
            ("characters", "{median:,} in the middle, 95 % up to {p95:,}, longest {longest:,}".format(**lengths))
        )
    if facts["scripts"]:
        rows.append(("script", ", ".join(f"{name} {share:.1%}" for name, share in facts["scripts"].items())))
    if facts["splits"]:
        rows.append(("splits", ", ".join(f"{split} {count:,}" for split, count in facts["splits"].items())))
    if facts["labels"]:
        rows.append(("labels", _counted(facts["labels"], kind.unlabelled)))
    for name, said in rows:
        _say(f"  {name:<10}  {said}")
    if facts["columns"]:
        width = min(_WIDTH, max(len(column["name"]) for column in facts["columns"]))
        typer.echo()
        _say(f"  {'column':<{max(width, 6)}}  seems      read as  different  empty  for example")
        for column in facts["columns"]:
            name = _cut(column["name"])
            _say(
                f"  {name:<{max(width, 6)}}  {column['seems']:<9}  {column['read_as']:<7}  {column['different']:>9,}  "
                f"{column['empty']:>5,}  {column['example']}".rstrip()
            )
    if found := warnings_of(kind):
        typer.echo()
        for warning in found:
            _say(f"  ! {warning}")


def _say(text: str) -> None:
    """Print text of the data: what would steer a terminal, or has no UTF-8, as Python writes it."""
    shown = (c if c.isprintable() or c in "\u200c\u200d" else c.encode("unicode_escape").decode() for c in text)
    typer.echo("".join(shown))


def _facts(kind: "Survey") -> dict[str, Any]:
    """Return what was seen as plain values."""
    from rnnlm.corpus.advice import warnings_of

    lengths = kind.lengths
    read_as = {name: field for field in ("split", "group", "label") if (name := getattr(kind.corpus, field))}
    read_as |= dict.fromkeys(kind.corpus.texts, "text")
    return {
        "files": [file.name for file in kind.files],
        "format": kind.format,
        "encoding": kind.corpus.encoding if kind.corpus.encoding != "auto" else "utf-8",
        "separator": kind.head.separator,
        "header": kind.head.header if kind.format in ("csv", "tsv") else None,
        "corpus": kind.corpus.model_dump(mode="json", exclude_unset=True),
        "documents": len(kind.documents),
        "whole": kind.whole,
        "empty": kind.empty,
        "duplicates": kind.duplicates,
        "characters": {
            "median": lengths[len(lengths) // 2],
            "p95": lengths[int(0.95 * (len(lengths) - 1))],
            "longest": lengths[-1],
        }
        if lengths
        else {},
        "scripts": {name: round(share, 4) for name, share in kind.scripts.items() if share >= 0.001},
        "splits": kind.splits,
        "overlap": kind.overlap,
        "labels": dict(kind.labels.most_common()),
        "unlabelled": kind.unlabelled,
        "columns": [
            {
                "name": column.name,
                "seems": column.kind,
                "read_as": read_as.get(column.name, ""),
                "different": column.distinct,
                "empty": column.empty,
                "example": _cut(next(iter(column.values), "")),
            }
            for column in kind.columns
        ],
        "warnings": warnings_of(kind),
    }


def _format(facts: dict[str, Any]) -> str:
    parts = [facts["format"], facts["encoding"]]
    if facts["separator"]:
        from rnnlm.corpus.formats.table import SEPARATORS

        parts.append(f"fields separated by {SEPARATORS.get(facts['separator'], repr(facts['separator']))}")
    if facts["header"] is not None:
        parts.append("with a header" if facts["header"] else "no header")
    if facts["format"] == "text":
        parts.append(f"a document is a {facts['corpus'].get('document', 'file')}")
    return ", ".join(parts)


def _documents(kind: "Survey", facts: dict[str, Any]) -> str:
    said = (
        f"{facts['documents']:,}" if kind.whole else f"the first {facts['documents']:,} that were read; there are more"
    )
    notes = [f"{facts[what]:,} {what}" for what in ("empty", "duplicates") if facts[what]]
    return f"{said} ({', '.join(notes)})" if notes else said


def _counted(labels: dict[str, int], unlabelled: int) -> str:
    some: Sequence[tuple[str, int]] = list(labels.items())[:_SHOWN]
    said = ", ".join(f"{_cut(label)} {count:,}" for label, count in some)
    more = f" and {len(labels) - _SHOWN:,} more classes" if len(labels) > _SHOWN else ""
    return said + more + (f"; {unlabelled:,} documents without" if unlabelled else "")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
