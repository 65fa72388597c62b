"""Perplexity on WikiText-2, by its usual rules, and what the regularisers are worth.

    python -m benchmarks.wikitext2 --data FOLDER             the recipe below, within two hours on two cores
    python -m benchmarks.wikitext2 --data FOLDER --ablation  a fifth of the text, groups of regularisers left out
    python -m benchmarks.wikitext2 --data FOLDER --ngrams    Kneser-Ney and Good-Turing, orders 1 to 6, in two minutes;
                                                             mixed with the first one's model, if it was trained here
    … --epochs 4                                             the recipe with a schedule of 4 epochs instead of 13, and
                                                             the n-grams mixed with that model

FOLDER contains wiki.{train,valid,test}.tokens (or .tokens.gz). The rules: the corpus' own tokens and closed vocabulary
of 33,278 are used, and `<unk>` and one `<eos>` per line count. Every token is scored once, with the state carried on
through 16 rows of running text (at the 15 cuts the context is lost, which costs a little). The validation split chooses
the checkpoint. The test split is scored once, at the end. A run that was stopped continues where it was.
"""

import argparse
import hashlib
import importlib.metadata
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import fsspec
from pydantic import BaseModel

from benchmarks.machine import machine_facts
from rnnlm.arms import arm_named
from rnnlm.corpus import ingest
from rnnlm.errors import DataError
from rnnlm.refs import SPLITS, TokensRef
from rnnlm.settings import Corpus, Dropout, LanguageModelTraining, Model, Tokenizer
from rnnlm.store import home
from rnnlm.tokens import tokenize
from rnnlm.training.progress import Progress
from rnnlm.transfer.cell import Fitted

logger = logging.getLogger("rnnlm.benchmark")

RESULTS = Path(__file__).resolve().parent.parent / "results"
SEED = 1882  # of Merity et al. for WikiText-2


class Recipe(BaseModel):
    """A model and how it is trained."""

    name: str
    model: Model
    training: LanguageModelTraining


# Rates of dropout below those of Merity et al. 2018 (input 0.65, hidden 0.2, output 0.4, weight 0.5), which are for 750
# epochs; two hours are enough for 13. With the exact softmax, which takes three quarters of the operations, for 8.
FULL = Recipe(
    name="full",
    model=Model(
        embedding=300,
        hidden=650,
        layers=2,
        softmax="adaptive",
        dropout=Dropout(input=0.4, hidden=0.2, output=0.4, embedding=0.1, weight=0.3),
    ),
    training=LanguageModelTraining(
        epochs=13,
        batch_size=32,
        window=70,
        vary_window=True,
        learning_rate=0.003,
        weight_decay=0.01,
        clip_norm=0.25,
        activation_penalty=2.0,
        temporal_penalty=1.0,
        averaging="ema",
        evaluations=13,
    ),
)
# Small enough for eight trainings in two hours. On a fifth of the text, because regularisers are against overfitting: a
# model that has not read its text often enough only learns more slowly with them.
SHARE = 0.2
SMALL = FULL.model_copy(
    update={
        "name": "all regularisers",
        "model": FULL.model.model_copy(update={"embedding": 200, "hidden": 300}),
        "training": FULL.training.model_copy(update={"epochs": 12.0, "evaluations": 6}),
    }
)


def without(recipe: Recipe, name: str, dropout: dict[str, float] | None = None, **training: object) -> Recipe:
    """Return a recipe with rates of dropout or settings of the training changed."""
    model = recipe.model.model_copy(update={"dropout": recipe.model.dropout.model_copy(update=dropout or {})})
    return Recipe(name=name, model=model, training=recipe.training.model_copy(update=training))


def lasting(epochs: int) -> Recipe:
    """Return the full recipe with a schedule of this number of epochs."""
    if epochs == FULL.training.epochs:
        return FULL
    training = FULL.training.model_copy(update={"epochs": float(epochs), "evaluations": epochs})
    return FULL.model_copy(update={"name": f"{epochs} epochs", "training": training})


ABLATION = [
    SMALL,
    without(SMALL, "no weight drop", {"weight": 0.0}),
    without(SMALL, "no word-type dropout", {"embedding": 0.0}),
    without(SMALL, "no dropout of input, hidden, output", {"input": 0.0, "hidden": 0.0, "output": 0.0}),
    without(SMALL, "no AR and TAR", activation_penalty=0.0, temporal_penalty=0.0),
    without(SMALL, "no averaging", averaging="none"),
    without(SMALL, "no variable windows", vary_window=False),
    without(
        SMALL,
        "none of them",
        {"weight": 0.0, "embedding": 0.0, "input": 0.0, "hidden": 0.0, "output": 0.0},
        activation_penalty=0.0,
        temporal_penalty=0.0,
        averaging="none",
        vary_window=False,
    ),
]


def read_tokens(data: Path, work: Path, share: float = 1.0) -> TokensRef:
    """Ingest and tokenize the corpus, once.

    Args:
        data: Folder of the three files.
        work: Folder to write to.
        share: Share of the training text's lines, from its beginning. The vocabulary is that of the whole text.
    """
    done = work / f"tokens-{share}.json"
    if not done.is_file():
        splits = {split: _file(data, split) for split in SPLITS}
        tokenizer: Tokenizer | Path = Tokenizer(kind="whitespace")
        if share < 1.0:
            tokenizer = read_tokens(data, work).tokenizer
            with fsspec.open(splits["train"], "rt", encoding="utf-8", compression="infer") as file:
                lines = list(file)
            splits["train"] = str(work / f"wiki.train.{share}.tokens")
            Path(splits["train"]).write_text("".join(lines[: int(share * len(lines))]), encoding="utf-8")
        corpus = Corpus(
            **{split: [file] for split, file in splits.items()},
            document="line",
            drop_empty=False,
            drop_duplicates=False,
            drop_overlap=False,
        )
        documents = ingest(corpus, work / f"documents-{share}", downloads=work / "downloads")
        tokens = tokenize(documents, tokenizer, work / f"tokens-{share}")
        done.write_text(tokens.model_dump_json(), encoding="utf-8")
    return TokensRef.model_validate_json(done.read_text(encoding="utf-8"))


def _file(data: Path, split: str) -> str:
    found = sorted(data.glob(f"wiki.{split}.tokens*"))
    if not found:
        raise DataError(f"there is no wiki.{split}.tokens", where=str(data), remedy="Give the folder of WikiText-2.")
    return str(found[0])


def _trained(recipe: Recipe, tokens: TokensRef, work: Path) -> Path:
    """Return the folder of a recipe's model."""
    from rnnlm.training.language_model import VERSION

    content = json.dumps([recipe.model_dump(), tokens.sha256, SEED, VERSION], sort_keys=True)
    return work / hashlib.sha256(content.encode()).hexdigest()[:16]


def train(recipe: Recipe, tokens: TokensRef, work: Path) -> dict[str, Any]:
    """Train by a recipe, unless that was done before. Return the row of the table."""
    from rnnlm.transfer.fit import fit_language_model

    folder = _trained(recipe, tokens, work)
    result = folder / "result.json"
    shown = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal shown
        if progress.metrics or time.monotonic() - shown > 30.0:
            logger.info("%s: %s", recipe.name, progress)
            shown = time.monotonic()

    if not result.is_file():
        fitted = fit_language_model(
            recipe.model,
            tokens,
            recipe.training,
            folder,
            start=None,
            seed=SEED,
            report=report,
            states=work / "training",
        )
        found = {
            "name": recipe.name,
            "valid_perplexity": fitted.metrics["valid/perplexity"],
            "test_perplexity": fitted.metrics["perplexity"],
            "seconds": fitted.seconds,
            "precision": fitted.precision,
            "training_tokens": tokens.tokens["train"],
            "recipe": recipe.model_dump(),
            "machine": machine_facts(),
            "versions": {name: importlib.metadata.version(name) for name in ("keras", "tensorflow")},
        }
        result.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return dict(json.loads(result.read_text(encoding="utf-8")))


def score_ngrams(recipe: Recipe, tokens: TokensRef, work: Path) -> list[dict[str, Any]]:
    """Score the traditional models, and their mixture with the model of a recipe if it was trained here."""
    from rnnlm.transfer.tradition import SMOOTHINGS, fit_mixture, fit_ngram

    results = []

    def add(name: str, fitted: Fitted) -> None:
        found = {"name": name, "valid_perplexity": fitted.metrics["valid/perplexity"]}
        found |= {"test_perplexity": fitted.metrics["perplexity"], "seconds": fitted.seconds, "precision": "float64"}
        found |= {"training_tokens": tokens.tokens["train"], "machine": machine_facts()}
        results.append(found)
        logger.info("%s: test perplexity %.2f", name, found["test_perplexity"])

    with tempfile.TemporaryDirectory(dir=work) as folder:
        for order in range(6, 0, -1):
            for smoothing in SMOOTHINGS:
                name = f"{arm_named(smoothing).title}, order {order}"
                add(name, fit_ngram(smoothing, order, tokens, Path(folder) / name))
        trained = _trained(recipe, tokens, work)
        if (trained / "result.json").is_file():
            results.append(train(recipe, tokens, work) | {"name": f"LSTM, {recipe.name}"})
            mixture = fit_mixture(trained, 5, tokens, Path(folder) / "mixed")
            add(f"LSTM, {recipe.name}, mixed with Kneser-Ney, order 5", mixture)
    return results


def markdown(results: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = [
        "| recipe | validation perplexity | against the first | test perplexity | minutes |",
        "|---|---|---|---|---|",
    ]
    first = results[0]["valid_perplexity"]
    for found in results:
        change = "" if found is results[0] else f"{found['valid_perplexity'] / first - 1:+.1%}"
        lines.append(
            f"| {found['name']} | {found['valid_perplexity']:.2f} | {change} | {found['test_perplexity']:.2f} | "
            f"{found['seconds'] / 60:.1f} |"
        )
    machine = results[0]["machine"]
    kinds = ", ".join(sorted({found["precision"] for found in results}))
    lines += [
        "",
        f"{results[0]['training_tokens']:,} training tokens, seed {SEED}, computed in {kinds}; {machine['date']}, "
        f"{machine['cpu']}, {machine['cores']} cores.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, and write the results beside those of the other benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of wiki.train.tokens and the others")
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="a fifth of the text and a smaller model, groups of regularisers left out",
    )
    parser.add_argument("--ngrams", action="store_true", help="the traditional models")
    parser.add_argument("--epochs", type=int, default=int(FULL.training.epochs), help="epochs of the recipe's schedule")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("rnnlm").setLevel(logging.INFO)
    work = home() / "wikitext2" / hashlib.sha256(str(arguments.data.resolve()).encode()).hexdigest()[:8]
    work.mkdir(parents=True, exist_ok=True)
    tokens = read_tokens(arguments.data, work, SHARE if arguments.ablation else 1.0)
    recipe = lasting(arguments.epochs)
    if arguments.ngrams:
        name, results = "wikitext2-ngrams", score_ngrams(recipe, tokens, work)
    elif arguments.ablation:
        name, results = "wikitext2-ablation", [train(recipe, tokens, work) for recipe in ABLATION]
    else:
        name = "wikitext2" if recipe is FULL else f"wikitext2-{arguments.epochs}-epochs"
        results = [train(recipe, tokens, work)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table = markdown(results)
    (RESULTS / f"{name}.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
