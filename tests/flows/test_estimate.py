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
    estimate([str(tmp_path / "mine.yaml")])
    output = capsys.readouterr().out
    content = json.loads((tmp_path / "home" / "estimates" / "mine" / "estimate.json").read_text())
    assert content["outlook"] in output
    assert f"{content['own_perplexity']:,.1f}" in output
    assert content["order"] == 5
    assert content["source_model"] is None, "nothing is trained for an estimate"
    # What the run would not take, the estimate does not take either.
    with pytest.raises(typer.Exit):
        estimate([str(tmp_path / "mine.yaml")], ["comparison.labels=[5000]"])
    assert "comparison.labels: 5,000 labels are wanted" in capsys.readouterr().err


@pytest.mark.usefixtures("prefect")
def test_several_sources_are_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    kept = "the film was a joy from the first minute to the last"
    texts = {
        "target": [f"{kept}, said number {n * 37 % 101} of {n}" for n in range(240)],
        "near": [f"{kept}, wrote number {n * 37 % 101} of {n}" for n in range(800)],
        "far": [f"shares of {n} fell by {n * 37 % 101} per cent in the morning" for n in range(800)],
    }
    for name, lines in texts.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = "document: line, valid_share: 0.2, test_share: 0.2"

    def write(source: str, target: str = "target") -> str:
        file = tmp_path / f"{source}-{target}.yaml"
        file.write_text(
            f"name: {source}-{target}\n"
            f"source:\n  corpus: {{files: [{tmp_path / source}.txt], {corpus}}}\n"
            "  tokenizer: {kind: word, vocabulary_size: 100}\n"
            f"target:\n  corpus: {{files: [{tmp_path / target}.txt], {corpus}}}\n"
            "  tokenizer: {kind: word, vocabulary_size: 200}\n",
            encoding="utf-8",
        )
        return str(file)

    near, far = write("near"), write("far")
    estimate([far, near])
    output = capsys.readouterr().out
    assert "Of these sources, near-target is the best" in output
    assert "It is better than each of the others." in output
    content = json.loads((tmp_path / "home" / "estimates" / "far-target-or-near-target" / "ranking.json").read_text())
    best, other = content["sources"]
    assert (best["name"], best["behind"], other["name"]) == ("near-target", None, "far-target")
    assert other["behind"]["value"] == pytest.approx(other["bits"] - best["bits"])
    # They have one tokenizer: what one source leaves more, it saves less.
    saved = [source["estimate"]["saved"]["value"] for source in (best, other)]
    assert other["behind"]["value"] == pytest.approx(saved[0] - saved[1])
    assert other["behind"]["low"] > 0.0
    for names, said in (((near, near), "two experiments are called"), ((near, write("far", "near")), "have different")):
        with pytest.raises(typer.Exit):
            estimate(list(names))
        assert said in capsys.readouterr().err
