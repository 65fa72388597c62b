"""Whether what more labels would bring is what they bring: curves through few label counts, against larger ones.

    python -m benchmarks.label_curves --data FOLDER

FOLDER has train.tsv.gz and test.tsv.gz of the IMDb reviews, with the columns text and label. Three models on TF-IDF
learn from 100 to 20,000 reviews, with three seeds each. Every curve through three label counts is compared with all
larger counts up to eleven times its largest. The arms of results/imdb.json are added: their curves through 100, 500
and 2,000 labels, against 22,360.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.csv
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from benchmarks.machine import machine_facts
from rnnlm.evaluation.label_curve import covariance_of, fit, spreads_of
from rnnlm.evaluation.sampling import Scores

Table = dict[str, np.ndarray]

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
SEEDS, COUNTS, FURTHEST = 3, 3, 11.5
TESTED = 5_000  # of the 25,000 test reviews
MODELS = {
    "logistic regression": lambda: LogisticRegression(C=10, max_iter=200),
    "support vector machine": lambda: LinearSVC(C=0.3),
    "naive Bayes": lambda: MultinomialNB(alpha=0.1),
}


def main() -> None:
    """Measure, and print how many intervals hold what came."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_curves", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv.gz and test.tsv.gz")
    folder = parser.parse_args().data
    train, test = _read(folder / "train.tsv.gz"), _read(folder / "test.tsv.gz")
    test = {column: values[:: len(values) // TESTED] for column, values in test.items()}
    held: dict[str, list[tuple[bool, float] | None]] = defaultdict(list)
    for name, model in MODELS.items():
        curve = {size: _scores(train, test, size, model) for size in SIZES}
        held[name] += _held(curve)
        print(f"{name}: " + ", ".join(f"{n:,} {s.means.mean():.3f}" for n, s in curve.items()), flush=True)
    for arm, curve in _arms_of_imdb().items():
        held[f"{arm}, of results/imdb.json"] += _held(curve)
    held["all"] = [one for some in held.values() for one in some]
    lines = ["# Label curves", "", f"Written by `python -m benchmarks.label_curves` on {machine_facts()['date']}."]
    lines += [
        "",
        "| curve | gains | in their interval | width of an interval, median, points | no curve |",
        "|---|---|---|---|---|",
    ]
    for name, some in held.items():
        known = [one for one in some if one is not None]
        width = f"{100 * np.median([wide for _, wide in known]):.1f}" if known else ""
        inside = sum(inside for inside, _ in known)
        lines.append(f"| {name} | {len(known)} | {inside} | {width} | {len(some) - len(known)} |")
    table = "\n".join(lines) + "\n"
    print(f"\n{table}")
    (RESULTS / "label_curves.md").write_text(table, encoding="utf-8")


def _read(file: Path) -> Table:
    options = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
    table = pyarrow.csv.read_csv(file, parse_options=options)
    return {column: table[column].to_numpy() for column in ("text", "label")}


def _scores(train: Table, test: Table, size: int, model) -> Scores:  # type: ignore[no-untyped-def]
    """Return what three models that learnt from some documents answer."""
    right = []
    for seed in range(SEEDS):
        chosen = np.random.default_rng([seed, size]).permutation(len(train["label"]))[:size]
        words = TfidfVectorizer(sublinear_tf=True)
        learnt = model().fit(words.fit_transform(train["text"][chosen]), train["label"][chosen])
        right.append(learnt.predict(words.transform(test["text"])) == test["label"])
    return Scores(np.array(right, float), np.ones(len(test["label"])))


def _arms_of_imdb() -> dict[str, dict[int, Scores]]:
    """Return the arms of the benchmark's verdict, whose documents are drawn: it has their scores alone."""
    verdict = json.loads((RESULTS / "imdb.json").read_text(encoding="utf-8"))["verdict"]
    arms: dict[str, dict[int, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for n, cell in enumerate(cell for cell in verdict["cells"] if cell["labels"]):
        tests = verdict["documents"]["test"]
        right = np.arange(tests) < round(cell["metrics"]["accuracy"] * tests)
        arms[cell["arm"]][cell["labels"]].append(np.random.default_rng(n).permutation(right).astype(float))
    return {
        arm: {labels: Scores(np.array(some), np.ones(some[0].size)) for labels, some in sorted(by_labels.items())}
        for arm, by_labels in arms.items()
    }


def _held(curve: Mapping[int, Scores]) -> Iterator[tuple[bool, float] | None]:
    """Yield, of each curve through three label counts and each larger count, whether its gain came, and the width.

    None is yielded where the scores are on no curve.
    """
    sizes, errors = list(curve), 1 - np.array([one.means.mean() for one in curve.values()])
    for end in range(COUNTS - 1, len(sizes) - 1):
        known = slice(end - COUNTS + 1, end + 1)
        curves = fit(np.array(sizes[known]), errors[known], _covariance(curve, sizes[known]))
        for place in range(end + 1, len(sizes)):
            if sizes[place] > FURTHEST * sizes[end]:
                continue
            if curves is None:
                yield None
                continue
            # What is compared with it was measured, too.
            measured = _covariance(curve, [sizes[end], sizes[place]])
            deviation = np.sqrt(measured[0, 0] + measured[1, 1] - 2 * measured[0, 1])
            gain = curves.errors(sizes[end]) - curves.errors(sizes[place])
            gain = gain + deviation * np.random.default_rng(0).standard_normal(len(gain))
            low, high = np.quantile(gain, [0.025, 0.975])
            yield bool(low <= errors[end] - errors[place] <= high), float(high - low)


def _covariance(curve: Mapping[int, Scores], sizes: Sequence[int]) -> np.ndarray:
    part = {size: curve[size] for size in sizes}
    spreads = spreads_of(part)
    assert spreads is not None  # there are several seeds
    return covariance_of(list(part.values()), [spreads[size] for size in sizes])


if __name__ == "__main__":
    main()
