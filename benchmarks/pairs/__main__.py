"""Whether `rnnlm estimate` is right: its answers for pairs of source and target, against what came of them.

    python -m benchmarks.pairs [--data FOLDER] [--work FOLDER] [--only TEXT]…

Each pair is a small experiment: a source of up to 1 million characters, a target of up to 0.9 million if it has labels,
else 0.6 million, and the same settings for all. What the estimate says is compared with what the source then brought:
to a language model of the target, against one from scratch; and to a classifier, against one that has read the target's
text alone. FOLDER has public data sets; pairs with them are left out without it. A run that was stopped goes on where
it was. The table goes to results/pairs.md, the figures to results/pairs.json.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import rnnlm
from benchmarks.machine import machine_facts
from benchmarks.pairs.corpora import CORPORA, Places, sample, write
from rnnlm.evaluation.source_ranking import Estimation, rank_sources
from rnnlm.evaluation.verdict import Interval
from rnnlm.experiment import Experiment, check_experiment
from rnnlm.steps.runner import Local
from rnnlm.steps.texts import prepare_texts
from rnnlm.store import working_in

RESULTS = Path(__file__).resolve().parent.parent / "results"
SOURCE, TARGET, LABELLED, DOCUMENTS = 1_000_000, 600_000, 900_000, 4_000  # characters, and documents of a target
ORDER = 5

# Target and source. Those whose languages differ are there because a source that cannot help has to be seen, too.
PAIRS = [
    ("film reviews", "news"),
    ("film reviews", "House of Commons"),
    ("film reviews", "IMDb"),
    ("film reviews", "novels"),
    ("IMDb", "film reviews"),
    ("IMDb", "novels"),
    ("health tweets", "news"),
    ("health tweets", "film reviews"),
    ("health tweets", "encyclopedia"),
    ("House of Commons", "news"),
    ("House of Commons", "novels"),
    ("Chinese reviews", "Chinese newspaper"),
    ("Chinese reviews", "news"),
    ("Bundestag", "pretix in German"),
    ("Bundestag", "House of Commons"),
    ("gramps in German", "pretix in German"),
    ("gramps in German", "Bundestag"),
    ("Congreso", "pretix in Spanish"),
    ("pretix in Spanish", "gramps in Spanish"),
    ("gramps in Spanish", "Congreso"),
    ("Tweede Kamer", "Bundestag"),
    ("Tweede Kamer", "pretix in Dutch"),
    ("pretix in Dutch", "gramps in Dutch"),
    ("gramps in French", "pretix in French"),
    ("gramps in French", "gramps in Spanish"),
    ("pretix in Polish", "gramps in Polish"),
    ("gramps in Russian", "gramps in Ukrainian"),
    ("pretix in Ukrainian", "gramps in Ukrainian"),
]


@dataclass(frozen=True)
class Found:
    """What was estimated of a pair, and what came of it.

    Attributes:
        target: The target's name.
        source: The source's.
        languages: Their codes, the target's first.
        tokens: Number of the target's training tokens.
        outlook: What the estimate says: likely, open or unlikely.
        saved: Bits per character that the mixture of n-grams saves.
        of: Bits per character of the target's own n-grams.
        language_model: Bits per character that the source model's weights save a language model of the target.
        bits: Bits per character of the language model from scratch.
        classifier: Points of accuracy that the source brings to a classifier that has read the target's text; None if
            there are no labels.
    """

    target: str
    source: str
    languages: tuple[str, str]
    tokens: int
    outlook: str
    saved: Interval
    of: float
    language_model: Interval
    bits: float
    classifier: Interval | None

    @property
    def expected(self) -> float:
        """What the mixture saves, as a share of the target's own bits."""
        return self.saved.value / self.of

    @property
    def came(self) -> float:
        """What the language model gained, as a share of the bits of the one from scratch."""
        return self.language_model.value / self.bits


def main() -> None:
    """Measure all pairs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of public data sets: imdb, eltec_eng and wikitext2")
    parser.add_argument("--work", type=Path, default=Path(".rnnlm/pairs"), help="where texts and models are kept")
    parser.add_argument("--only", action="append", default=[], help="only pairs with this in a name; writes nothing")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    places = Places(work / "downloads", arguments.data.resolve() if arguments.data else None)
    found = []
    estimations: dict[str, dict[str, Estimation]] = {}
    for target, source in PAIRS:
        absent = places.data is None and any(CORPORA[name].from_data for name in (target, source))
        if absent or (arguments.only and not any(part in f"{target} {source}" for part in arguments.only)):
            continue
        one, estimation = _measure(target, source, places, work)
        found.append(one)
        estimations.setdefault(target, {})[source] = estimation
        print(_row(found[-1]), flush=True)
    table = _table(found, _order_of_sources(found, estimations))
    sys.stdout.write(f"\n{table}")
    if not arguments.only:
        content = {"machine": machine_facts(), "pairs": [_plain(one) for one in found]}
        (RESULTS / "pairs.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (RESULTS / "pairs.md").write_text(table, encoding="utf-8")


def _measure(target: str, source: str, places: Places, work: Path) -> tuple[Found, Estimation]:
    """Estimate and run one pair."""
    experiment = _experiment(target, source, places, work)
    with working_in(work):
        texts = prepare_texts(experiment, Local())
        # TensorFlow is loaded after the workplace's settings.
        from rnnlm.transfer.estimate import estimate

        estimation = estimate(texts.source_tokens, texts.tokens, ORDER)
    verdict = rnnlm.run(experiment, workdir=work, progress=False)
    gains = {(gain.task, gain.arm, gain.baseline): gain for gain in [*verdict.gains, *verdict.beyond]}
    scratch = next(cell for cell in verdict.cells if (cell.task, cell.arm) == ("language_model", "scratch"))
    classifier = gains.get(("classifier", "parameter", "target_text"))
    estimated = estimation.estimate
    found = Found(
        target=target,
        source=source,
        languages=(CORPORA[target].language, CORPORA[source].language),
        tokens=texts.tokens.tokens["train"],
        outlook=estimated.outlook,
        saved=estimated.saved,
        of=estimated.own_bits,
        language_model=gains["language_model", "parameter", "scratch"].gain,
        bits=scratch.metrics["bits_per_character"],
        classifier=classifier.gain if classifier else None,
    )
    return found, estimation


def _experiment(target: str, source: str, places: Places, work: Path) -> Experiment:
    """Write the texts of a pair, and return its experiment."""
    labelled = CORPORA[target].labelled
    files = {}
    for whose, name, characters, documents in (
        ("target", target, LABELLED if labelled else TARGET, DOCUMENTS),
        ("source", source, SOURCE, 10**9),
    ):
        files[whose] = work / "corpora" / f"{name} as {whose}.jsonl"
        if not files[whose].exists():
            write(sample(CORPORA[name], places, characters, documents), files[whose])
    training = {"batch_size": 16, "window": 48, "learning_rate": 0.01, "weight_decay": 0.01, "evaluations": 3}
    return check_experiment(
        {
            "name": re.sub("[^a-z0-9]+", "-", f"{target} after {source}".lower()),
            "model": {
                "embedding": 128,
                "hidden": 128,
                "layers": 2,
                "dropout": {"input": 0.1, "hidden": 0.1, "output": 0.1},
            },
            "source": {
                "corpus": {
                    "files": [str(files["source"])],
                    "format": "jsonl",
                    "valid_share": 0.03,
                    "test_share": 0.03,
                },
                "tokenizer": {"kind": "bpe", "vocabulary_size": 4000},
                "language_model": training | {"epochs": 2.0},
            },
            "target": {
                "corpus": {
                    "files": [str(files["target"])],
                    "format": "jsonl",
                    **({"label": "label"} if labelled else {}),
                    "valid_share": 0.1,
                    "test_share": 0.4 if labelled else 0.3,
                },
                "language_model": training | {"epochs": 4.0},
                "ngram_order": ORDER,
                "adaptations": [],
                **(
                    {"classifier": {"epochs": 3, "min_steps": 60, "learning_rates": [0.005], "max_tokens": 256}}
                    if labelled
                    else {}
                ),
            },
            "comparison": {
                "arms": ["scratch", "target_text", "parameter"],
                "labels": ["all"],
                "seeds": 3,
                "seeds_all": 3,
                "validation": "split",
            }
            if labelled
            else {},
        }
    )


def _plain(found: Found) -> dict[str, Any]:
    return asdict(found) | {
        name: value.model_dump() if value else None
        for name, value in (
            ("saved", found.saved),
            ("language_model", found.language_model),
            ("classifier", found.classifier),
        )
    }


def _row(found: Found) -> str:
    points = ""
    if (gain := found.classifier) is not None:
        points = f"{_points(gain.value)} [{_points(gain.low)}, {_points(gain.high)}]"
    return (
        f"| {found.target} ({found.languages[0]}) | {found.source} ({found.languages[1]}) "
        f"| {found.tokens:,} | {found.outlook} "
        f"| {found.saved.value:+.3f} ({found.expected:+.1%}) "
        f"| {found.language_model.value:+.3f} [{found.language_model.low:+.3f}, {found.language_model.high:+.3f}] "
        f"({found.came:+.1%}) | {points} |"
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _table(found: list[Found], order: str) -> str:
    """Return all pairs, the best first, and how well the estimate ranks them."""
    ranked = sorted(found, key=lambda one: one.came, reverse=True)
    lines = [
        "# Pairs of source and target",
        "",
        f"Written by `python -m benchmarks.pairs` on {machine_facts()['date']}.",
        "",
        "| target | source | target's training tokens | outlook | n-grams: bits per character saved "
        "| the language model's gain in bits per character | the classifier's gain in points of accuracy |",
        "|---|---|---|---|---|---|---|",
        *(_row(one) for one in ranked),
        "",
    ]
    if len(found) > 2:
        expected, came = [one.expected for one in found], [one.came for one in found]
        lines.append(f"- {_correlation(expected, came)} with the language model's gain, {len(found)} pairs.")
        sizes = [-float(one.tokens) for one in found]
        lines.append(f"- {_correlation(sizes, came)} of the gain with how small the target is.")
        if len(labelled := [one for one in found if one.classifier]) > 2:
            gained = [one.classifier.value for one in labelled if one.classifier]
            lines.append(
                f"- {_correlation([one.expected for one in labelled], gained)} with the classifier's gain, "
                f"{len(labelled)} pairs."
            )
        for outlook in ("likely", "open", "unlikely"):
            of_it = [one for one in found if one.outlook == outlook]
            helped = sum(one.language_model.low > 0 for one in of_it)
            hurt = sum(one.language_model.high < 0 for one in of_it)
            lines.append(f"- {outlook}: {len(of_it)} pairs; the source helped in {helped} and hurt in {hurt} of them.")
    return "\n".join([*lines, order]) + "\n"


def _order_of_sources(found: list[Found], estimations: dict[str, dict[str, Estimation]]) -> str:
    """Say how often two sources of one target are ranked as the language models that start from them."""
    left = {(one.target, one.source): one.bits - one.language_model.value for one in found}
    right, claims, wrong = [], 0, 0
    for target, of_sources in estimations.items():
        for pair in combinations(of_sources, 2):
            best, other = rank_sources({name: of_sources[name] for name in pair}).sources
            right.append(left[target, best.name] < left[target, other.name])
            if other.behind and other.behind.low > 0.0:
                claims += 1
                wrong += not right[-1]
    return (
        f"- Of {len(right)} pairs of sources for one target, {sum(right)} are in the order of the bits per character "
        f"of the language models that start from them. Of {claims} whose order the estimate claims, {claims - wrong} "
        "are."
    )


def _correlation(expected: list[float], came: list[float]) -> str:
    """Return the rank correlation with a 95 % interval, of pairs drawn with replacement."""
    draws = np.random.default_rng(1).integers(len(came), size=(2_000, len(came)))
    some = [spearmanr(np.take(expected, draw), np.take(came, draw)).statistic for draw in draws]
    low, high = np.nanquantile(some, [0.025, 0.975])
    return f"Rank correlation {spearmanr(expected, came).statistic:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
