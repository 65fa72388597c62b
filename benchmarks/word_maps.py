"""Compares word maps: the demo's source model on film reviews in words, before and after a short fine-tuning.

python -m benchmarks.word_maps SOURCE [EPOCHS]

SOURCE is the folder of the demo's source model, `pretrain-…` in the store.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from rnnlm.corpus import ingest
from rnnlm.experiment import load_experiment
from rnnlm.settings import LanguageModelTraining, Tokenizer, WordMap
from rnnlm.store import home
from rnnlm.tokens import tokenize
from rnnlm.training.progress import silent
from rnnlm.transfer.fit import fit_language_model

TOKENIZER = Tokenizer(kind="word", vocabulary_size=5_000)


def main(source: Path, epochs: float) -> None:
    """Print a table of validation perplexities, and how many words each rule applied to."""
    experiment = load_experiment("demo")
    training = LanguageModelTraining(epochs=epochs, learning_rate=0.01, evaluations=1, precision="float32")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        documents = ingest(experiment.target.corpus, work / "documents", downloads=home() / "downloads")
        tokens = tokenize(documents, TOKENIZER, work / "tokens")

        def perplexity(name: str, word_map: WordMap, then: LanguageModelTraining | None) -> dict[str, float]:
            return fit_language_model(
                experiment.model,
                tokens,
                then,
                work / name,
                start=source if name != "scratch" else None,
                seed=1,
                report=silent,
                word_map=word_map,
            ).metrics

        print(f"| word map | as it is | after {epochs} epochs | types and tokens by rung |", flush=True)
        print("|---|---|---|---|")
        print(f"| `scratch` | | {perplexity('scratch', 'exact', training)['valid/perplexity']:.1f} | |", flush=True)
        for word_map in get_args(WordMap):
            before = perplexity(f"{word_map}-before", word_map, None)
            after = perplexity(f"{word_map}-after", word_map, training)
            rungs = [name.removesuffix("_types") for name in before if name.endswith("_types")]
            took = ", ".join(
                f"{rung.removeprefix('coverage/')} {before[f'{rung}_types']:,.0f} / {before[f'{rung}_tokens']:,.0f}"
                for rung in rungs
            )
            print(
                f"| `{word_map}` | {before['valid/perplexity']:,.1f} | {after['valid/perplexity']:.1f} | {took} |",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.3)
