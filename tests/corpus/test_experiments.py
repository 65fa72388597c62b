"""The experiments that come with the project."""

import re
from pathlib import Path

import pytest

from rnnlm.corpus import ingest
from rnnlm.corpus.clean import cleaner
from rnnlm.experiment import load_experiment
from rnnlm.settings import Corpus
from rnnlm.store import EXPERIMENTS

BOTH = "name: x\nsource: {corpus: {files: [s.txt]}}\ntarget: {corpus: {files: [t.txt]}}\n"


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_name_is_the_file_name(file: Path) -> None:
    assert load_experiment(str(file)).name == file.stem


def test_chinese_strips_tags_brackets_and_spaces() -> None:
    clean = cleaner(load_experiment("chinese").source.corpus)
    assert clean("[中央/n  人民/n  广播/vn  电台/n]nt  向/p  “/w  新/a  世纪/n  ”/w") == "中央人民广播电台向“新世纪”"
    assert clean("（/w  附/v  图片/n  １/m  张/q  ）/w  \n") == "（附图片１张）"


def test_chinese_labels_by_file_name() -> None:
    corpus = load_experiment("chinese").target.corpus
    assert corpus.label_pattern is not None
    labels = [re.search(corpus.label_pattern, address) for address in corpus.files]
    assert [match and match[1] for match in labels] == ["neg", "pos"]


def test_article_keeps_the_official_split() -> None:
    corpus = load_experiment("article").source.corpus
    assert (corpus.format, corpus.drop_duplicates, corpus.drop_overlap) == ("aclimdb", False, False)


def test_article_reads_tables_instead_as_its_comment_says(tmp_path: Path) -> None:
    comment = (EXPERIMENTS / "article.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
    overrides = re.findall(r"--set (\S+)", comment.partition("As two tables")[2])
    for name in ("train", "test"):
        rows = [f"{number % 2}\t{name} review {number}<br />end" for number in range(100)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["label\ttext", *rows]), encoding="utf-8")
    overrides = [override.replace("=[t", f"=[{tmp_path}/t").replace(".gz", "") for override in overrides]
    corpus: Corpus = load_experiment("article", overrides).source.corpus
    ref = ingest(corpus, tmp_path / "out", downloads=tmp_path)
    assert ref.labels == ["0", "1"]
    assert ref.documents["train"] + ref.documents["valid"] == ref.documents["test"] == 100


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{hidden: 32, layers: 1}", True),
        ("{layers: 1}", False),
        ("{hidden: 32}", False),
        ("{hidden: 32, layers: 2}", False),
    ],
)
def test_a_width_without_effect_is_a_warning(
    model: str, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.yaml").write_text(f"{BOTH}model: {model}\n", encoding="utf-8")
    load_experiment(str(tmp_path / "x.yaml"))
    assert [message.startswith("model.hidden (32) has no effect") for message in caplog.messages] == [True] * said
