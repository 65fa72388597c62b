"""This project's models in use.

python -m benchmarks.serving.ours TASK
"""

import importlib.metadata
import json
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.serving.task import Serving, lexicon, read, texts
from rnnlm.inference.predict import classify
from rnnlm.inference.settings import Completing
from rnnlm.inference.trained import Trained
from rnnlm.model.checkpoint import Description
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Model
from rnnlm.tokens import TextTokenizer


def main() -> None:
    """Measure."""
    task = read()
    tokenizer = _tokenizer(task)
    shape = Model(embedding=task.embedding, hidden=task.hidden, layers=task.layers)
    training = ClassifierTraining(max_tokens=task.words)
    classifier = Trained(
        Description(
            kind="classifier",
            settings=shape,
            vocabulary_size=tokenizer.size,
            labels=["bad", "good"],
            classifier=training,
        ),
        tokenizer,
        TargetModel(shape, training, tokenizer.size, classes=2, seed=1),
    )
    language_model = Trained(
        Description(kind="language_model", settings=shape, vocabulary_size=tokenizer.size),
        tokenizer,
        LanguageModel(shape, tokenizer.size, seed=1),
    )
    given = texts(task, task.texts, task.words, seed=1)
    rates = {}
    for name, parts in (("a text a call", [[text] for text in given]), ("all in one call", [given])):
        classify(classifier, parts[0])
        begin = time.perf_counter()
        for part in parts:
            classify(classifier, part)
        rates[name] = task.texts / (time.perf_counter() - begin)
    prefixes = texts(task, task.calls + 5, task.prefix, seed=2)
    ways = {
        "4 beams": Completing(max_tokens=task.completed),
        "drawn": Completing(max_tokens=task.completed, temperature=1),
    }
    seconds = {}
    for name, how in ways.items():
        taken = []
        for prefix in prefixes:
            begin = time.perf_counter()
            language_model.completer.complete(prefix, how)
            taken.append(time.perf_counter() - begin)
        seconds[f"{task.completed} words, {name}"] = taken[5:]  # the first ones compile
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    print(json.dumps({"rates": rates, "seconds": seconds, "versions": versions}))


def _tokenizer(task: Serving) -> TextTokenizer:
    """Return a tokenizer of exactly these words."""
    ids = {token: i for i, token in enumerate(("<unk>", "<eos>", *lexicon(task)))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        tokenizer.save(str(file))
        return TextTokenizer.load(file)


if __name__ == "__main__":
    main()
