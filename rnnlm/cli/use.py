"""The commands that use a trained model, from `rnnlm score` to `rnnlm export`."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rnnlm import environment
from rnnlm.apart import beside
from rnnlm.cli import terminal
from rnnlm.cli.options import options_of
from rnnlm.cli.terminal import Traceback, batches, errors_for_people
from rnnlm.errors import DataError
from rnnlm.inference.settings import Completing, Correcting, ExportFormat, Rescoring, check
from rnnlm.model.native import native_messages_held

if TYPE_CHECKING:
    from rnnlm.inference.trained import Trained

A = TypeVar("A")

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/VERSION, or the folder of a checkpoint."),
]
Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT…", help="The texts. If there are none, those of --file or the lines of standard input."
    ),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="Texts: one a line, or a table by its ending (.csv, .tsv, .jsonl, .parquet, .conll; .gz).",
        dir_okay=False,
    ),
]
Column = Annotated[str, typer.Option("--column", help="Column of the text, where --file is a table.")]
Encoding = Annotated[
    str, typer.Option("--encoding", help="Encoding of the texts; auto: UTF-8, or UTF-16 with its mark.")
]
Json = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each text, with all there is to say.")]


def score(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Say how probable a language model finds texts: perplexity of a token, bits per character, nats of all."""
    with errors_for_people(traceback):
        trained = _load(model)
        from rnnlm.inference.score import score

        for text, scored in _asked(partial(score, trained), terminal.texts(texts, file, encoding, column)):
            bits = "-" if scored.bits_per_character is None else f"{scored.bits_per_character:.3f}"
            numbers = f"perplexity {scored.perplexity:<9.4g} bits/character {bits:<6} nll {scored.nll:<8.2f}"
            _say(f"{numbers} {_one_line(text)}", asdict(scored) if as_json else None)


def classify(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Say which class a classifier takes texts for, and how sure it is."""
    with errors_for_people(traceback):
        trained = _load(model)
        from rnnlm.inference.predict import classify

        for text, said in _asked(partial(classify, trained), terminal.texts(texts, file, encoding, column)):
            probability = said.probabilities[said.label]
            _say(f"{said.label}  {probability:.3f}  {_one_line(text)}", asdict(said) if as_json else None)


def predict(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Predict a number for each text, with a model that was trained on numbers."""
    with errors_for_people(traceback):
        trained = _load(model)
        from rnnlm.inference.predict import predict
        from rnnlm.targets import three_digits

        for text, said in _asked(partial(predict, trained), terminal.texts(texts, file, encoding, column)):
            decimals = three_digits(said.value)
            _say(f"{said.value:,.{decimals}f}  {_one_line(text)}", asdict(said) if as_json else None)


def tag(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Find the entities in texts, with a model that was trained on tags of words."""
    with errors_for_people(traceback):
        trained = _load(model)
        from rnnlm.inference.predict import marked, tag

        given = terminal.texts(texts, file, encoding, column, in_words=True)
        for batch in batches(given):
            for found in tag(trained, batch):
                _say(marked(found), asdict(found) if as_json else None)


@options_of(Completing)
def complete(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    *,
    how: dict[str, Any],
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Go on with texts: the likeliest words, or with --temperature words drawn by their probability."""
    with errors_for_people(traceback):
        wanted = check(Completing, how)
        completer = _load(model).completer
        for batch in batches(terminal.texts(texts, file, encoding, column)):
            for text in batch:
                found = completer.complete(text, wanted)
                if as_json:
                    _say("", {"completions": [asdict(one) for one in found]})
                    continue
                for one in found:
                    _say(f"{one.log_probability:8.2f}  {one.text}")


@options_of(Rescoring)
def rescore(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT…",
            help="Hypotheses without scores. If there are none, lines of --file or of standard input: each a score, a "
            "TAB and a hypothesis, with an empty line between lists.",
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Such lines.", dir_okay=False)] = None,
    encoding: Encoding = "auto",
    *,
    how: dict[str, Any],
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Put n-best lists in a better order: their scores and the language model's, added up; the best first."""
    with errors_for_people(traceback):
        check(Rescoring, how)
        trained = _load(model)
        from rnnlm.inference.rescore import best_first, rescore

        lists = iter([([], texts)]) if texts else n_best_lists(terminal.texts(None, file, encoding))
        for n, (scores, hypotheses) in enumerate(lists):
            wanted = check(Rescoring, {**how, "scores": scores})
            found = best_first(rescore(trained, hypotheses, wanted))
            if as_json:
                _say("", {"hypotheses": [asdict(one) for one in found]})
                continue
            if n:
                typer.echo()
            for one in found:
                _say(f"{one.total:10.3f}  score {one.score:<10.3f} lm {one.log_probability:<10.3f} {one.text}")


def n_best_lists(given: Iterator[str]) -> Iterator[tuple[list[float], list[str]]]:
    """Read n-best lists: lines of a score, a TAB and a hypothesis, with an empty line between lists.

    Raises:
        DataError: If a line is none; it says which.
    """
    scores: list[float] = []
    hypotheses: list[str] = []
    for number, line in enumerate(given, start=1):
        if not line.strip():
            if scores:
                yield scores, hypotheses
            scores, hypotheses = [], []
            continue
        score, tab, hypothesis = line.partition("\t")
        try:
            scores.append(float(score))
        except ValueError:
            tab = ""
        if not tab:
            raise DataError(
                f"is no score, TAB and hypothesis: {line[:80]!r}",
                where=f"line {number}",
                remedy="Write each hypothesis on a line with its score before it, and an empty line between lists.",
            )
        hypotheses.append(hypothesis)
    if scores:
        yield scores, hypotheses


@options_of(Correcting)
def correct(
    model: Model,
    texts: Texts = None,
    file: File = None,
    column: Column = "text",
    encoding: Encoding = "auto",
    *,
    how: dict[str, Any],
    words: Annotated[
        Path | None,
        typer.Option(
            help="The words that are right: one a line, perhaps with its frequency behind it, or any text, whose words "
            "are counted. If not given, the model's own, if it knows words.",
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Correct the spelling of texts, going by the letters of each word and by the words around it."""
    with errors_for_people(traceback):
        wanted = check(Correcting, how)
        trained = _load(model)
        from rnnlm.inference.correct import correct
        from rnnlm.inference.lexicon import Lexicon

        lexicon = Lexicon.read(words) if words else trained.lexicon
        for batch in batches(terminal.texts(texts, file, encoding, column)):
            for text in batch:
                found = correct(trained, text, wanted, lexicon)
                _say(found.text, asdict(found) if as_json else None)


def export(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="The folder that is written.", file_okay=False)],
    form: Annotated[ExportFormat, typer.Option("--format", help="What other programs read.")] = "saved-model",
    traceback: Traceback = False,
) -> None:
    """Write a model for programs without our Python: token ids to probabilities or numbers."""
    with errors_for_people(traceback):
        environment.prepare()
        with _folder(model) as checkpoint, native_messages_held():
            from rnnlm.inference.export import export

            export(checkpoint(), folder, form)
        typer.echo(f"{'ONNX' if form == 'onnx' else 'SavedModel'}  {folder}")


COMMANDS = (score, classify, predict, tag, complete, rescore, correct, export)


def command(name: str) -> Any:
    """Return the command of this name, for typer's group of all commands."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    (function,) = (one for one in COMMANDS if one.__name__ == name)
    alone.command(name)(function)
    return typer.main.get_command(alone)


def _one_line(text: str) -> str:
    """Return a text, which may be the field of a table, without its line ends."""
    return " ".join(text.splitlines())


def _asked(ask: Callable[[Sequence[str]], list[A]], texts: Iterable[str]) -> Iterator[tuple[str, A]]:
    """Yield each text with what a model says of it."""
    for batch in batches(texts):
        yield from zip(batch, ask(batch), strict=True)


def _say(text: str, row: dict[str, Any] | None = None) -> None:
    """Print a line for people, or in its place a row as JSON."""
    line = json.dumps(row, ensure_ascii=False) if row is not None else text
    # An argument that is no UTF-8 comes as half surrogates, which cannot be printed.
    typer.echo(line.encode("utf-8", "replace").decode())


def _load(model: str) -> "Trained":
    """Load a model by its address in MLflow or its folder."""
    environment.prepare()
    with _folder(model) as folder:
        # TensorFlow comes here, after the environment is prepared, and while MLflow looks for the model.
        from rnnlm.inference.trained import Trained

        return Trained.load(folder())


@contextlib.contextmanager
def _folder(model: str) -> Iterator[Callable[[], Path]]:
    """Look for the checkpoint of a model, a registered one in another process: MLflow takes seconds to load.

    Returns:
        What waits for the checkpoint's folder.
    """
    if model.startswith("models:/"):
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "folder"
            with beside(_write_folder, model, file) as wait:

                def found() -> Path:
                    wait()
                    return Path(file.read_text(encoding="utf-8"))

                yield found
        return
    folder = Path(model)
    if not folder.is_dir():
        from rnnlm.registry.address import how_to_address

        raise DataError("is no folder, and no address of a registered model", where=model, remedy=how_to_address(model))
    yield lambda: folder


def _write_folder(model: str, file: Path) -> None:
    """Write where the checkpoint of a registered model is."""
    from rnnlm.registry import checkpoint_folder

    file.write_text(str(checkpoint_folder(model)), encoding="utf-8")
