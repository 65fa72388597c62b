"""Whether a verdict holds when the experiment is repeated with other seeds.

    python -m benchmarks.repeated [EXPERIMENT] [--runs 10] [--work FOLDER] [--set field=value]…

Runs an experiment, the demo if none is named, with other first seeds: another source model, other language models,
other subsets of labels, other trainings. Texts, splits and settings are the same. Then each statement of one run is
compared with the same statement of every other run. Runs that are finished come from the cache: ten runs of the demo
take about three hours, in as many pieces as you like. The table goes to results/repeated.md, the gains of every run to
results/repeated.json.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import rnnlm
from benchmarks.machine import machine_facts
from rnnlm.evaluation.verdict import Gain, Verdict

RESULTS = Path(__file__).resolve().parent / "results"
# Runs have no seed in common: no experiment has more than this number.
APART = 100
CLAIMS = ("positive", "equal", "negative")


def main() -> None:
    """Run the experiment again and again, and compare what the runs say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", nargs="?", default="demo", help="its name or its YAML file")
    parser.add_argument("--runs", type=int, default=10, help="how many runs are compared")
    parser.add_argument("--work", type=Path, default=Path(".rnnlm/repeated"), help="where texts and models are kept")
    parser.add_argument("--set", action="append", default=[], metavar="field=value", help="change a field")
    arguments = parser.parse_args()
    runs = []
    for n in range(arguments.runs):
        began, seed = time.perf_counter(), 1 + APART * n
        experiment = rnnlm.load_experiment(arguments.experiment, [*arguments.set, f"comparison.seed={seed}"])
        runs.append(rnnlm.run(experiment, workdir=arguments.work, progress=False))
        print(f"first seed {seed}: {time.perf_counter() - began:.0f} s. {runs[-1].summary}", flush=True)
    table = _table(arguments.experiment, arguments.set, runs)
    sys.stdout.write(f"\n{table}")
    content = {
        "experiment": arguments.experiment,
        "set": arguments.set,
        "machine": machine_facts(),
        "runs": [[gain.model_dump(mode="json", exclude={"sentence"}) for gain in gains_in(run)] for run in runs],
    }
    (RESULTS / "repeated.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "repeated.md").write_text(table, encoding="utf-8")


def gains_in(verdict: Verdict) -> list[Gain]:
    """Return all that a verdict says of two arms."""
    return [*verdict.gains, *verdict.beyond, *verdict.tradition]


Statement = tuple[str, str, str, int]  # task, arm, baseline, number of labels


def statements(gains: Sequence[Gain]) -> dict[Statement, Gain]:
    """Return gains by what they are about."""
    return {(gain.task, gain.arm, gain.baseline, gain.labels): gain for gain in gains}


def compared(runs: Sequence[Sequence[Gain]]) -> Iterator[tuple[str, Counter[str]]]:
    """Compare each claim of a run with what every other run says of the same arms.

    Args:
        runs: The gains of each run.

    Yields:
        What the claims are about (`Gain.about`), and for each claim and other run a count of `compared`, and of what is
        true of the two: `opposite` (one better, the other worse), `other claim` (one of the two equal, the other not),
        `apart` (their intervals have no value in common), `outside` (the claim's gain is not in the other's interval).
    """
    for one, other in permutations([statements(gains) for gains in runs], 2):
        for name in one.keys() & other.keys():
            claim, answer = one[name], other[name]
            if claim.outcome not in CLAIMS or answer.outcome == "no claim":
                continue
            said = {claim.outcome, answer.outcome}
            yield (
                claim.about,
                Counter(
                    {
                        "compared": 1,
                        "opposite": said == {"positive", "negative"},
                        "other claim": len(said) == 2 and "equal" in said and "open" not in said,
                        "apart": claim.gain.low > answer.gain.high or answer.gain.low > claim.gain.high,
                        "outside": not answer.gain.low <= claim.gain.value <= answer.gain.high,
                    }
                ),
            )


def _table(experiment: str, changed: Sequence[str], runs: Sequence[Verdict]) -> str:
    gains = [gains_in(run) for run in runs]
    counts: dict[str, Counter[str]] = {}
    for about, count in compared(gains):
        counts.setdefault(about, Counter()).update(count)
    lines = [
        f"# {len(runs)} runs of `{experiment}` with other seeds",
        "",
        f"Written by `python -m benchmarks.repeated` on {machine_facts()['date']}"
        + (f", with {', '.join(changed)}" if changed else "")
        + ". Each claim of a run is compared with every other run.",
        "",
        "| claims about | compared | better against worse | equal against better or worse | intervals apart "
        "| gain outside of the other's interval |",
        "|---|---|---|---|---|---|",
    ]
    names = {"training": "the way of training", "models": "two models (one seed)"}
    for about, count in sorted(counts.items()):
        shares = (count[what] / count["compared"] for what in ("opposite", "other claim", "apart", "outside"))
        lines.append(f"| {names[about]} | {count['compared']:,} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    lines += ["", "| statement | gains of the runs | outcomes |", "|---|---|---|"]
    for name in statements(gains[0]):
        found = [known[name] for known in map(statements, gains) if name in known]
        task, arm, baseline, labels = name
        outcomes = Counter(gain.outcome for gain in found)
        lines.append(
            f"| {task}, {arm} against {baseline}{f', {labels:,} labels' if labels else ''} "
            f"| {min(gain.gain.value for gain in found):+.3f} to {max(gain.gain.value for gain in found):+.3f} "
            f"| {', '.join(f'{count} {outcome}' for outcome, count in outcomes.most_common())} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
