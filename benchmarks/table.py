"""Computes ratios, goals and the table from the measurements."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plan import ADAPTIVE, FASTAI, KERAS, OURS, PRODUCT, QRNN, TORCH, Configuration, Engine

PEERS = (FASTAI, TORCH, KERAS)


@dataclass
class Measurement:
    """The results of the processes of one engine.

    Attributes:
        configuration: The sizes.
        engine: The engine.
        rates: The rate per second in each round of each process.
        peak_bytes: The largest resident memory of a process.
        loss: The last loss.
        versions: Version of each relevant library.
    """

    configuration: Configuration
    engine: Engine
    rates: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    loss: float | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median over all rounds."""
        return statistics.median(self.rates)


class Results:
    """All measurements, and the questions about them.

    Args:
        measurements: At least one round each.
    """

    def __init__(self, measurements: list[Measurement]) -> None:
        self.measurements = measurements

    def best(
        self, configuration: str, name: str, precision: str | None = None, memory: str | None = None
    ) -> Measurement | None:
        """Return the fastest measurement of an engine's variants. If precision or memory is None, any counts."""
        found = [
            m
            for m in self.measurements
            if m.configuration.name == configuration
            and m.engine.name == name
            and precision in (None, m.engine.precision)
            and memory in (None, m.engine.memory)
        ]
        return max(found, key=lambda m: m.median, default=None)

    def ratio(
        self, configuration: str, memory: str | None, precision: str | None = None, name: str = OURS
    ) -> float | None:
        """Return how many times as fast we are as the fastest variant of any peer. None if one was not measured.

        Args:
            configuration: Name of the sizes.
            memory: Memory setting of both. If None, the faster one of each.
            precision: The precision of both. If None, the faster one of each.
            name: Which of our engines.
        """
        ours = self.best(configuration, name, precision, memory)
        peers = [found for peer in PEERS if (found := self.best(configuration, peer, precision, memory))]
        return ours.median / max(peer.median for peer in peers) if ours and peers else None

    def share_of_ceiling(self, configuration: str, memory: str | None = None) -> float | None:
        """Return the share of the bfloat16 product's speed that a training step of rnnlm reaches, in percent."""
        ours = self.best(configuration, OURS, None, memory)
        # The product uses the fastest memory setting, because it is the ceiling.
        ceiling = self.best("ceiling", PRODUCT, "bfloat16")
        if not ours or not ceiling:
            return None
        return 100 * ours.median * ours.configuration.flop_per_token() / 1e9 / ceiling.median

    def peak_memory(self, configuration: str, memory: str | None = None) -> float | None:
        """Return the largest resident memory of the fastest training with rnnlm, in 10^9 bytes."""
        ours = self.best(configuration, OURS, None, memory)
        return ours.peak_bytes / 1e9 if ours else None


@dataclass(frozen=True)
class Bounds:
    """What a goal asks for on a kind of processor.

    Attributes:
        must: The value that is required.
        aim: The value that is intended.
    """

    must: float
    aim: float


@dataclass(frozen=True)
class Goal:
    """A goal.

    Attributes:
        title: What is measured.
        value: Returns the value for a memory setting (None: the fastest one of each engine).
        amx: What is asked for on a processor with AMX.
        others: What is asked for on others; set for those with AVX-512 BF16.
        unit: The unit.
        less_is_better: Whether the value has to be below.
    """

    title: str
    value: Callable[[Results, str | None], float | None]
    amx: Bounds
    others: Bounds
    unit: str = "×"
    less_is_better: bool = False

    def verdict(self, value: float | None, bounds: Bounds) -> str:
        """Return which of the two values was reached."""
        if value is None:
            return "not measured"
        sign = -1 if self.less_is_better else 1
        if sign * value >= sign * bounds.aim:
            return "aim"
        return "must" if sign * value >= sign * bounds.must else "**missed**"

    def shown(self, value: float | None) -> str:
        """Return a value with its unit."""
        if value is None:
            return "–"
        return f"{value:.0f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


def _against_peers(title: str, configuration: str, amx: Bounds, others: Bounds, precision: str | None = None) -> Goal:
    """Return the goal of being faster than the fastest peer; in one precision, or each engine in its faster one."""
    return Goal(title, lambda r, m: r.ratio(configuration, m, precision=precision), amx, others)


GOALS = [
    _against_peers("medium", "medium", Bounds(1.25, 1.8), Bounds(1.05, 1.25)),
    _against_peers("demo", "demo", Bounds(1.3, 2.0), Bounds(1.2, 1.5)),
    _against_peers("small", "small", Bounds(1.4, 2.0), Bounds(1.2, 1.5)),
    _against_peers("large", "large", Bounds(1.1, 1.4), Bounds(1.05, 1.2)),
    Goal(
        "large, peak memory",
        lambda r, m: r.peak_memory("large", m),
        Bounds(2.0, 2.0),
        Bounds(2.0, 2.0),
        "GB",
        less_is_better=True,
    ),
    _against_peers("medium, all in float32", "medium", Bounds(1.15, 1.5), Bounds(1.15, 1.5), "float32"),
    _against_peers("demo, all in float32", "demo", Bounds(1.15, 1.5), Bounds(1.15, 1.5), "float32"),
    _against_peers("classifier training", "classifier-training", Bounds(1.1, 1.8), Bounds(1.0, 1.5)),
    _against_peers("classifier scoring", "classifier-evaluation", Bounds(1.8, 3.0), Bounds(1.2, 1.5)),
    Goal(
        "medium, share of the bfloat16 product ceiling",
        lambda r, m: r.share_of_ceiling("medium", m),
        Bounds(60, 80),
        Bounds(75, 85),
        "%",
    ),
    Goal(
        "medium with the QRNN or the adaptive softmax, the faster one; both are other models",
        lambda r, m: max(r.ratio("medium", m, name=name) or 0.0 for name in (QRNN, ADAPTIVE)) or None,
        Bounds(2.0, 2.5),
        Bounds(1.6, 2.0),
    ),
]

_UNITS = {
    "tokens_per_second": "tokens a second",
    "documents_per_second": "documents a second",
    "gflop_per_second": "GFLOP a second",
}


def records(results: Results, machine: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one record for each measurement."""
    return [_record(results, m, machine) for m in results.measurements]


def _record(results: Results, measured: Measurement, machine: dict[str, Any]) -> dict[str, Any]:
    configuration, engine = measured.configuration, measured.engine
    sizes = ("vocabulary", "embedding", "hidden", "layers", "batch", "window", "documents", "part")
    return {
        "configuration": configuration.name,
        "engine": engine.name,
        "precision": engine.precision,
        "variant": engine.variant,
        "memory": engine.memory,
        configuration.unit: [round(rate, 2) for rate in measured.rates],
        "median": round(measured.median, 2),
        # How many times as fast rnnlm is: its fastest variant, and the one in the same precision, both with the same
        # memory setting.
        "ratio": _ratio(results, measured, None),
        "ratio_same_precision": _ratio(results, measured, engine.precision),
        "peak_memory_bytes": measured.peak_bytes,
        "loss": measured.loss,
        "sizes": {name: getattr(configuration, name) for name in sizes if configuration.vocabulary},
        "versions": measured.versions,
        "machine": machine,
    }


def _ratio(results: Results, measured: Measurement, precision: str | None) -> float | None:
    ours = results.best(measured.configuration.name, OURS, precision, measured.engine.memory)
    return round(ours.median / measured.median, 3) if ours else None


def markdown(results: Results, machine: dict[str, Any], failed: list[str]) -> str:
    """Return the tables.

    Args:
        results: The measurements.
        machine: The machine.
        failed: Names of the programs that failed, so that missing results are explained.
    """
    versions = {name: version for m in results.measurements for name, version in m.versions.items()}
    amx = "amx_bf16" in machine["cpu"]
    kind = "processors with AMX" if amx else "processors with AVX-512 BF16"
    if not amx and "avx512_bf16" not in machine["cpu"]:
        kind += "; this machine has less"
    lines = [
        "# Speed",
        "",
        f"Written by `make bench` on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + f". Load of the machine before: {machine['load_before']}.",
        "",
        *[f"**Failed, so that figures are missing: {name}.**\n" for name in failed],
        "## What has to be reached",
        "",
        "Ours with every regulariser on, against the fastest variant of the fastest peer; where no precision is",
        "named, each engine has its faster one. *As started*: no engine gets settings from outside. *At its best*:",
        f"each engine with the faster setting of the allocator (README.md). The goals are those for {kind}.",
        "",
        "| | as started | reached | at its best | reached | must | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for goal in GOALS:
        started, best = goal.value(results, "default"), goal.value(results, None)
        bounds = goal.amx if amx else goal.others
        lines.append(
            f"| {goal.title} | {goal.shown(started)} | {goal.verdict(started, bounds)} | {goal.shown(best)} | "
            f"{goal.verdict(best, bounds)} | {goal.shown(bounds.must)} | {goal.shown(bounds.aim)} |"
        )
    shown: list[str] = []
    for measured in results.measurements:
        configuration = measured.configuration
        if configuration.name in shown:
            continue
        shown.append(configuration.name)
        lines += [
            "",
            f"## {configuration.title()}",
            "",
            f"| engine | precision | variant | memory | {_UNITS[configuration.unit]}, median | slowest to fastest | "
            "ours is | peak memory |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_row(results, m) for m in results.measurements if m.configuration.name == configuration.name]
    return "\n".join(lines) + "\n"


def _row(results: Results, measured: Measurement) -> str:
    ratio = _ratio(results, measured, None)
    engine, rates = measured.engine, measured.rates
    return (
        f"| {engine.name} | {engine.precision} | {engine.variant} | {engine.memory} | {measured.median:,.0f} | "
        f"{min(rates):,.0f} to {max(rates):,.0f} | {'' if ratio is None else f'{ratio:.2f} ×'} | "
        f"{measured.peak_bytes / 1e9:.2f} GB |"
    )
