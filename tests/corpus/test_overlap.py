"""Documents of one corpus that stand in another."""

from pathlib import Path

from rnnlm.corpus import ingest, leak_sentence, read_before
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus


def corpus(folder: Path, name: str, **splits: list[str]) -> DocumentsRef:
    files = {}
    for split, lines in splits.items():
        path = folder / f"{name}-{split}.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        files[split] = [str(path)]
    return ingest(
        Corpus.model_validate(files | {"document": "line", "drop_empty": False}), folder / name, downloads=folder
    )


def test_only_what_the_source_reads_of_the_test_split_counts(tmp_path: Path) -> None:
    source = corpus(tmp_path, "source", train=["a", "b ", "c", ""], valid=["d"], test=["e"])
    target = corpus(tmp_path, "target", train=["c", "f"], valid=["g"], test=["b", "d", "e", ""])
    assert read_before(source, target) == 2
    assert read_before(target, source) == 0
    assert "2 of the target's 4 test documents" in leak_sentence(2, 4)
