import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_of_modules_is_packaged() -> None:
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for room in ("rnnlm", "tasks", "flows")
        for file in (ROOT / room).rglob("*.py")
    }
    assert folders | {"deployments"} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_file_of_data_is_packaged() -> None:
    for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items():
        folder = ROOT.joinpath(*package.split("."))
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package} has no {pattern}"


def test_the_lock_holds_what_is_asked_for_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    project = PROJECT["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name = re.split(r"[<>=~!\[; ]", requirement)[0].lower().replace("_", "-")
        assert name in pinned, f"run `make lock`: {name}"
    assert not re.search(r"://|--index-url|--find-links", lock)
