"""What all tests share: an environment of their own, one Prefect server, MLflow stores that cost nothing."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from rnnlm import environment

if TYPE_CHECKING:
    from rnnlm.refs import DocumentsRef
    from rnnlm.tokens import Text, TextTokenizer

# Prefect, MLflow and TensorFlow read the environment when they are imported: it must stand before the first test
# module is. Nothing that the developer has set may leak in, neither a server nor a store.
_SESSION = Path(tempfile.mkdtemp(prefix="rnnlm-tests-"))
for _name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_", "RNNLM_LOGIN"))]:
    del os.environ[_name]
os.environ["RNNLM_HOME"] = str(_SESSION / "home")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# Matplotlib would otherwise look for a display.
os.environ["MPLBACKEND"] = "agg"

environment.prepare()

# No deadline: the first example pays for imports. Derandomized: a test that passed passes again.
hypothesis.settings.register_profile("rnnlm", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("rnnlm")


def pytest_unconfigure() -> None:
    """Remove all that the session wrote."""
    shutil.rmtree(_SESSION, ignore_errors=True)


@pytest.fixture(scope="session")
def encoded() -> "Callable[..., Text]":
    """Return what makes a text of lists of token ids; one character, byte and word each token."""
    import numpy as np

    from rnnlm.tokens import Text, Vocabulary

    def documents(*texts: list[int], size: int = 64, bos: int | None = 2) -> Text:
        lengths = np.array([len(text) for text in texts])
        return Text(
            vocabulary=Vocabulary(size, eos=3, unk=1, bos=bos),
            ids=np.concatenate(texts).astype(np.uint16),
            offsets=np.concatenate(([0], np.cumsum(lengths))),
            labels=np.full(len(texts), -1, np.int16),
            n_characters=lengths,
            n_bytes=lengths,
            n_words=lengths,
            document_ids=np.array([f"document {n}" for n in range(len(texts))], object),
        )

    return documents


@pytest.fixture
def of_lines(tmp_path: Path) -> "Callable[..., DocumentsRef]":
    """Return what ingests a corpus whose documents are lines: its name, then the lines of each split."""
    from rnnlm.corpus import ingest
    from rnnlm.settings import Corpus

    def corpus(name: str, **splits: list[str]) -> "DocumentsRef":
        files = {}
        for split, lines in splits.items():
            path = tmp_path / f"{name}-{split}.txt"
            path.write_text("\n".join(lines), encoding="utf-8")
            files[split] = [str(path)]
        settings = Corpus.model_validate(files | {"document": "line", "drop_empty": False})
        return ingest(settings, tmp_path / name, downloads=tmp_path)

    return corpus


@pytest.fixture(scope="session", autouse=True)
def _absl_closes_no_stream() -> None:
    """Keep pytest's own file of what is written to standard error open.

    TensorFlow's log handler (absl) takes the stream that is there as it is loaded: pytest's. When Prefect configures
    logging it closes all handlers, and this one closes its stream if another one has taken the place of standard error
    meanwhile, as `capsys` does. The whole session ended so.
    """
    import logging

    import absl.logging

    absl.logging.PythonHandler.close = logging.StreamHandler.close  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """Run flows against one Prefect server of the session, with a database of its own.

    A test that also uses `mlflow_store` has results and caches of its own; the others share the session's.
    """
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def _migrated_store() -> Path:
    """Make the tables of an MLflow store once: it takes seconds, a copy takes none."""
    import mlflow

    file = _SESSION / "migrated.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture
def mlflow_store(_migrated_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of an empty MLflow store, the test's own; RNNLM_HOME is the test's folder with it.

    Prefect's results are in that folder too: no step of another test's run counts as done here.
    """
    import mlflow
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    folder = tmp_path / "mlflow"
    folder.mkdir()
    shutil.copy(_migrated_store, folder / "mlflow.db")
    # The copy still knows where the migrated one would have kept artifacts.
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        location = (folder / "artifacts").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ? || '/' || experiment_id", (location,))
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    # MLflow keeps the artifacts of an experiment that names no place under the working directory.
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):
        yield uri
    while mlflow.active_run():
        mlflow.end_run("KILLED")
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="session")
def rnnlm_up() -> "Callable[..., contextlib.AbstractContextManager[dict[str, str]]]":
    """Return what runs `rnnlm up` over a folder, with variables; return the addresses of its servers."""

    @contextlib.contextmanager
    def running(home: Path, variables: dict[str, str] | None = None) -> Iterator[dict[str, str]]:
        tools = ("PREFECT_", "MLFLOW_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(tools)}
        home.mkdir(exist_ok=True)
        # Called from some other folder, as by a service of the system.
        own |= {"RNNLM_HOME": str(home), "PWD": str(home)} | (variables or {})
        process = subprocess.Popen(
            [sys.executable, "-c", "from rnnlm.cli.app import main; main()", "up"],
            env=own,
            cwd=home,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            assert any(line.startswith("Ctrl-C") for line in process.stdout), "it did not start: see its messages"
            yield json.loads((home / environment.SERVERS).read_text(encoding="utf-8"))
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()

    return running


@pytest.fixture(scope="session")
def write_news_and_reviews() -> Callable[[Path], None]:
    """Return what writes small texts into a folder.

    `news/`; `reviews.csv`, whose words tell their stars; `reviews.jsonl`, the same with vectors that tell less; and
    `tagged.jsonl`, whose words have tags.
    """
    import numpy as np

    things, said = ("film", "story", "plot", "actor", "scene"), (("great", "lovely", "funny"), ("dull", "weak", "flat"))

    def write(folder: Path) -> None:
        generator = np.random.default_rng(3)
        (folder / "news").mkdir()
        for n in range(40):
            sentences = [f"The {generator.choice(things)} is {generator.choice(said[n % 2])}." for _ in range(9)]
            (folder / "news" / f"{n}.txt").write_text(" ".join(sentences), encoding="utf-8")
        rows = [f"{generator.choice(things)} so {generator.choice(said[n % 2])} {n},{n % 2 + 1}" for n in range(180)]
        (folder / "reviews.csv").write_text("\n".join(["text,stars", *rows]), encoding="utf-8")
        vectors = np.random.default_rng(4).normal(size=(180, 5)) + np.arange(180)[:, None] % 2
        lines = [
            json.dumps({"text": text, "stars": stars, "vector": vector.tolist()})
            for (text, stars), vector in zip((row.rsplit(",", 1) for row in rows), vectors, strict=True)
        ]
        (folder / "reviews.jsonl").write_text("\n".join(lines), encoding="utf-8")
        tagged = []
        for n in range(180):
            words = [generator.choice(things), "so", generator.choice(said[n % 2]), "indeed", str(n)]
            tags = ["B-thing", "O", f"B-{('praise', 'blame')[n % 2]}", f"I-{('praise', 'blame')[n % 2]}", "O"]
            tagged.append(json.dumps({"text": words, "stars": tags}))
        (folder / "tagged.jsonl").write_text("\n".join(tagged), encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the real corpora ($RNNLM_DATA); tests that need it are skipped without."""
    folder = os.environ.get("RNNLM_DATA")
    if not folder:
        pytest.skip("RNNLM_DATA names no folder of real corpora")
    return Path(folder)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., "TextTokenizer"]:
    """Return what makes a word tokenizer of exactly these words, behind `<unk>` and `<eos>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from rnnlm.tokens import TextTokenizer

    def make(*words: str) -> TextTokenizer:
        ids = {token: i for i, token in enumerate(("<unk>", "<eos>", *words))}
        tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
        tokenizer.save(str(file))
        return TextTokenizer.load(file)

    return make


@pytest.fixture
def registered_model(mlflow_store: str, tmp_path: Path) -> str:
    """Register a small language model of random weights, and return its address in MLflow."""
    import mlflow

    from rnnlm import registry
    from rnnlm import settings as config
    from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
    from rnnlm.model.language_model import LanguageModel
    from rnnlm.refs import CheckpointRef
    from rnnlm.store import file_sha256
    from rnnlm.tokens import TextTokenizer
    from rnnlm.tokens.kinds import train

    folder = tmp_path / "model"
    folder.mkdir()
    text = "the film was a delight great dull long and a joy to see"
    train(config.Tokenizer(), [[text]] * 3).save(str(tmp_path / "own.json"))
    size = TextTokenizer.load(tmp_path / "own.json").size
    settings = config.Model(embedding=8, hidden=8, layers=1)
    description = Description(kind="language_model", settings=settings, vocabulary_size=size)
    Checkpoint(description, get_weights(LanguageModel(settings, size))).save(folder, tmp_path / "own.json")
    checkpoint = CheckpointRef(
        path=folder,
        sha256=file_sha256(folder / "weights.safetensors"),
        kind="language_model",
        metrics={},
        seconds=1.0,
        tokens_sha256="0",
        recorded_as="",
    )
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("tiny"))
    return registry.register(checkpoint, name="tiny", alias="champion", run_id=run.info.run_id, tags={}).uri


@pytest.fixture(scope="session")
def write_experiment(write_news_and_reviews: Callable[[Path], None]) -> Callable[[Path], None]:
    """Write an experiment of seconds with its texts, `reviews.yaml`, into a folder."""

    def write(folder: Path) -> None:
        write_news_and_reviews(folder)
        training = {"epochs": 1, "batch_size": 4, "window": 8, "evaluations": 1}
        shares = {"valid_share": 0.2, "test_share": 0.3}
        settings = {
            "name": "reviews",
            "model": {"embedding": 8, "layers": 1},
            "source": {
                "corpus": {"files": ["news/*.txt"], **shares},
                "tokenizer": {"kind": "word", "vocabulary_size": 40},
                "language_model": training,
            },
            "target": {
                "corpus": {"files": ["reviews.csv"], "label": "stars", **shares},
                "language_model": training,
                "classifier": {
                    "epochs": 1,
                    "min_steps": 4,
                    "batch_size": 8,
                    "learning_rates": [0.02],
                    "evaluations": 1,
                },
            },
            "comparison": {"arms": ["scratch", "tfidf", "parameter"], "labels": [20], "seeds": 1},
        }
        (folder / "reviews.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML, too

    return write
