"""Computes ratios, goals and the table from the measurements."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plan import FASTAI, KERAS, OURS, PRODUCT, TORCH, Configuration, Engine


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
        self,
        configuration: str,
        peer: str,
        memory: str | None,
        ours: str | None = None,
        theirs: str | None = None,
    ) -> float | None:
        """Return how many times as fast rnnlm is as a peer's fastest variant. None if one was not measured.

        Args:
            configuration: Name of the sizes.
            peer: Name of the peer.
            memory: Memory setting of both. If None, the faster one of each.
            ours: The precision of rnnlm. If None, the faster one.
            theirs: The peer's precision. If None, the faster one.
        """
        mine = self.best(configuration, OURS, ours, memory)
        other = self.best(configuration, peer, theirs, memory)
        return mine.median / other.median if mine and other else None

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
class Goal:
    """A goal.

    Attributes:
        title: What is measured.
        value: Returns the value for a memory setting (None: the fastest one of each engine).
        must: The value that is required.
        aim: The value that is intended.
        unit: The unit.
        less_is_better: Whether the value has to be below.
    """

    title: str
    value: Callable[[Results, str | None], float | None]
    must: float
    aim: float
    unit: str = "×"
    less_is_better: bool = False

    def verdict(self, value: float | None) -> str:
        """Return which of the two values was reached."""
        if value is None:
            return "not measured"
        sign = -1 if self.less_is_better else 1
        if sign * value >= sign * self.aim:
            return "aim"
        return "must" if sign * value >= sign * self.must else "**missed**"

    def shown(self, value: float | None) -> str:
        """Return a value with its unit."""
        if value is None:
            return "–"
        return f"{value:.0f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


GOALS = [
    Goal(
        "medium, against fastai AWD_LSTM as it is (float32)",
        lambda r, m: r.ratio("medium", FASTAI, m, theirs="float32"),
        1.7,
        3.0,
    ),
    Goal("medium, against fastai AWD_LSTM at its best", lambda r, m: r.ratio("medium", FASTAI, m), 1.7, 3.0),
    Goal(
        "medium in bfloat16, against PyTorch nn.LSTM with bfloat16 autocast",
        lambda r, m: r.ratio("medium", TORCH, m, ours="bfloat16", theirs="bfloat16"),
        1.15,
        2.0,
    ),
    Goal(
        "medium in float32, against PyTorch nn.LSTM in float32",
        lambda r, m: r.ratio("medium", TORCH, m, ours="float32", theirs="float32"),
        1.25,
        1.6,
    ),
    Goal("small, against Keras at its best", lambda r, m: r.ratio("small", KERAS, m), 2.2, 4.0),
    Goal("small, against PyTorch at its best", lambda r, m: r.ratio("small", TORCH, m), 1.6, 3.0),
    Goal("medium, share of the bfloat16 product ceiling", lambda r, m: r.share_of_ceiling("medium", m), 45, 70, "%"),
    Goal(
        "large, against fastai AWD_LSTM as it is (float32)",
        lambda r, m: r.ratio("large", FASTAI, m, theirs="float32"),
        1.5,
        2.5,
    ),
    Goal("large, against fastai AWD_LSTM at its best", lambda r, m: r.ratio("large", FASTAI, m), 1.5, 2.5),
    Goal("large, peak memory", lambda r, m: r.peak_memory("large", m), 3.0, 2.0, "GB", less_is_better=True),
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
        "*As started*: no engine gets settings from outside. *At its best*: each engine with the faster setting of the",
        "allocator (README.md). Both take the peer's fastest variant; where no precision is named, its faster one too.",
        "",
        "| ours with every regulariser on | as started | reached | at its best | reached | must | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for goal in GOALS:
        started, best = goal.value(results, "default"), goal.value(results, None)
        lines.append(
            f"| {goal.title} | {goal.shown(started)} | {goal.verdict(started)} | {goal.shown(best)} | "
            f"{goal.verdict(best)} | {goal.shown(goal.must)} | {goal.shown(goal.aim)} |"
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
