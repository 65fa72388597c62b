"""Does a language model pretrained on one text help on another task, by how much, and which way is best?

The public names are here. Each is imported when it is used first: `import rnnlm` costs nothing.

Examples:
    An experiment is a file, or a value with the same fields:

    >>> import rnnlm
    >>> experiment = rnnlm.load_experiment("reviews.yaml", ["comparison.seeds=1"])
    >>> isinstance(experiment, rnnlm.Experiment)
    True
    >>> experiment.comparison.arms
    ['scratch', 'tfidf', 'parameter']

    Running it gives the verdict, with neither a server nor a database:

    >>> verdict = rnnlm.run(experiment, workdir="work", progress=False)
    >>> isinstance(verdict, rnnlm.Verdict)
    True
    >>> [(gain.task, gain.arm, gain.labels) for gain in verdict.gains if gain.metric == "accuracy"]
    [('classifier', 'tfidf', 20), ('classifier', 'parameter', 20)]
    >>> verdict.report.name
    'report.html'

    A tracker records it. `Null` records nothing, and is used if there is no other:

    >>> tracker: rnnlm.Tracker = rnnlm.Null()
    >>> again = rnnlm.run(experiment, workdir="work", tracker=tracker, progress=False)  # from the cache
    >>> again == verdict
    True

    `JsonLines` writes a line for each thing that is recorded, also of what came from the cache:

    >>> import json, pathlib
    >>> file = pathlib.Path("runs.jsonl")
    >>> again = rnnlm.run(experiment, workdir="work", tracker=rnnlm.JsonLines(file), progress=False)
    >>> [line["name"] for line in map(json.loads, file.read_text().splitlines()) if "name" in line][:2]
    ['pretrain', 'language model scratch seed=1']

    `rnnlm.compare` writes the experiment by itself, and runs it: see there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnlm.evaluation.verdict import Verdict
    from rnnlm.experiment import Experiment, load_experiment
    from rnnlm.library import compare, run
    from rnnlm.tracking import JsonLines, Null, Tracker

__all__ = ["Experiment", "JsonLines", "Null", "Tracker", "Verdict", "compare", "load_experiment", "run"]

_ROOMS = {
    "Experiment": "rnnlm.experiment",
    "JsonLines": "rnnlm.tracking",
    "Null": "rnnlm.tracking",
    "Tracker": "rnnlm.tracking",
    "Verdict": "rnnlm.evaluation.verdict",
    "compare": "rnnlm.library",
    "load_experiment": "rnnlm.experiment",
    "run": "rnnlm.library",
}


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
