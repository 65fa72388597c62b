"""ARPA files, which KenLM, SRILM and speech recognisers read."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rnnlm.ngram.model import NgramModel

AT_ONCE = 100_000  # n-grams whose tokens are looked up at the same time
IMPOSSIBLE = -99.0  # the usual value for the logarithm of zero


def write_arpa(model: NgramModel, tokens: Sequence[str], file: Path) -> None:
    r"""Write a model as an ARPA file, with logarithms to base 10.

    The beginning and the end of a document and the unknown token get their names in such files: `<s>`, `</s>` and
    `<unk>`. White space inside a token is written as an escape (`\u0020`), because it separates the tokens of a line. A
    backslash is written as two. Running text has no beginning, but `<s>` is written all the same, because KenLM cannot
    read a file without it. KenLM cannot read a file of unigrams alone either.

    Args:
        model: The model.
        tokens: The text of each token.
        file: The file to write.
    """
    of = model.vocabulary
    special = {of.eos: "</s>", of.unk: "<unk>"} | ({of.bos: "<s>"} if of.bos is not None else {})
    names = np.array([special.get(n) or _escaped(token) for n, token in enumerate(tokens)], object)
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\\data\\\n")
        more = [int(of.bos is None), *[0] * (model.order - 1)]
        out.writelines(
            f"ngram {n}={len(keys) + extra}\n" for n, (keys, extra) in enumerate(zip(model.keys, more, strict=True), 1)
        )
        for n in range(1, model.order + 1):
            out.write(f"\n\\{n}-grams:\n")
            if n == 1 and of.bos is None:
                out.write(f"{IMPOSSIBLE:g}\t<s>" + ("\t0\n" if model.order > 1 else "\n"))
            out.writelines(_lines(model, names, n))
        out.write("\n\\end\\\n")


def _lines(model: NgramModel, names: np.ndarray, order: int) -> Iterator[str]:
    for start in range(0, len(model.keys[order - 1]), AT_ONCE):
        place = np.arange(start, min(start + AT_ONCE, len(model.keys[order - 1])))
        log = np.maximum(model.log_probabilities[order - 1][place] / math.log(10), IMPOSSIBLE)
        backoff = model.log_backoffs[order - 1][place] / math.log(10) if order < model.order else None
        words = []
        for n in range(order, 0, -1):
            keys = model.keys[n - 1][place]
            words.append(names[keys % model.vocabulary.size])
            place = keys // model.vocabulary.size
        for row, ngram in enumerate(zip(*reversed(words), strict=True)):
            end = "" if backoff is None else f"\t{backoff[row]:.7g}"
            yield f"{log[row]:.7g}\t{' '.join(ngram)}{end}\n"


def _escaped(token: str) -> str:
    """Return a token as one word that is not a special name."""
    if not token or token in ("<s>", "</s>", "<unk>"):
        return f"\\{token}"
    token = token.replace("\\", "\\\\")
    return "".join(f"\\u{ord(c):04x}" if c.isspace() or c == "\0" else c for c in token)
