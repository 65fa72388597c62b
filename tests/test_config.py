"""How an experiment is read: YAML that means what it says, and one error for what cannot be meant."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlm.corpus.addresses import resolve
from rnnlm.errors import ConfigError
from rnnlm.experiment import check_experiment, load_experiment
from rnnlm.settings import Corpus

OF_SOURCE = "name: x\nsource: {corpus: {files: [x.txt]}}\n"


def _file(folder: Path, content: str | bytes) -> str:
    path = folder / "x.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    content = "name: x\nsource:\n  corpus: {files: [a.txt]}\nmodel: {layers: 1}\nsource:\n  task: language_model\n"
    with pytest.raises(ConfigError) as raised:
        load_experiment(_file(tmp_path, content))
    assert "`source` is there twice: in line 2, column 1 and in line 5, column 1" in raised.value.problem
    assert raised.value.where == f"{tmp_path}/x.yaml"
    with pytest.raises(ConfigError, match="`layers` is there twice: in line 1, column 2 and in line 1, column 13"):
        load_experiment("demo", ["model={layers: 1, layers: 2}"])
    with pytest.raises(ConfigError, match="`by` is there twice"):
        load_experiment(_file(tmp_path, "target: {corpus: {replace: [{pattern: a, by: b, by: c}]}}"))


def test_a_key_may_be_there_again_in_what_is_merged(tmp_path: Path) -> None:
    content = "name: x\ntarget: {corpus: &one {files: [x.csv], label: l}}\nsource: {corpus: {<<: *one, label: m}}\n"
    experiment = load_experiment(_file(tmp_path, content))
    assert (experiment.source.corpus.files, experiment.source.corpus.label) == (["x.csv"], "m")


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("[1, 0]", ["1", "0"]),
        ("[yes, no]", ["yes", "no"]),
        ("[true, Off]", ["true", "Off"]),
        ("[1.0, 007]", ["1.0", "007"]),
        ("[2024-01-01]", ["2024-01-01"]),
        ("['1', pos]", ["1", "pos"]),
    ],
)
def test_where_text_is_wanted_it_need_not_be_quoted(tmp_path: Path, written: str, labels: list[str]) -> None:
    content = f"{OF_SOURCE}target: {{corpus: {{files: [x.csv], label: 3, labels: {written}}}}}\n"
    assert load_experiment(_file(tmp_path, content)).target.corpus.labels == labels
    assert load_experiment("demo", [f"target.corpus.labels={written}"]).target.corpus.labels == labels
    assert load_experiment("demo", [f"target.corpus={{files: [x], label: l, labels: {written}}}"]).target.corpus.label


def test_numbers_stay_numbers_and_null_is_nothing() -> None:
    changes = ["comparison.labels=[20, all]", "target.corpus.group=null", "target.corpus.text=[1, title]"]
    experiment = load_experiment("demo", changes)
    assert experiment.comparison.labels == [20, "all"]
    assert experiment.target.corpus.group is None
    assert experiment.target.corpus.texts == ["1", "title"]


def test_labels_of_a_program_may_be_numbers() -> None:
    corpus = Corpus.model_validate({"files": ["x"], "label": 1, "labels": [1, 0, True], "unlabelled": -1})
    assert (corpus.label, corpus.labels, corpus.unlabelled) == ("1", ["1", "0", "true"], "-1")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("target.corpus={files: [x], label_pattern: '('}", "label_pattern: not a regular expression"),
        ("target.corpus={files: [x], label_pattern: 'a{99999999999999999999}'}", "not a regular expression"),
        ("target.corpus={files: [x], label_pattern: 'pos|neg'}", "needs a group"),
        ("target.corpus.replace=[{pattern: '['}]", "replace.0.pattern: not a regular expression"),
        ("target.corpus.replace=[{pattern: a, by: '\\9'}]", "invalid group reference 9"),
        ("target.corpus.replace=[{pattern: a, by: '\\g<x>'}]", "unknown group name"),
        ("target={task: tagging, corpus: {files: [x], label: -1, labels: [O]}}", "target.corpus.labels: it is for"),
        ("target={task: tagging, corpus: {files: [x], label_pattern: (a)}}", "target.corpus.label_pattern: it is for"),
        ("target.corpus.encoding=base64", "no encoding that Python knows"),
        ("target.corpus.encoding=latin-99", "no encoding that Python knows"),
        ("target.corpus.header=false", "'text' is none"),
        ("target.corpus={files: [x], header: false, text: 0}", "'0' is none"),
        ("target.corpus.text=[]", "needs the name of a column"),
        ("target.corpus.text={a: b}", "target.corpus.text"),
        ("target.corpus.valid_share=2024-13-45", "cannot be read as YAML"),
        ("target.corpus.text=[", "cannot be read as YAML"),
        pytest.param("target.corpus.text=" + "[" * 100_000, "cannot be read as YAML", id="deep"),
    ],
)
def test_what_cannot_be_meant_is_one_error(change: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_experiment("demo", [change])
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"name: \xff\n", b"\x00", b"- a\n", b"", b"a: &x [*x]\n", b"? [a]\n: b\n", b"1: 2\n"]
)
def test_a_file_that_is_no_experiment_is_one_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError):
        load_experiment(_file(tmp_path, content))


def test_a_file_of_notepad_is_read(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        content = f"{OF_SOURCE}target: {{corpus: {{files: [über.txt]}}}}\n".encode(encoding)
        assert load_experiment(_file(tmp_path, content)).target.corpus.files == ["über.txt"]


@pytest.mark.parametrize("missing", ["name", "source", "target"])
def test_nothing_of_another_experiment_stands_in_for_what_a_file_lacks(missing: str) -> None:
    content = {name: value for name, value in load_experiment("demo").model_dump().items() if name != missing}
    with pytest.raises(ConfigError, match=f"^{missing}: "):
        check_experiment(content)


@pytest.mark.parametrize("part", ["source", "target"])
def test_each_side_needs_a_corpus(part: str) -> None:
    content = load_experiment("demo").model_dump()
    del content[part]["corpus"]
    with pytest.raises(ConfigError, match=rf"^{part}\.corpus: "):
        check_experiment(content)


def test_without_libyaml_files_are_read_all_the_same() -> None:
    code = """
import sys
sys.modules["yaml._yaml"] = None
from rnnlm.experiment import load_experiment
import yaml
assert not yaml.__with_libyaml__
print(load_experiment("demo", ["target.corpus.label=yes"]).target.corpus.label)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "yes\n"


def test_what_is_wrong_in_a_file_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)found character '@'.*title: @home"):
        load_experiment(_file(tmp_path, b"title: @home\n"))


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("data/a?.txt", "data/a?.txt"),
        ("s3://bucket/**/*.txt", "s3://bucket/**/*.txt"),
        ("https://host/x.csv?download=1", "https://host/x.csv?download=1"),
        ("https://me:secret@host/x.csv", "https://***@host/x.csv"),
        ("https://host/x.csv?v=2&api_key=secret#part", "https://host/x.csv?v=2&api_key=***#part"),
        ("https://host/x.csv?se=2027&sig=secret%2Fx", "https://host/x.csv?se=2027&sig=***"),
        ("https://host/x.csv?id=1aB-2cD-3eF-4gH-5iJ-6kL-7mN", "https://host/x.csv?id=1aB-2cD-3eF-4gH-5iJ-6kL-7mN"),
        ("https://me:sec@ret@host/x.csv#token=secret", "https://***@host/x.csv#token=***"),
        ("zip://a?.txt::https://host/x.zip?token=secret", "zip://a?.txt::https://host/x.zip?token=***"),
        ("zip://a.csv::ftp://me:secret@host/x.zip", "zip://a.csv::ftp://***@host/x.zip"),
    ],
)
def test_what_is_written_of_an_address_has_no_password(address: str, written: str) -> None:
    corpus = Corpus(files=[address], exclude=[address])
    assert corpus.model_dump(mode="json")["exclude"] == [written]
    assert json.loads(corpus.model_dump_json())["files"] == [written]
    assert corpus.model_dump()["files"] == [address], "it is read from there"
    assert corpus.model_dump(mode="json", context={"secrets": True})["files"] == [address]


def test_a_password_that_was_left_out_is_asked_for(tmp_path: Path) -> None:
    corpus = Corpus(files=["https://***@host/x.csv"])
    with pytest.raises(ConfigError, match=r"host/x.csv: has \*\*\* in place of a password or a key. Put it in again"):
        resolve(corpus, downloads=tmp_path)
