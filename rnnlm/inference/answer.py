"""One function for all uses of a model: texts and parameters in, rows of plain values (as in JSON) out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rnnlm.corpus.words import joined
from rnnlm.inference.correct import correct
from rnnlm.inference.lexicon import Lexicon
from rnnlm.inference.limits import Limits
from rnnlm.inference.predict import classify, predict, tag
from rnnlm.inference.rescore import rescore
from rnnlm.inference.score import score
from rnnlm.inference.settings import Completing, Correcting, Rescoring, default_task, parse
from rnnlm.inference.trained import Trained


def answer(
    trained: Trained,
    texts: Sequence[str | Sequence[str]],
    given: Mapping[str, Any],
    limits: Limits | None = None,
) -> list[dict[str, Any]]:
    """Answer a request.

    Args:
        trained: The model.
        texts: The texts. For `rescore`, the hypotheses of one n-best list. For `tag`, they may be cut into words.
        given: `task` and its parameters, which are in `rnnlm.inference.settings`.
        limits: What may be asked for; if None, anything.

    Returns:
        A row for each text, in the order of the texts, with the fields of the result.

    Raises:
        ConfigError: If a parameter is wrong, or the model cannot do this.
        TooLargeError: If the request asks for too much.
    """
    task, how = parse(given, default_task(trained.description.kind))
    plain = [one if isinstance(one, str) else joined(one) for one in texts]
    if limits is not None:
        limits.check(plain, how)
    if task == "tag":
        return [asdict(one) for one in tag(trained, texts)]
    if task == "classify":
        return [asdict(one) for one in classify(trained, plain)]
    if task == "predict":
        return [asdict(one) for one in predict(trained, plain)]
    if isinstance(how, Completing):
        completer = trained.completer
        return [{"completions": [asdict(one) for one in completer.complete(text, how)]} for text in plain]
    if isinstance(how, Rescoring):
        return [asdict(one) for one in rescore(trained, plain, how)]
    if isinstance(how, Correcting):
        lexicon = Lexicon.of(how.words) if how.words else trained.lexicon
        return [asdict(correct(trained, text, how, lexicon)) for text in plain]
    return [asdict(one) for one in score(trained, plain)]
