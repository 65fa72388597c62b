import importlib
import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_every_folder_of_modules_is_packaged() -> None:
    # Links inside rnnlm lead to what is at the top level.
    folders = {
        ".".join(Path(folder).relative_to(ROOT).parts)
        for folder, _, files in os.walk(ROOT / "rnnlm", followlinks=True)
        if any(file.endswith(".py") for file in files)
    }
    assert folders | {"rnnlm.deployments"} == set(SETUPTOOLS["packages"])


def test_links_and_the_wheel_give_the_same_names() -> None:
    for name, folder in SETUPTOOLS["package-dir"].items():
        link = ROOT.joinpath(*name.split("."))
        assert link.is_symlink()
        assert link.resolve() == ROOT / folder


def test_every_file_of_data_is_packaged() -> None:
    for package, patterns in SETUPTOOLS["package-data"].items():
        folder = ROOT.joinpath(*package.split("."))
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package} has no {pattern}"


def test_no_module_is_loaded_under_two_names() -> None:
    for name in ("rnnlm.cli.app", "rnnlm.flows.transfer", "rnnlm.flows.score"):
        importlib.import_module(name)
    names: dict[Path, set[str]] = {}
    folders = [ROOT / name for name in ("rnnlm", "flows", "tasks", "deployments")]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        # Some libraries have modules whose file is no path. MLflow loads the code of a model under a name of its own.
        if not file or not Path(file).is_absolute() or module.__name__.startswith("code_model_"):
            continue
        place = Path(file).resolve()
        if any(place.is_relative_to(folder) for folder in folders):
            names.setdefault(place, set()).add(module.__name__)
    assert ROOT / "flows" / "transfer.py" in names
    assert not {place: found for place, found in names.items() if len(found) > 1 or not min(found).startswith("rnnlm")}


def test_the_lock_holds_what_is_asked_for_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    project = PROJECT["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name = re.split(r"[<>=~!\[; ]", requirement)[0].lower().replace("_", "-")
        assert name in pinned, f"run `make lock`: {name}"
    assert not re.search(r"://|--index-url|--find-links", lock)
