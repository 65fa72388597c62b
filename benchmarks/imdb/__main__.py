"""Transfer on IMDb: how many labels a language model of reviews without labels is worth.

    python -m benchmarks.imdb --data FOLDER [--set field=value]…

FOLDER contains train.tsv, test.tsv and unsup.tsv (or .tsv.gz) with the columns label (0, 1, -1) and text. The
experiment is experiment.yaml, and it runs like `rnnlm run`: within three hours on two cores. A run that was stopped
continues where it was. The verdict goes to results/imdb.json, without the reviews, and the tables to results/imdb.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import machine_facts
from rnnlm import environment
from rnnlm.errors import DataError
from rnnlm.experiment import load_experiment

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results"


def main() -> None:
    """Run the experiment, and write the results beside those of the other benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of train.tsv and the others")
    parser.add_argument("--set", action="append", default=[], metavar="field=value", help="change a field")
    arguments = parser.parse_args()
    train, test, unsup = (_file(arguments.data, split) for split in ("train", "test", "unsup"))
    files = [
        f"source.corpus.train=['{unsup}']",
        f"source.corpus.exclude=['{test}']",
        f"target.corpus.train=['{train}']",
        f"target.corpus.test=['{test}']",
    ]
    experiment = load_experiment(str(HERE / "experiment.yaml"), files + arguments.set)
    machine = machine_facts()
    git = shutil.which("git") or "git"
    commit = subprocess.run([git, "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True)
    environment.prepare()
    # Imported here, after the environment is set, because this loads Prefect.
    from rnnlm.evaluation.verdict import Verdict
    from rnnlm.flows.transfer import transfer
    from rnnlm.report import markdown

    began = time.perf_counter()
    report = transfer(experiment)
    verdict = Verdict.model_validate_json((report.path / "verdict.json").read_text(encoding="utf-8"))
    # No text of the data set and no path of this machine is kept here.
    content = verdict.model_dump(mode="json", exclude={"examples"})
    for corpus in (content["configuration"]["source"]["corpus"], content["configuration"]["target"]["corpus"]):
        for field in ("train", "test", "exclude"):
            corpus[field] = [Path(address).name for address in corpus[field]]
    found = {
        "command": " ".join(["python -m benchmarks.imdb --data FOLDER", *(f"--set {one}" for one in arguments.set)]),
        "commit": commit.stdout.strip(),
        "machine": machine,
        # The time of this call only: steps of an earlier call are not repeated.
        "seconds": round(time.perf_counter() - began),
        "verdict": content,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "imdb.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    table = markdown(verdict)
    (RESULTS / "imdb.md").write_text(table, encoding="utf-8")
    sys.stdout.write(table)


def _file(data: Path, split: str) -> Path:
    found = sorted(data.resolve().glob(f"{split}.tsv*"))
    if not found:
        raise DataError(f"there is no {split}.tsv", where=str(data), remedy="Give the folder of the data set.")
    return found[0]


if __name__ == "__main__":
    main()
