"""Where the steps of a comparison run: here one after the other, or on several processes or machines at once.

That is about the machines, not about the experiment: it is set in the environment, and changes no result.
"""

import os
from collections.abc import Callable
from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from rnnlm.environment import prepare
from rnnlm.errors import ConfigError
from rnnlm.model.native import load_tensorflow_quietly

RUNNER, WORKERS, SCHEDULER = "RNNLM_RUNNER", "RNNLM_RUNNER_WORKERS", "RNNLM_DASK_SCHEDULER"


def task_runner() -> TaskRunner[Any]:
    """Return the task runner that the environment names.

    `RNNLM_RUNNER` is sequential (the default), processes, dask or ray; `RNNLM_RUNNER_WORKERS` how many steps run at
    once (2). `RNNLM_DASK_SCHEDULER` is the address of a Dask cluster that is there already.

    Raises:
        ConfigError: If there is no such runner, its package is missing, or the number is none.
    """
    name = os.environ.get(RUNNER) or "sequential"
    if name not in _RUNNERS:
        raise ConfigError(
            f"there is no task runner {name!r}", where=RUNNER, remedy=f"It is one of {', '.join(_RUNNERS)}."
        )
    given = os.environ.get(WORKERS) or "2"
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(f"{given!r} is no number of workers", where=WORKERS, remedy="Give 1 or more.")
    try:
        return _RUNNERS[name](int(given))
    except ImportError as error:
        raise ConfigError(
            f"the package for it is not installed: {error}",
            where=f"{RUNNER}={name}",
            remedy=f"pip install 'rnnlm[{name}]'",
        ) from error


def _sequential(_: int) -> TaskRunner[Any]:
    # Never asked to run anything: rnnlm.tasks.step.submit_step runs the steps itself.
    return ThreadPoolTaskRunner(max_workers=1)


def _processes(workers: int) -> TaskRunner[Any]:
    return ProcessPoolTaskRunner(max_workers=workers, initializer=_begin)


def _begin() -> None:
    """Prepare a process of a pool."""
    prepare()
    load_tensorflow_quietly()


def _dask(workers: int) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    # One step a process: TensorFlow uses all cores by itself, and its random numbers belong to the process.
    here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    address = os.environ.get(SCHEDULER)
    runner: TaskRunner[Any] = DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=here)
    return runner


def _ray(workers: int) -> TaskRunner[Any]:
    from prefect_ray.task_runners import RayTaskRunner

    runner: TaskRunner[Any] = RayTaskRunner(init_kwargs={"num_cpus": workers, "include_dashboard": False})
    return runner


_RUNNERS: dict[str, Callable[[int], TaskRunner[Any]]] = {
    "sequential": _sequential,
    "processes": _processes,
    "dask": _dask,
    "ray": _ray,
}
