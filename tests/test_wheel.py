"""The wheel in an environment of its own, as `pip install` leaves it there, and commands in some other folder."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
IN_THE_WHEEL = ("rnnlm", "flows", "tasks", "deployments", "pyproject.toml", "setup.py", "README.md", "LICENSE")

Run = Callable[..., str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it into an environment that has this one's packages, but not its rnnlm."""
    work = tmp_path_factory.mktemp("wheel")
    # A copy: the build leaves folders behind, and takes what an earlier one has left.
    source, environment = work / "source", work / "environment"
    source.mkdir()
    for name in IN_THE_WHEEL:
        copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name, **({"symlinks": True} if copy is shutil.copytree else {}))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(source)]
    subprocess.run([*pip, *build], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (wheel,) = work.glob("*.whl")
    python = ["--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, *python, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return environment


def packages(environment: Path) -> Path:
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Call a program of the environment in some folder; return what it prints."""
    # The packages that it needs. Those that are here are found last, so its own rnnlm is found first.
    (packages(installed) / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PREFECT_API_URL")}

    def call(program: str, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [str(installed / "bin" / program), *arguments],
            env=own | {"RNNLM_HOME": str(tmp_path / "home")} | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_only_rnnlm_is_put_into_an_environment(installed: Path) -> None:
    assert {file.name.partition("-")[0] for file in packages(installed).iterdir()} - {"needed.pth"} == {"rnnlm"}
    assert not list(packages(installed).glob("rnnlm/**/.env"))


@pytest.mark.skipif(not shutil.which("g++") or sys.platform != "linux", reason="the kernels need Linux and a compiler")
def test_the_wheel_has_the_kernels_and_serves_every_python(run: Run, installed: Path) -> None:
    said = run("rnnlm", "info", RNNLM_KERNEL="native", CUDA_VISIBLE_DEVICES="-1")
    assert said.splitlines()[0].startswith("Kernels     native, ")
    (tags,) = packages(installed).glob("rnnlm-*.dist-info/WHEEL")
    assert "Tag: py3-none-linux_" in tags.read_text(encoding="utf-8")


def test_what_only_looks_works_from_the_wheel(run: Run, installed: Path) -> None:
    where = run("python", "-c", "import rnnlm.stack.up, rnnlm.store; print(rnnlm.store.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    assert "demo" in run("rnnlm", "list")
    assert yaml.safe_load(run("rnnlm", "show", "demo"))["name"] == "demo"
    assert "--pool" in run("rnnlm", "deploy", "--help")
    assert "--temperature" in run("rnnlm", "complete", "--help")
    assert "Nothing runs here" in run("rnnlm", "status")


@pytest.mark.slow
def test_deployments_are_made_from_the_wheel(run: Run, prefect: None) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL

    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectNotFound):
            client.delete_work_pool("rnnlm")
        run("rnnlm", "deploy", "--pool", "kubernetes", PREFECT_API_URL=str(PREFECT_API_URL.value()))
        assert client.read_work_pool("rnnlm").type == "kubernetes"
        assert client.read_deployment_by_name("transfer/demo").entrypoint == "rnnlm.flows.transfer.transfer"
        client.delete_work_pool("rnnlm")


@pytest.mark.slow
def test_an_experiment_runs_from_the_wheel(run: Run, tmp_path: Path) -> None:
    from tests.flows.conftest import write_source, write_target

    write_source(tmp_path / "source")
    write_target(tmp_path / "target.csv")
    training = {"batch_size": 4, "window": 8, "epochs": 1}
    experiment = {
        "name": "tiny",
        "model": {"embedding": 8, "hidden": 12, "layers": 2},
        "source": {"corpus": {"files": ["source"], "format": "text"}, "language_model": training},
        "target": {"corpus": {"files": ["target.csv"], "label": "label"}, "language_model": training},
        "comparison": {"arms": ["scratch", "parameter"], "labels": [50], "seeds": 1},
    }
    for corpus in (experiment["source"], experiment["target"]):
        corpus["tokenizer"] = {"kind": "word", "vocabulary_size": 60}  # type: ignore[index]
        corpus["corpus"] |= {"valid_share": 0.15, "test_share": 0.2}  # type: ignore[index]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    said = run("rnnlm", "run", "tiny.yaml")
    verdict = Path(said.rpartition("Verdict  ")[2].strip())
    assert json.loads(verdict.read_text(encoding="utf-8"))["experiment"] == "tiny"
    scored = run("rnnlm", "score", "models:/tiny-source@champion", "the film is great", "--json")
    assert json.loads(scored)["tokens"] > 0
