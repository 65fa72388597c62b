"""What is recorded of a step; of one that came from the cache, the record is found, or written again."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from rnnlm.checksums import checked
from rnnlm.plan import CellSpec
from rnnlm.refs import CellId, CheckpointRef, ForgettingRef, Ref, ScoreRef, TokensRef
from rnnlm.tracking import Tracker

R = TypeVar("R")

# What steps return that record something.
Recorded = CheckpointRef | ScoreRef | ForgettingRef


def cell_name(cell: CellId) -> str:
    """Return what the record of a cell is called."""
    if cell.task == "language_model":
        return f"language model {cell.arm} seed={cell.seed}"
    return f"{cell.task} {cell.arm} labels={cell.labels} seed={cell.seed}"


def cell_settings(spec: CellSpec) -> dict[str, Any]:
    """Return what is recorded of a cell's settings."""
    work = spec.work.model_dump(exclude={"kind", "beside_text", "known_text"}, exclude_none=True)
    if not spec.needs:
        work.pop("word_map", None)  # nothing is mapped
    labels = {"labels": spec.id.labels} if spec.id.labels else {}
    return {"arm": spec.id.arm, "seed": spec.id.seed, "work": spec.work.kind} | labels | work


def find_record(tracker: Tracker, result: R, arguments: Mapping[str, Any]) -> tuple[R, bool]:
    """Find the record of a step that came from the cache, or write what is known of it.

    Args:
        tracker: The run that took it from the cache.
        result: What the step returned when it was computed.
        arguments: The step's arguments.

    Returns:
        The result with the record that there is now, and whether it was written just now.
    """
    if not isinstance(result, Recorded):
        return result, False
    run_id, again = tracker.find(result.recorded_as, _name(result), lambda run: _record(run, result, arguments))
    return cast(R, result.model_copy(update={"recorded_as": run_id})), again


def _name(result: Recorded) -> str:
    if isinstance(result, ScoreRef):
        return cell_name(result.id)
    return "pretrain" if isinstance(result, CheckpointRef) else "forgetting"


def _record(run: Tracker, result: Recorded, arguments: Mapping[str, Any]) -> None:
    """Record the settings, the scores and the learning curve, as far as the step's output has them."""
    given = {name: value for name, value in arguments.items() if not isinstance(value, Ref | list)}
    if isinstance(spec := given.get("spec"), CellSpec):
        run.log_params(cell_settings(spec))
    else:
        run.log_params(
            {
                name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
                for name, value in given.items()
            }
        )
    tags = {"rnnlm.output": result.sha256}
    read = [*arguments.get("texts", []), *(arguments.get(name) for name in ("tokens", "source_tokens"))]
    if tokens := next((one for one in read if isinstance(one, TokensRef)), None):
        tags["rnnlm.tokens"] = tokens.sha256
    if isinstance(result, ForgettingRef):
        scores = {"before": result.before, "after": result.after}
        run.log_metrics({f"{when}/{name}": value for when, found in scores.items() for name, value in found.items()})
    else:
        run.log_metrics(result.metrics)
    if isinstance(result, ScoreRef):
        tags |= {"rnnlm.task": result.task, "rnnlm.arm": result.arm}
    run.set_tags(tags)
    history = result.path / "history.json"
    if history.is_file():
        points = json.loads(checked(history).read_text(encoding="utf-8"))
        run.log_curve([(p["step"], {f"valid/{name}": value for name, value in p["metrics"].items()}) for p in points])
