"""A trained model in use: texts classified a second, and how long a completion takes, beside fastai.

    python -m benchmarks.serving          on an otherwise idle machine: about ten minutes

Both engines have models of the same shape with random weights (a kernel's speed does not depend on what it has learnt),
the same texts of made-up words, and a vocabulary of whole words. fastai runs in the environment of `make bench`
(.venv-peers, or PEERS names its interpreter). The programs run one after the other, each in its own process. Figures
are medians of the rounds.

- classify: texts a second. rnnlm classifies one text per call, and all in one call. fastai uses `Learner.predict` (one
  text per call) and `Learner.get_preds` over a `test_dl` of all texts, its own way for many.
- complete: milliseconds for the next words of a text of 20 words, median and 99th percentile over all calls. rnnlm uses
  beam search (4 beams, the default) and drawing. fastai uses `LMLearner.predict`, which draws.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import machine_facts
from benchmarks.serving.task import Serving

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
ROUNDS = 3
SIZES = {
    "demo": {"embedding": 128, "hidden": 192, "layers": 2},
    "AWD-LSTM": {"embedding": 400, "hidden": 1152, "layers": 3},  # fastai's own
}
PROGRAMS = {"rnnlm": "benchmarks.serving.ours", "fastai": "benchmarks.peers.fastai_serving"}


def main() -> None:
    """Run all programs in turn, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each program is run")
    arguments = parser.parse_args()
    peers = os.environ.get("PEERS") or str(ROOT / ".venv-peers" / "bin" / "python")
    machine = machine_facts()
    found: list[dict[str, Any]] = []
    for round_ in range(arguments.rounds):
        for size, shape in SIZES.items():
            for engine, module in PROGRAMS.items():
                task = Serving(**shape)
                said = _run(sys.executable if engine == "rnnlm" else peers, module, task)
                found.append({"round": round_, "size": size, "engine": engine, **said})
                print(f"round {round_}, {size}, {engine}: {_line(said)}", flush=True)
    table = markdown(found, machine)
    (RESULTS / "serving.json").write_text(json.dumps({"machine": machine, "runs": found}) + "\n", encoding="utf-8")
    (RESULTS / "serving.md").write_text(table, encoding="utf-8")
    print(table)


def _run(interpreter: str, module: str, task: Serving) -> dict[str, Any]:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    command = [interpreter, "-m", module, json.dumps(asdict(task))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _line(said: dict[str, Any]) -> str:
    rates = [f"{name} {rate:,.1f} texts/s" for name, rate in said["rates"].items()]
    times = [f"{name} {1000 * median(values):.1f} ms" for name, values in said["seconds"].items()]
    return ", ".join(rates + times)


def markdown(found: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Return the tables.

    Args:
        found: The results of each program in each round.
        machine: The machine.
    """
    lines = []
    for size in dict.fromkeys(one["size"] for one in found):
        runs = [one for one in found if one["size"] == size]
        rates = _by_name(runs, "rates", lambda values: median(values))
        slowest = rates["fastai, predict, a text a call"]
        lines += [f"## {size}: {', '.join(f'{k} {v}' for k, v in SIZES[size].items())}", ""]
        lines += ["| classify | texts a second | times fastai's predict |", "|---|---|---|"]
        lines += [f"| {name} | {rate:,.1f} | {rate / slowest:.1f} |" for name, rate in rates.items()]
        lines += ["", "| complete | median, ms | 99th percentile, ms |", "|---|---|---|"]
        for name, values in _by_name(runs, "seconds", lambda parts: 1000 * np.concatenate(parts)).items():
            lines.append(f"| {name} | {np.median(values):.1f} | {np.percentile(values, 99):.1f} |")
        lines.append("")
    rounds = 1 + max(one["round"] for one in found)
    versions = {**found[0]["versions"], **found[1]["versions"]}
    lines.append(
        f"Medians of {rounds} rounds, {machine['date']}, {machine['cpu']}, {machine['cores']} cores, load "
        f"{machine['load_before']} before; {', '.join(f'{k} {v}' for k, v in versions.items())}."
    )
    return "\n".join(lines) + "\n"


def _by_name(runs: list[dict[str, Any]], part: str, joined: Any) -> dict[str, Any]:
    """Return the values of all rounds by the names of the engine and the work."""
    values: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run[part].items():
            values.setdefault(f"{run['engine']}, {name}", []).append(value)
    return {name: joined(parts) for name, parts in values.items()}


if __name__ == "__main__":
    main()
