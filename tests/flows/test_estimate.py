"""`rnnlm estimate` on tiny real texts, with a real Prefect server."""

import json
from pathlib import Path

import pytest
import typer

from rnnlm.cli.app import estimate


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("own_tokenizer", [False, True])
def test_it_prints_a_sentence_and_leaves_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_tokenizer: bool
) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    for name in ("source", "target"):
        lines = [f'"the {name} film was a joy, number {n % 7}",{"good" if n % 2 else "bad"}' for n in range(240)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    corpus = "valid_share: 0.2, test_share: 0.2, drop_duplicates: false"
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\n"
        f"source:\n  corpus: {{files: [{tmp_path / 'source.csv'}], {corpus}}}\n"
        f"  tokenizer: {{kind: word, vocabulary_size: 40}}\n"
        f"target:\n  corpus: {{files: [{tmp_path / 'target.csv'}], label: label, {corpus}}}\n"
        + ("  tokenizer: {kind: word, vocabulary_size: 30}\n" if own_tokenizer else "")
        + "comparison: {labels: [20, all]}\n",
        encoding="utf-8",
    )
    estimate(str(tmp_path / "mine.yaml"))
    output = capsys.readouterr().out
    content = json.loads((tmp_path / "home" / "estimates" / "mine" / "estimate.json").read_text())
    assert content["outlook"] in output
    assert f"{content['own_perplexity']:,.1f}" in output
    assert content["order"] == 5
    assert content["source_model"] is None, "nothing is trained for an estimate"
    # What the run would not take, the estimate does not take either.
    with pytest.raises(typer.Exit):
        estimate(str(tmp_path / "mine.yaml"), ["comparison.labels=[5000]"])
    assert "comparison.labels: 5,000 labels are wanted" in capsys.readouterr().err
