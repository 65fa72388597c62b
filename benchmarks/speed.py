"""Training speed on this machine, beside the peers.

    python -m benchmarks.speed

Every engine runs in its own process, and never two at the same time. The whole plan is run twice, the second time
backwards, so that a machine that becomes slower or faster affects all engines. Medians are taken over all rounds. The
peers' interpreter is `.venv-peers/bin/python`, or the one that the environment variable PEERS names.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import machine_facts
from benchmarks.plan import KEPT_MEMORY, PLAN
from benchmarks.rounds import Task, zipf_entropy
from benchmarks.table import Measurement, Results, markdown, records

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
# A process that takes longer has hung: the slowest one needs two or three minutes.
TIMEOUT = 1_800
# Variables that affect the allocator, or the threads of some engines.
FOREIGN = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "OMP_", "MKL_", "KMP_", "GOMP_", "TF_NUM_")
# A wrong step may be a fast one. The tokens are random and follow Zipf's law: a model that has learned how frequent
# they are has learned all there is. So the loss is above that entropy and below that of a guess, in nats, give or take:
BELOW, ABOVE = 0.1, 2.0
# One process that is always busy is a load of 1.
BUSY = 0.5


def main() -> int:
    """Measure, print the table and write the results. Return 1 if a program failed."""
    arguments = _arguments()
    plan = [
        (
            configuration.shortened() if arguments.quick else configuration,
            [engine for engine in engines if arguments.precision in (None, engine.precision)],
        )
        for configuration, engines in PLAN
        if not arguments.only or configuration.name in arguments.only
    ]
    peers = _peers() if any(engine.peer for _, engines in plan for engine in engines) else ""
    machine = machine_facts()
    if machine["load_before"] > BUSY:
        print(f"The machine is busy (load {machine['load_before']}): the figures are worth nothing.", file=sys.stderr)
    measurements = [Measurement(configuration, engine) for configuration, engines in plan for engine in engines]
    programs = measurements if arguments.quick else measurements + measurements[::-1]
    failed: list[str] = []
    for n, measured in enumerate(programs):
        print(f"[{n + 1}/{len(programs)}] {_name(measured)}: ", end="", flush=True)
        interpreter = peers if measured.engine.peer else sys.executable
        try:
            unit = measured.configuration.unit.replace("_per_", "s/" if measured.configuration.unit[0] == "g" else "/")
            print(f"{_run(interpreter, measured):,.0f} {unit}", flush=True)
        except _ProgramFailedError as error:
            failed.append(_name(measured))
            print(f"FAILED\n{error}", flush=True)
    results = Results([measured for measured in measurements if measured.rates])
    table = markdown(results, machine, failed)
    print(f"\n{table}")
    # A part of the plan, or a trial, must not look like the results of the whole.
    part = arguments.quick or arguments.only or arguments.precision
    folder = arguments.results or (None if part else RESULTS)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(records(results, machine), indent=1)
        (folder / "speed.json").write_text(content + "\n", encoding="utf-8")
        (folder / "speed.md").write_text(table, encoding="utf-8")
    if failed:
        print(f"{len(failed)} of {len(programs)} programs failed; see above.", file=sys.stderr)
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Measures training speed.")
    names = [configuration.name for configuration, _ in PLAN]
    parser.add_argument(
        "--only", nargs="+", choices=names, help="these configurations alone; writes results only with --results"
    )
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        help="this precision alone, as float32 where the processor has no products in bfloat16; writes results only "
        "with --results",
    )
    parser.add_argument("--quick", action="store_true", help="one short round each, as a trial; writes no results")
    parser.add_argument("--results", type=Path, help="folder for the results (default: benchmarks/results)")
    return parser.parse_args()


def _peers() -> str:
    """Return the interpreter of the peers' environment."""
    interpreter = os.environ.get("PEERS") or str(ROOT / ".venv-peers" / "bin" / "python")
    if not Path(interpreter).is_file():
        sys.exit(
            f"{interpreter} is not there; `make bench` makes it, or let PEERS name another interpreter with fastai."
        )
    return interpreter


class _ProgramFailedError(Exception):
    """The last lines that a program printed before it ended."""


def _run(interpreter: str, measured: Measurement) -> float:
    """Run one program, add its rounds to the measurement and return their median."""
    # The project's runs use oneDNN on all machines (rnnlm/environment.py). So does Keras here.
    tensorflow = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | tensorflow
    # The caller's own variables must not change a memory setting, or slow down only some engines.
    environment = {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}
    if measured.engine.memory == "kept":
        environment |= KEPT_MEMORY
    command = [interpreter, "-m", measured.engine.module, json.dumps(asdict(_task(measured)))]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _ProgramFailedError(f"no end after {TIMEOUT} seconds") from error
    if ended.returncode:
        last = "\n".join(ended.stderr.splitlines()[-15:])
        raise _ProgramFailedError(f"{measured.engine.module} ended with {ended.returncode}:\n{last}")
    result = json.loads(ended.stdout.splitlines()[-1])
    loss, vocabulary = result["loss"], max(1, measured.configuration.vocabulary)
    guess, entropy = math.log(vocabulary), zipf_entropy(vocabulary)
    if loss is not None and not entropy - BELOW < loss < guess + ABOVE:  # so that NaN fails too
        raise _ProgramFailedError(
            f"{measured.engine.module} does not train: its loss is {loss}, not between {entropy:.2f} and {guess:.2f}"
        )
    measured.rates += result["rates"]
    measured.peak_bytes = max(measured.peak_bytes, result["peak_bytes"])
    measured.loss = result["loss"]
    measured.versions = result["versions"]
    return Measurement(measured.configuration, measured.engine, result["rates"]).median


def _task(measured: Measurement) -> Task:
    configuration, engine = measured.configuration, measured.engine
    return Task(
        vocabulary=configuration.vocabulary,
        embedding=configuration.embedding,
        hidden=configuration.hidden,
        layers=configuration.layers,
        batch=configuration.batch,
        window=configuration.window,
        documents=configuration.documents,
        precision=engine.precision,
        variant=engine.variant,
        part=configuration.part,
        warmup=configuration.warmup,
        rounds=configuration.rounds,
        steps=configuration.steps,
    )


def _name(measured: Measurement) -> str:
    engine = measured.engine
    details = [engine.precision, engine.variant, "memory kept" if engine.memory == "kept" else ""]
    return f"{measured.configuration.name}, {engine.name} ({', '.join(d for d in details if d)})"


if __name__ == "__main__":
    sys.exit(main())
