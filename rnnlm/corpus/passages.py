"""Passages that test documents share with a text that a model has read: near copies, quotations, repeated phrases.

A passage is thirteen words in a row, whatever their case and punctuation (Brown et al. 2020, *Language Models are
Few-Shot Learners*, appendix C). In scripts without spaces every letter counts as a word. Documents that are shorter
have no passage; those that are the same as a whole are found by their digests (`rnnlm.corpus.overlap`).
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.corpus.scripts import UNSPACED, blocks
from rnnlm.refs import DocumentsRef, PassagesRef
from rnnlm.store import file_sha256, whole_folder

LENGTH = 13  # words
# A share of the test documents that can hardly change a score.
TRIFLE = 0.01
AT_ONCE = 1_024  # documents: some megabytes of text
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word is lost; its bits are spread evenly


def find_passages(source: DocumentsRef, target: DocumentsRef, folder: Path) -> PassagesRef:
    """Look for the passages of the target's test documents in what models read: training and validation text.

    Args:
        source: The source's documents.
        target: The target's.
        folder: Where the documents that share one are listed.
    """
    read = ["train", "valid"]
    shared = dict(zip(("source", "target"), sharing_passages(target, [(source, read), (target, read)]), strict=True))
    rows = [(name, text) for text, names in shared.items() for name in sorted(names)]
    with whole_folder(folder) as work:
        columns = {"id": [name for name, _ in rows], "text": [text for _, text in rows]}
        file = work / "passages.parquet"
        pq.write_table(pa.table(columns, pa.schema([("id", pa.string()), ("text", pa.string())])), file)
        sha256 = file_sha256(file)
    numbers = {text: len(names) for text, names in shared.items()}
    return PassagesRef(path=folder, sha256=sha256, test=target.documents["test"], **numbers)


def passages_warning(passages: PassagesRef) -> str:
    """Return a warning, if more than one in a hundred test documents share passages with the source's text."""
    if passages.source <= TRIFLE * passages.test:
        return ""
    share = "shares" if passages.source == 1 else "share"
    return (
        f"{passages.source:,} of the target's {passages.test:,} test documents {share} {LENGTH} words in a row with "
        "the source's text. Models that read the source may score too well on them. A verdict also compares all models "
        "without these documents."
    )


def sharing_passages(test: DocumentsRef, read: Iterable[tuple[DocumentsRef, Sequence[str]]]) -> list[set[str]]:
    """Return the ids of test documents that share a passage with texts.

    Args:
        test: The documents whose test split is looked at.
        read: Texts, each with the splits that are read.

    Returns:
        For each of the texts a set of ids.
    """
    ids: list[str] = []
    parts = [np.zeros(0, np.uint64)]
    owners = [np.zeros(0, np.int64)]
    for names, texts in _documents(test, ["test"]):
        passages, of = _passages(texts)
        parts.append(passages)
        owners.append(of + len(ids))
        ids += names
    wanted, place = np.unique(np.concatenate(parts), return_inverse=True)
    owner = np.concatenate(owners)
    found = []
    for documents, splits in read:
        seen = np.zeros(len(wanted) + 1, bool)
        for _, texts in _documents(documents, splits):
            passages, _ = _passages(texts)
            at = np.searchsorted(wanted, passages)
            same = at[at < len(wanted)]
            seen[same[wanted[same] == passages[at < len(wanted)]]] = True
        found.append({ids[n] for n in np.unique(owner[seen[place]])})
    return found


def _documents(documents: DocumentsRef, splits: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the ids and the texts of some splits, in pieces."""
    with pq.ParquetFile(checked(documents.file)) as file:
        for batch in file.iter_batches(AT_ONCE, columns=["id", "text", "split"]):
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.is_in(table["split"], value_set=pa.array(splits)))
            yield table["id"].to_pylist(), table["text"].to_pylist()


def _passages(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each passage of each text, equal for equal passages, and the place of its text."""
    words = [words_of(text) for text in texts]
    of = np.repeat(np.arange(len(words)), [len(one) for one in words])
    # Numbers of words are the interpreter's own: they hold in this process, and nothing keeps them.
    numbers = np.fromiter((hash(word) for one in words for word in one), np.int64, len(of)).astype(np.uint64)
    count = max(len(numbers) - LENGTH + 1, 0)
    passages = np.zeros(count, np.uint64)
    for n in range(LENGTH):
        passages = passages * _FACTOR + numbers[n : n + count]
    inside = of[:count] == of[LENGTH - 1 : LENGTH - 1 + count]
    return passages[inside], of[:count][inside]


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, without punctuation; each letter of an unspaced script by itself."""
    text = text.casefold()
    unspaced, word, plain = _patterns()
    # The slower pattern only where it is needed: it takes three times as long.
    return (word if unspaced.search(text) else plain).findall(text)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return what finds a letter of an unspaced script, the words of any text, and those of a text without one."""
    # Vowel signs and accents that are characters of their own: they belong to the word, and are no `\w`.
    marks = "".join(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    letters = "".join(f"{chr(first)}-{chr(last)}" for first, last in blocks(UNSPACED))
    word = rf"(?:(?![{letters}])\w)(?:(?![{letters}])[\w{marks}])*|(?=\w)[{letters}]"
    return re.compile(f"[{letters}]"), re.compile(word), re.compile(rf"\w[\w{marks}]*")
