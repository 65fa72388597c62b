"""Steps as Prefect tasks: what is tried again, and what Prefect takes from runs that it has not seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from rnnlm.errors import DataError, FullDiskError, RnnlmError, StoreError
from rnnlm.refs import Ref
from rnnlm.steps.runner import Local
from rnnlm.steps.step import Place, step
from rnnlm.store import whole_folder
from rnnlm.tasks.step import Prefect, task_of
from rnnlm.tracking import Null


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (StoreError("the store does not answer"), 3),
        (FullDiskError("/here"), 1),
        (ConnectionError("reset"), 3),
        (DataError("broken"), 1),
        (RnnlmError("wrong"), 1),
        (ValueError("a bug"), 1),
        (FileNotFoundError("gone"), 1),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, attempts: int, tmp_path: Path) -> None:
    tried = []

    @step(version=1)
    def attempt(_: Place, folder: str) -> int:
        tried.append(folder)
        if len(tried) < 3:
            raise error
        return 7

    @flow
    def once() -> Any:
        return task_of(attempt).with_options(retry_delay_seconds=0)(str(tmp_path), tracker=Null())

    if attempts == 1:
        with pytest.raises(type(error)):
            once()
    else:
        assert once() == 7
    assert len(tried) == attempts


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_prefect_and_python_alone_have_one_cache() -> None:
    computed = []

    @step(version=1)
    def write(place: Place, text: str) -> Ref:
        computed.append(text)
        with whole_folder(place.folder) as folder:
            (folder / "text").write_text(text)
        return Ref(path=place.folder, sha256=text)

    def by_prefect(text: str) -> Ref:
        @flow
        def once() -> Any:
            return Prefect().run(write, text)

        found: Any = once()
        assert isinstance(found, Ref)
        return found

    first: Callable[[str], Ref] = lambda text: Local().run(write, text)  # noqa: E731
    for one, other in ((first, by_prefect), (by_prefect, first)):
        text = f"{one is first}"
        assert one(text) == other(text) == one(text)
    assert computed == ["True", "False"]


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_what_a_user_wants_computed_again_is() -> None:
    computed = []

    @step(version=1)
    def write(place: Place) -> Ref:
        computed.append(place.folder)
        with whole_folder(place.folder) as folder:
            (folder / "text").write_text("x")
        return Ref(path=place.folder, sha256="x")

    task: Any = task_of(write)

    @flow
    def twice() -> None:
        task(tracker=Null())
        task.with_options(refresh_cache=True)(tracker=Null())

    twice()
    assert len(computed) == 2
