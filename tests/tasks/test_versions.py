"""A step that computes something else has another version: golden.json has each step's output on a tiny text.

The cache returns what a step computed under the same version. If the version stays and the output changes, old results
and new ones are mixed. After a change that is meant, raise the version of the step and write the outputs again:

    RNNLM_WRITE_GOLDEN=1 python -m pytest tests/tasks/test_versions.py
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.experiment import Experiment, check_experiment
from rnnlm.plan import CellSpec, Plan, SourceModel, TrainTarget, plan
from rnnlm.refs import CellId, DocumentsRef, Ref, TokensRef
from rnnlm.tokens import Shard, encode_shard, learn, tokenize
from rnnlm.tokens.reverse import reverse
from rnnlm.training.progress import silent
from rnnlm.transfer.fit import fit_language_model
from rnnlm.transfer.run_cell import Inputs, run_cell

GOLDEN = Path(__file__).with_name("golden.json")
# Scores of tiny trainings in float32. Processors differ in the last digits, and dynamic evaluation makes 0.2 % of a
# score out of that. A changed computation differs in the first digits.
TOLERANCE = 5e-3
WORDS = ("film", "plot", "Äpfel", "café", "电影", "music", "scene", "actor")


def rows() -> list[tuple[str, str]]:
    generator = np.random.default_rng(5)
    good, bad = ("great", "funny", "lovely"), ("dull", "weak", "flat")
    found = []
    for n in range(160):
        words = [str(generator.choice(WORDS)) + " is " + str(generator.choice((good, bad)[n % 2])) for _ in range(4)]
        found.append((f"{', '.join(words)} {n}.", "gb"[n % 2]))
    return found


def settings(file: Path) -> Experiment:
    training = {
        "epochs": 2, "batch_size": 4, "window": 8, "learning_rate": 0.02, "evaluations": 1, "precision": "float32"
    }  # fmt: skip
    corpus = {"files": [str(file)], "valid_share": 0.2, "test_share": 0.2}
    return check_experiment(
        {
            "name": "golden",
            "model": {"embedding": 8, "hidden": 8},
            "source": {
                "corpus": corpus,
                "tokenizer": {"kind": "word", "vocabulary_size": 40},
                "language_model": training,
            },
            "target": {
                "corpus": corpus | {"label": "label"},
                "tokenizer": {"kind": "bpe", "vocabulary_size": 300},
                "language_model": training,
                "ngram_order": 3,
                "adaptations": ["cache", "dynamic"],
                "classifier": {
                    "epochs": 1, "min_steps": 6, "batch_size": 8, "evaluations": 1, "learning_rates": [0.01],
                    "precision": "float32",
                },
            },
            "comparison": {
                "arms": ["scratch", "tfidf", "parameter", "linear_map", "feature", "nbsvm", "mean"],
                "labels": [40],
                "validation": "split",
                "seeds": 1,
            },
        }
    )  # fmt: skip


def of_tags(file: Path) -> Experiment:
    """Return the experiment with tags of words in the place of classes."""
    content = settings(file).model_dump(exclude_unset=True)
    target = content["target"]
    target |= {"task": "tagging", "tagger": target.pop("classifier"), "language_model": None, "ngram_order": None}
    target["corpus"] |= {"label": "-1", "drop_duplicates": False}
    content["comparison"] |= {"arms": ["scratch", "crf", "parameter", "mean"], "language_models": False}
    return check_experiment(content)


def write_classes(file: Path) -> None:
    file.write_text("\n".join(["text,label", *(f'"{text}",{label}' for text, label in rows())]), encoding="utf-8")


def write_tags(file: Path) -> None:
    wrong = np.random.default_rng(7)  # a tenth of the tags: what can be learnt exactly would be compared by rounding
    sentences = [
        "".join(
            f"{word}\t{'B-W' if (word in WORDS) != (wrong.random() < 0.1) else 'O'}\n"
            for word in text.replace(",", "").split()
        )
        for text, _ in rows()
    ]
    file.write_text("\n".join(sentences), encoding="utf-8")


def table_digest(file: Path) -> str:
    """Return the digest of a table's content; the file's bytes depend on the version of Arrow, too."""
    rows_of_table = json.dumps(pq.read_table(file).to_pylist(), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(rows_of_table.encode()).hexdigest()[:16]


class Outputs:
    """The outputs of all steps on the tiny text, computed once."""

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder, self.experiment = folder, experiment
        self.documents = ingest(
            experiment.target.corpus,
            folder / "documents",
            downloads=folder,
            label_kind=experiment.target.target_task.labels,
        )
        self.cells: Plan = plan(self.experiment, self.documents.labelled)
        assert self.experiment.target.tokenizer is not None
        self.tokens = tokenize(self.documents, self.experiment.target.tokenizer, folder / "tokens")
        self.source_tokens = tokenize(self.documents, self.experiment.source.tokenizer, folder / "source tokens")
        self._made: dict[CellId | SourceModel, tuple[Ref, dict[str, float]]] = {}

    def need(self, need: CellId | SourceModel) -> tuple[Ref, dict[str, float]]:
        if need not in self._made:
            self._made[need] = self._source() if isinstance(need, SourceModel) else self._cell(self.cells[need])
        return self._made[need]

    def _source(self) -> tuple[Ref, dict[str, float]]:
        final, of = self.folder / "source", self.experiment
        fitted = fit_language_model(
            of.model, self.source_tokens, of.source.language_model, final, start=None, seed=1, report=silent
        )
        return Ref(path=final, sha256=fitted.sha256), fitted.metrics

    def _cell(self, spec: CellSpec) -> tuple[Ref, dict[str, float]]:
        needs = [self.need(need)[0] for need in spec.needs]
        final = self.folder / spec.id.title
        fitted = run_cell(spec, Inputs(needs, {spec.reads: self.tokens}, [self.documents]), final)
        return Ref(path=final, sha256=fitted.sha256), fitted.metrics


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder = tmp_path_factory.mktemp("golden")
    write_classes(folder / "text.csv")
    return Outputs(folder, settings(folder / "text.csv"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder = tmp_path_factory.mktemp("golden tags")
    write_tags(folder / "words.conll")
    return Outputs(folder, of_tags(folder / "words.conll"))


def of_cells(outputs: Outputs, step: str) -> dict[str, float]:
    """Return two scores of each kind of cell that a step computes."""
    from rnnlm.steps.cells import step_of

    found = {}
    for spec in outputs.cells.values():
        if step_of(spec, outputs.cells).name != step:
            continue
        metrics = outputs.need(spec.id)[1]
        kind = spec.work.trainable if isinstance(spec.work, TrainTarget) else spec.work.kind
        for name in ("nll", "valid/nll"):
            found[f"{spec.id.task} {spec.id.arm} ({kind}) {name}"] = metrics[name]
    assert found
    return found


def of_encoded(outputs: Outputs) -> str:
    ref = encode_shard(outputs.documents, outputs.tokens.tokenizer, Shard("train", [0]), outputs.folder / "shard")
    table = pa.ipc.open_file(ref.file).read_all()
    return hashlib.sha256(json.dumps(table.to_pylist(), default=str).encode()).hexdigest()[:16]


def of_tokenizer(documents: DocumentsRef, outputs: Outputs) -> str:
    assert outputs.experiment.target.tokenizer is not None
    ref = learn(documents, outputs.experiment.target.tokenizer, outputs.folder / "tokenizer")
    vocabulary = json.loads(ref.tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    return hashlib.sha256(json.dumps(vocabulary, sort_keys=True).encode()).hexdigest()[:16]


def of_reversed(tokens: TokensRef, outputs: Outputs) -> str:
    return table_digest(reverse(tokens, outputs.folder / "reversed").file)


# What each step makes of the tiny text.
STEPS: dict[str, Callable[[Outputs], Any]] = {
    "ingest": lambda outputs: table_digest(outputs.documents.file),
    "tokenize": lambda outputs: [table_digest(one.file) for one in (outputs.source_tokens, outputs.tokens)],
    "train_tokenizer": lambda outputs: of_tokenizer(outputs.documents, outputs),
    "encode": of_encoded,
    "reverse": lambda outputs: of_reversed(outputs.tokens, outputs),
    "pretrain": lambda outputs: {name: outputs.need(SourceModel())[1][name] for name in ("nll", "valid/nll")},
    "baseline": lambda outputs: of_cells(outputs, "baseline"),
    "finetune": lambda outputs: of_cells(outputs, "finetune"),
}


def version_of(step: str) -> int:
    from rnnlm.steps import cells, ingest, pretrain, tokenize

    rooms = (ingest, tokenize, pretrain, cells)
    found = next(getattr(room, step) for room in rooms if hasattr(getattr(room, step, None), "version"))
    return int(found.version)


TAGGED = ("ingest", "tokenize", "encode", "reverse", "baseline", "finetune")


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_computes_belongs_to_its_version(step: str, outputs: Outputs) -> None:
    check(step, step, outputs)


@pytest.mark.parametrize("step", TAGGED)
def test_what_a_step_makes_of_tags_belongs_to_its_version(step: str, tagged: Outputs) -> None:
    check(step, f"{step}, tags", tagged)


def check(step: str, name: str, outputs: Outputs) -> None:
    """Compare what a step computes with what is kept under a name."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    found, version = STEPS[step](outputs), version_of(step)
    if os.environ.get("RNNLM_WRITE_GOLDEN"):
        golden[name] = {"version": version, "output": found}
        GOLDEN.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    kept = golden[name]
    assert kept["version"] == version, f"write the output of {step} {version} down: see above"
    expected = pytest.approx(kept["output"], rel=TOLERANCE) if isinstance(found, dict) else kept["output"]
    assert found == expected, f"{step} computes something else: raise its version, and write its output down"
