"""How often the judgement is wrong, by simulation: what it calls better or worse where nothing differs, what it misses.

    python -m benchmarks.calibration [--families 1000] [--documents 200 2000 25000] [--write]

A family is a baseline and one, three or eight arms, which `rnnlm.evaluation.comparison.gains` judges together, as it
judges those of an experiment. The truth is known here: no arm is better than the baseline. A *false alarm* is a family
in which an arm is called better or worse all the same; 5 % is what is claimed. *Power* is how often an arm that is
better is called so, as a share of how often an oracle says it: the same judgement by somebody who knows all variances.
That arm is as much better as the oracle needs to find it in about four of five families of one arm.

Documents differ in how hard they are, arms in which documents they find hard, and seeds in how good their model is.
The standard deviation between seeds is 0 to 4 points, or differs between arms: the baseline alone has 4 and the arms
0.5; one arm alone has 4 and the others 0.5; all are different. With one seed, the spread is known from three seeds at a
smaller label count.
"""

import argparse
import json
import math
import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import ndtr

from rnnlm.evaluation.comparison import RULES, Predictions, Rules, gains, holm, seeds_wanted
from rnnlm.evaluation.looks import LEVEL
from rnnlm.evaluation.verdict import Gain
from rnnlm.experiment import Comparison
from rnnlm.plan import Group
from rnnlm.refs import ModelKind

RESULTS = Path(__file__).resolve().parent / "results"
# `seeds: auto`: three, and more where the answer is open.
AUTO = 0
LOOKS = Comparison(seeds="auto").looks
SEEDS, ARMS, DOCUMENTS = (1, 2, 3, 5, 10, AUTO), (1, 3, 8), (200, 2_000, 25_000)
# With one seed, the spread is known from three seeds at a smaller label count. Language models have no label counts.
LABELS, FEWER, SEEDS_FEWER = 100, 50, 3
SPREADS = ("0", "0.5", "1", "2", "4", "baseline 4", "one arm 4", "all different")
Kind = Literal["2 classes", "20 classes", "bits"]
KINDS: tuple[Kind, ...] = ("2 classes", "20 classes", "bits")
# How likely the answer to a document is right: (of two classes, of twenty), as parameters of a beta distribution.
EASE = {"2 classes": (4.0, 2.0), "20 classes": (2.0, 2.0)}
OF_AN_ARM = 0.1  # standard deviation of what a document is easier or harder for one arm
# Bits per character: of a document, of an arm on a document, of a seed on a document; and one point between seeds.
BITS_DOCUMENT, BITS_ARM, BITS_SEED, BITS_POINT = 0.3, 0.03, 0.03, 0.01
LENGTH = (5.0, 1.0)  # the logarithm of a document's characters: mean, standard deviation
DETECTABLE = 2.8  # standard errors from zero: found at 5 % in four of five cases


@dataclass(frozen=True)
class Place:
    """A cell of the grid.

    Attributes:
        kind: What is scored.
        documents: Number of test documents.
        arms: Number of arms beside the baseline.
        seeds: Number of seeds; `AUTO`: as many as it takes, up to ten.
        spread: Standard deviation between seeds in points, or how it differs between arms.
    """

    kind: Kind
    documents: int
    arms: int
    seeds: int
    spread: str

    @property
    def spreads(self) -> np.ndarray:
        """(1 + arms,) the standard deviation of each, the baseline's first, in points."""
        if self.spread == "baseline 4":
            return np.array([4.0] + [0.5] * self.arms)
        if self.spread == "one arm 4":
            return np.array([0.5, 4.0] + [0.5] * (self.arms - 1))
        if self.spread == "all different":
            return np.resize([1.0, 4.0, 0.0, 2.0, 0.5], 1 + self.arms)
        return np.full(1 + self.arms, float(self.spread))


@dataclass(frozen=True)
class Found:
    """What came out in a cell of the grid.

    Attributes:
        alarms: Share of families in which an arm is called better or worse, and none is.
        power: Share of families in which an arm that is better is called so.
        oracle: The same of the oracle.
        false_equal: Share of families in which an arm is called as good that is better by exactly the margin.
        used: Seeds of an arm or the baseline, in the mean over both kinds of families.
        families: Number of families.
    """

    alarms: float
    power: float
    oracle: float
    false_equal: float
    used: float
    families: int

    @property
    def allowed(self) -> float:
        """The share of false alarms that a judgement at 5 % may show by chance (two standard errors)."""
        return LEVEL + 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / self.families)


def places(kinds: list[Kind], documents: list[int]) -> Iterator[Place]:
    """Return all cells of the grid."""
    for kind in kinds:
        for number in documents:
            for arms in ARMS:
                for seeds in SEEDS[1:] if kind == "bits" else SEEDS:
                    for spread in SPREADS:
                        yield Place(kind, number, arms, seeds, spread)


def judged(place: Place, families: int) -> Found:
    """Simulate families, and return how often the judgement is wrong."""
    generator = np.random.default_rng(
        [families, *place.kind.encode(), *place.spread.encode(), place.documents, place.arms, place.seeds]
    )
    alarms, found, equal, measured, better, used = 0, 0, 0, [], [], []
    # Twenty families tell roughly how far apart arms come out by chance; the oracle is told exactly, at the end.
    pilot = np.array([_means(place, generator, 0.0)[0] for _ in range(20)])
    gain = DETECTABLE * float(np.sqrt(np.mean(np.square(pilot[:, 1] - pilot[:, 0]))))
    for _ in range(families):
        means, cells = _means(place, generator, 0.0)
        measured.append(means)
        gains, seeds = _judged(place, cells)
        used.append(seeds)
        alarms += any(one.outcome in ("positive", "negative") for one in gains)
    for _ in range(tries := max(100, families // 4)):
        means, cells = _means(place, generator, gain)
        better.append(means)
        gains, seeds = _judged(place, cells)
        used.append(seeds)
        found += gains[0].outcome == "positive"
        _, cells = _means(place, generator, RULES.margin_of(cells[0].task))
        equal += _judged(place, cells)[0][0].outcome == "equal"
    differences = np.array(measured)[:, 1:] - np.array(measured)[:, :1]
    deviation = np.sqrt(np.square(differences).mean(axis=0))
    standard = (np.array(better)[:, 1:] - np.array(better)[:, :1]) / deviation
    oracle = np.mean([row[0] > 0 and holm(list(2.0 * ndtr(-np.abs(row))))[0] <= LEVEL for row in standard])
    return Found(alarms / families, found / tries, float(oracle), equal / tries, float(np.mean(used)), families)


def _judged(place: Place, cells: list[Predictions]) -> tuple[list[Gain], float]:
    """Return the gains of a family, the first arm's first, and how many seeds were used, in the mean over arms."""
    if place.seeds != AUTO:
        return [one for one in gains(cells) if one.labels != FEWER], place.seeds
    rules, numbers = Rules(looks=LOOKS), dict.fromkeys(_groups(cells), LOOKS[0])
    while True:
        there = [cell for cell in cells if cell.seed < numbers[cell.task, cell.arm, cell.labels]]
        wanted = seeds_wanted(there, rules)
        if all(number <= numbers[group] for group, number in wanted.items()):
            return gains(there, rules=rules), float(np.mean(list(numbers.values())))
        numbers |= {group: max(number, numbers[group]) for group, number in wanted.items()}


def _groups(cells: list[Predictions]) -> list[Group]:
    return [(cell.task, cell.arm, cell.labels) for cell in cells]


def _means(place: Place, generator: np.random.Generator, gain: float) -> tuple[np.ndarray, list[Predictions]]:
    """Simulate a family; return the mean of each arm, the baseline's first, and what all cells said.

    Args:
        place: The cell of the grid.
        generator: Random numbers.
        gain: What the first arm is better by.
    """
    truly = np.zeros(1 + place.arms)
    truly[1] = gain
    labels = 0 if place.kind == "bits" else LABELS
    means, cells = _at(place, generator, truly, place.seeds or LOOKS[-1], labels)
    if place.seeds == 1:
        cells += _at(place, generator, 0.0 * truly, SEEDS_FEWER, FEWER)[1]
    return means, cells


def _at(
    place: Place, generator: np.random.Generator, truly: np.ndarray, seeds: int, labels: int
) -> tuple[np.ndarray, list[Predictions]]:
    """Simulate a family at one label count.

    Args:
        place: The cell of the grid.
        generator: Random numbers.
        truly: (1 + arms,) what each arm is better by.
        seeds: Number of seeds.
        labels: The label count; 0 for language models.
    """
    shape = (1 + place.arms, seeds, place.documents)
    of_seed = generator.normal(size=shape[:2]) * place.spreads[:, None]
    task: ModelKind = "language_model" if place.kind == "bits" else "classifier"
    if place.kind == "bits":
        weight = np.ceil(generator.lognormal(*LENGTH, place.documents))
        of_arm = generator.normal(0.0, BITS_ARM, (shape[0], 1, place.documents))
        each = generator.normal(0.0, BITS_SEED, shape) + of_arm + generator.normal(0.0, BITS_DOCUMENT, place.documents)
        score = weight * (each + (truly[:, None] + BITS_POINT * of_seed)[:, :, None])
    else:
        weight = np.ones(place.documents)
        ease = generator.beta(*EASE[place.kind], place.documents)
        of_arm = generator.normal(0.0, OF_AN_ARM, (shape[0], 1, place.documents)).astype(np.float32)
        share = ease.astype(np.float32) + of_arm + (truly[:, None] + 0.01 * of_seed).astype(np.float32)[:, :, None]
        score = (generator.random(shape, dtype=np.float32) < share).astype(np.float64)
    names = ["scratch", *(f"arm {n}" for n in range(1, shape[0]))]
    cells = [
        Predictions(task, name, labels, seed, score[arm, seed], weight)
        for arm, name in enumerate(names)
        for seed in range(seeds)
    ]
    return score.sum(axis=2).mean(axis=1) / weight.sum(), cells


def main() -> None:
    """Simulate the grid, and print a table of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, default=1_000, help="families in each cell of the grid")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="what is scored")
    parser.add_argument("--documents", type=int, nargs="+", default=list(DOCUMENTS), help="numbers of test documents")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="numbers of seeds; 0 is auto")
    parser.add_argument("--write", action="store_true", help="write the results into benchmarks/results")
    arguments = parser.parse_args()
    grid = [one for one in places(arguments.kinds, arguments.documents) if one.seeds in arguments.seeds]
    with multiprocessing.Pool() as pool:
        found = pool.starmap(judged, [(place, arguments.families) for place in grid], chunksize=1)
    rows = list(zip(grid, found, strict=True))
    print(table(rows))
    if arguments.write:
        # What was not simulated now stays as it is.
        rows = sorted((read() | dict(rows)).items(), key=lambda row: _order(row[0]))
        content = [asdict(place) | asdict(one) for place, one in rows]
        RESULTS.joinpath("calibration.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        RESULTS.joinpath("calibration.md").write_text(table(rows), encoding="utf-8")


def read() -> dict[Place, Found]:
    """Read the results that were written."""
    found = {}
    for row in json.loads(RESULTS.joinpath("calibration.json").read_text(encoding="utf-8")):
        of_place = {name: row.pop(name) for name in ("kind", "documents", "arms", "seeds", "spread")}
        found[Place(**of_place)] = Found(**{"used": of_place["seeds"]} | row)
    return found


def _order(place: Place) -> tuple[int, ...]:
    seeds = SEEDS.index(place.seeds)
    return KINDS.index(place.kind), place.documents, place.arms, seeds, SPREADS.index(place.spread)


def table(rows: list[tuple[Place, Found]]) -> str:
    """Return the results as Markdown: false alarms in %, and in parentheses the power as a share of the oracle's.

    With `seeds: auto`, the seeds that were used come last, in the mean. The oracle has ten.
    """
    lines = []
    for kind in KINDS:
        of_kind = {place: one for place, one in rows if place.kind == kind}
        if not of_kind:
            continue
        head = "| documents | arms | seeds | " + " | ".join(SPREADS) + " |"
        lines += [f"### {kind}", "", head, "|" + "---|" * (3 + len(SPREADS))]
        for documents, arms, seeds in dict.fromkeys((p.documents, p.arms, p.seeds) for p in of_kind):
            cells = [of_kind[Place(kind, documents, arms, seeds, spread)] for spread in SPREADS]
            bold = ["**" if one.alarms > one.allowed else "" for one in cells]
            texts = [
                f"{mark}{100 * one.alarms:.1f}{mark} ({one.power / one.oracle:.2f})"
                for mark, one in zip(bold, cells, strict=True)
            ]
            if seeds == AUTO:
                texts = [f"{text}, {one.used:.1f}" for text, one in zip(texts, cells, strict=True)]
            lines.append(f"| {documents:,} | {arms} | {seeds or 'auto'} | " + " | ".join(texts) + " |")
        lines.append("")
    over = sum(one.alarms > one.allowed for _, one in rows)
    worst = max(one.alarms for _, one in rows)
    lines.append(f"False alarms: {over} of {len(rows)} cells above the limit; at most {100 * worst:.1f} %.")
    equal = max(one.false_equal for _, one in rows)
    lines.append(
        f"Called as good, and better by exactly the margin: at most {100 * equal:.1f} % of the families of a cell."
    )
    if strong := [one.power / one.oracle for place, one in rows if place.seeds >= 5]:
        lines.append(
            f"Power from five seeds on, as a share of the oracle's: {np.mean(np.array(strong) >= 0.9):.0%} of the "
            f"cells have at least 0.9; median {np.median(strong):.2f}, least {min(strong):.2f}."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
