"""The commands that use a model, each started in this process with a tiny one."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from rnnlm import settings as config
from rnnlm.cli import app as cli
from rnnlm.cli import use
from rnnlm.errors import DataError
from rnnlm.inference.settings import Completing, Rescoring

TEXTS = ["the film was a delight", "一部很好的电影", "great 😀 fun"]

Start = Callable[..., Result]


def write(folder: Path, labels: list[str]) -> Path:
    from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
    from rnnlm.model.language_model import LanguageModel
    from rnnlm.model.target_model import TargetModel
    from rnnlm.tokens import TextTokenizer
    from rnnlm.tokens.kinds import train

    train(config.Tokenizer(), [TEXTS] * 3).save(str(folder / "own.json"))
    size = TextTokenizer.load(folder / "own.json").size
    settings = config.Model(embedding=8, hidden=8, layers=1)
    training = config.ClassifierTraining() if labels else None
    model = TargetModel(settings, training, size, len(labels)) if training else LanguageModel(settings, size)
    description = Description(
        kind="classifier" if labels else "language_model",
        settings=settings,
        vocabulary_size=size,
        classifier=training,
        labels=labels,
    )
    Checkpoint(description, get_weights(model)).save(folder, folder / "own.json")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("model"), []))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("classifier"), ["neg", "pos"]))


@pytest.fixture
def start() -> Start:
    def call(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(cli.app, arguments, input=given)

    return call


def test_texts_are_arguments_or_lines_of_a_file_or_of_standard_input(start: Start, model: str, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("\n".join(TEXTS) + "\n\n", encoding="utf-8")
    rows = [json.loads(line) for line in start("score", model, *TEXTS, "--json").stdout.splitlines()]
    assert [set(row) for row in rows] == [{"nll", "tokens", "perplexity", "bits_per_character"}] * 3
    from_file = start("score", model, "--json", "--file", str(tmp_path / "texts")).stdout.splitlines()
    assert [json.loads(line)["tokens"] for line in from_file] == [*(row["tokens"] for row in rows), 1]
    piped = start("score", model, "--json", given="\n".join(TEXTS)).stdout.splitlines()
    assert [json.loads(line)["tokens"] for line in piped] == [row["tokens"] for row in rows]


def test_texts_may_be_in_any_format_that_corpora_have(
    start: Start, model: str, classifier: str, tmp_path: Path
) -> None:
    """Never are bytes scored that are no text."""
    table = "".join(f'"{text}",1\n' for text in TEXTS)
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "x.parquet")
    with zipfile.ZipFile(tmp_path / "x.txt.zip", "w") as archive:
        archive.writestr("x.txt", "\n".join(TEXTS))
    (tmp_path / "x.csv").write_text(f"text,label\n{table}", encoding="utf-8")
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress("\n".join(json.dumps({"text": t}) for t in TEXTS).encode()))
    (tmp_path / "x.log.gz").write_bytes(gzip.compress("\n".join(TEXTS).encode()))
    (tmp_path / "x.txt").write_text("\n".join(TEXTS), encoding="utf-16")
    wanted = start("score", model, *TEXTS).stdout
    for path in sorted(tmp_path.iterdir()):
        assert start("score", model, "--file", str(path)).stdout == wanted, path.name
    assert len(start("classify", classifier, "--file", str(tmp_path / "x.csv")).stdout.splitlines()) == 3
    (tmp_path / "y.csv").write_text(f"review text;label\n{table.replace(',', ';')}", encoding="utf-8")
    assert start("score", model, "--file", str(tmp_path / "y.csv"), "--column", "review text").stdout == wanted
    (tmp_path / "y.txt").write_bytes("der Müll ist schön".encode("cp1252"))
    assert start("score", model, "--file", str(tmp_path / "y.txt"), "--encoding", "cp1252").exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("x.pdf", b"%PDF-1.7", "a PDF"),
        ("x.txt", gzip.compress(b"text", mtime=0), "gzip"),
        ("x.csv", b"body,label\na,b\n", "no column 'text'; there are: body, label. Give the name by `--column`"),
        ("x.txt", "der Müll ist schön".encode("cp1252"), "Set `--encoding cp1252`"),
        ("x.txt", "der Müll ist schön".encode("utf-16-le"), "Set `--encoding utf-16-le`"),
    ],
)
def test_a_file_that_is_no_text_is_one_message(
    start: Start, model: str, tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    (tmp_path / name).write_bytes(content)
    result = start("score", model, "--file", str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (1, "")
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_standard_input_that_is_no_text_is_refused(start: Start, model: str) -> None:
    result = CliRunner().invoke(cli.app, ["score", model], input=gzip.compress(b"text", mtime=0))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "standard input: this is compressed by gzip" in result.stderr
    assert CliRunner().invoke(cli.app, ["score", model, "--encoding", "nope"], input=b"text").exit_code == 1


def test_scores_are_for_people_by_default(start: Start, model: str) -> None:
    lines = start("score", model, *TEXTS, "").stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("perplexity ") and text in line for line, text in zip(lines, TEXTS, strict=False))
    assert "bits/character - " in lines[3]


def test_a_classifier_classifies(start: Start, classifier: str) -> None:
    line = start("classify", classifier, "the film").stdout.strip()
    assert line.split()[0] in ("neg", "pos")
    assert line.endswith("the film")
    (row,) = [json.loads(line) for line in start("classify", classifier, "the film", "--json").stdout.splitlines()]
    assert sum(row["probabilities"].values()) == pytest.approx(1.0)


def test_completions_come_one_a_line(start: Start, model: str) -> None:
    result = start("complete", model, "The film", "--n", "3", "--max-tokens", "2", "--beams", "5")
    assert len(result.stdout.splitlines()) == 3
    assert all(line[10:].startswith("The film") for line in result.stdout.splitlines())
    drawn = ["complete", model, "The film", "--temperature", "1", "--seed", "4", "--top-k", "9", "--top-p", "0.9"]
    assert start(*drawn).stdout == start(*drawn).stdout
    (row,) = [json.loads(line) for line in start(*drawn, "--json").stdout.splitlines()]
    assert row["completions"][0]["text"].startswith("The film")


def test_n_best_lists_come_in_a_better_order(start: Start, model: str) -> None:
    given = "-1\tthe film\n-2.5\ta film\n\n\n0\tgreat fun\n"
    result = start("rescore", model, "--weight", "0", given=given)
    shown = [line for line in result.stdout.splitlines() if line]
    assert [line.split(maxsplit=5)[-1] for line in shown] == ["the film", "a film", "great fun"]
    assert result.stdout.splitlines()[2] == ""
    rows = [
        json.loads(line) for line in start("rescore", model, "--json", "--weight", "0", given=given).stdout.splitlines()
    ]
    assert [[one["text"] for one in row["hypotheses"]] for row in rows] == [["the film", "a film"], ["great fun"]]
    alone = start("rescore", model, "the film", "great fun", "--json").stdout
    assert [one["rank"] for one in json.loads(alone)["hypotheses"]] == [1, 2]


@pytest.mark.parametrize("line", ["the film", "good\tthe film", "1 the film"])
def test_a_line_that_is_no_hypothesis_is_named(line: str) -> None:
    with pytest.raises(DataError, match="line 3: is no score, TAB and hypothesis"):
        list(use.n_best_lists(iter(["1\ta", "", line])))


def test_spelling_is_corrected_line_by_line(start: Start, model: str, tmp_path: Path) -> None:
    assert start("correct", model, given="The flim wsa fun!\n\nno\n").stdout == "The film was fun!\n\nno\n"
    (tmp_path / "words").write_text("flam 10\nfluff 3\n", encoding="utf-8")
    options = ["--words", str(tmp_path / "words"), "--penalty", "0", "--distance", "2", "--json"]
    (row,) = [json.loads(line) for line in start("correct", model, "the flim", *options).stdout.splitlines()]
    assert {one["word"] for one in row["words"][0]["candidates"]} == {"flam", "flim"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["score", "{nowhere}", "a"], "is addressed as models:/NAME@champion"),
        (["score", "{model}", "--file", "{nowhere}"], "nowhere: there is no such file"),
        (["classify", "{model}", "a"], "a language model answers"),
        (["complete", "{classifier}", "a"], "a classifier answers"),
        (["complete", "{model}", "a", "--n", "0"], "n: input should be greater than or equal to 1"),
        (["correct", "{model}", "a", "--distance", "5"], "distance: input should be less than or equal to 2"),
        (["rescore", "{model}", "a", "--weight", "nan"], "weight: input should be a finite number"),
    ],
)
def test_what_is_wrong_is_one_message(
    start: Start, model: str, classifier: str, tmp_path: Path, arguments: list[str], named: str
) -> None:
    places = {"nowhere": str(tmp_path / "nowhere"), "model": model, "classifier": classifier}
    result = start(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr.replace("A ", "a ").replace("Input", "input")


def test_a_model_is_exported(start: Start, model: str, tmp_path: Path) -> None:
    result = start("export", model, str(tmp_path / "saved"))
    assert result.stdout == f"SavedModel  {tmp_path / 'saved'}\n"
    assert (tmp_path / "saved" / "saved_model.pb").is_file()
    result = start("export", model, str(tmp_path / "onnx"), "--format", "onnx")
    assert result.stdout == f"ONNX  {tmp_path / 'onnx'}\n"
    assert sorted(file.name for file in (tmp_path / "onnx").glob("*.onnx")) == ["next.onnx", "nll.onnx"]


def test_a_registered_model_is_used_by_its_address(start: Start, model: str, mlflow_store: str) -> None:
    import mlflow

    from rnnlm.refs import CheckpointRef
    from rnnlm.registry import register
    from rnnlm.store import file_sha256

    checkpoint = CheckpointRef(
        path=Path(model),
        sha256=file_sha256(Path(model) / "weights.safetensors"),
        kind="language_model",
        metrics={},
        seconds=1.0,
        tokens_sha256="",
        recorded_as="",
    )
    run_id = mlflow.MlflowClient().create_run("0").info.run_id
    register(checkpoint, name="tiny", alias="champion", run_id=run_id, tags={})
    direct = start("score", model, "the film")
    assert start("score", "models:/tiny@champion", "the film").stdout == direct.stdout
    assert start("score", "models:/tiny/1", "the film").stdout == direct.stdout
    missing = start("score", "models:/tiny@nobody", "the film")
    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: models:/tiny@nobody: there is no such model")
    plain = start("score", "tiny", "the film")
    assert plain.exit_code == 1
    assert "models:/NAME@champion" in plain.stderr
    assert "near this name is: tiny" in plain.stderr


@pytest.mark.parametrize(("command", "settings"), [("complete", Completing), ("rescore", Rescoring)])
def test_every_setting_that_is_no_list_is_an_option_with_its_default(command: str, settings: type[BaseModel]) -> None:
    options = {option.name: option for option in use.command(command).params}
    for name, field in settings.model_fields.items():
        if isinstance(field.default, list):
            assert name not in options
        else:
            assert (options[name].default, options[name].help) == (field.default, field.description)
            assert options[name].opts == [f"--{name.replace('_', '-')}"]
