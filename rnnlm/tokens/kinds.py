"""The kinds of tokenizers, each trained from an iterator over batches of training texts.

A new kind is one function here and one line in `KINDS`. All of them but `whitespace` number the special tokens
0 to 3 and enclose a document in `<bos>` and `<eos>`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from rnnlm import settings
from rnnlm.errors import ConfigError

Texts = Iterable[list[str]]

PAD, UNK, BOS, EOS = SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[\p{{L}}&&[^{_UNSPACED}]]"
_APOSTROPHES = "'\u2019"
# Persian and the Indic scripts part and join letters inside a word by these.
_JOINERS = "\u200c\u200d"
_LETTERS = rf"{_LETTER}[\p{{L}}\p{{M}}&&[^{_UNSPACED}]]*"
# In order: one character (with its marks) of a script written without spaces; letters with inner apostrophes; a
# number; any other visible character, or a cluster of them as emoji are.
WORD = "|".join(
    (
        rf"[{_UNSPACED}]\p{{M}}*",
        rf"{_LETTERS}(?:[{_APOSTROPHES}{_JOINERS}]{_LETTERS})*",
        r"\p{N}+(?:[.,]\p{N}+)*",
        r"(?![\s\p{Cc}\p{Cf}])\X",
    )
)
# What is left of a word after this is shorter, if a space is before such a word in text.
_AFTER_SPACE = pre_tokenizers.Split(Regex(rf"^(?:{_LETTER}|\p{{N}})"), "removed")
# Every character is in one match, so that nothing is lost; a word takes the space before it along.
_PIECE = "|".join(
    (
        rf" ?[\p{{L}}\p{{M}}]+(?:[{_APOSTROPHES}][\p{{L}}\p{{M}}]+)*",
        r" ?\p{N}{1,3}",
        r" ?[^\s\p{L}\p{M}\p{N}]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def train(setting: settings.Tokenizer, texts: Texts) -> Tokenizer:
    """Train a tokenizer of the kind that the setting names.

    Args:
        setting: Kind, largest vocabulary and lower case.
        texts: Batches of the training texts; read once.

    Raises:
        ConfigError: If the vocabulary is too small for the kind.
    """
    # Text that is tokenised already has its vocabulary, case included.
    lowercase = setting.lowercase and setting.kind != "whitespace"
    normalizer = normalizers.Lowercase() if lowercase else None
    return KINDS[setting.kind](texts, setting.vocabulary_size, normalizer)


def surface(model: Tokenizer, token: str) -> str | None:
    """Return the text of a token, with a space before it where it begins a word.

    So tokens of different kinds can be compared: `film` of words, `Ġfilm` of bpe and `▁film` of unigram are ` film`.

    Args:
        model: The tokenizer.
        token: One of its tokens, no special one.

    Returns:
        The text; None for a byte that is no text by itself, and for unigram's bytes, which only help out.
    """
    if isinstance(model.model, models.WordLevel):
        # Words do not tell where a space was: letters and numbers have one, signs are most often joined to a word.
        rest = "".join(part for part, _ in _AFTER_SPACE.pre_tokenize_str(token))
        return f" {token}" if rest != token else token
    if isinstance(model.decoder, decoders.ByteLevel):
        text: str = model.decoder.decode([token])
        return None if "\N{REPLACEMENT CHARACTER}" in text else text
    unigram = isinstance(model.model, models.Unigram)
    if token in BYTE_TOKENS:
        byte = BYTE_TOKENS.index(token)
        return None if unigram or byte >= 128 else chr(byte)
    return token.replace("▁", " ") if unigram else token


def written(model: Tokenizer, token: str) -> bytes:
    """Return what a token adds to a text, in UTF-8: one byte of a character, a character, or a word with its space.

    Args:
        model: The tokenizer.
        token: One of its tokens, no special one.
    """
    if isinstance(model.model, models.WordLevel):
        # Text that is tokenised already has a space between all of its tokens.
        joined = surface(model, token) if model.token_to_id(BOS) is not None else f" {token}"
        return (joined or "").encode()
    if isinstance(model.decoder, decoders.ByteLevel):
        return bytes(_BYTE_OF[character] for character in token)
    if token in BYTE_TOKENS:
        return bytes([BYTE_TOKENS.index(token)])
    return (token.replace("▁", " ") if isinstance(model.model, models.Unigram) else token).encode()


def _bytes_of_characters() -> dict[str, int]:
    """Return the byte that each character of byte-level BPE represents (Radford et al. 2019).

    Bytes that are visible characters of Latin-1 stand for themselves, the others follow from U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTE_OF = _bytes_of_characters()


def _word(texts: Texts, size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Most frequent words; those of equal frequency in the order of their characters."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _enclosed(tokenizer)


def _whitespace(texts: Texts, _size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Whatever ASCII white space parts, all of it: the size is the text's own. A document ends in `<eos>`.

    The text brings its own `<unk>`; nothing is a special token here that the text could not hold itself.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[ \t\n\r\f\v]+"), "removed")
    every = trainers.WordLevelTrainer(vocab_size=2**31, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(texts, every)
    ids = tokenizer.get_vocab()
    types = [token for token in sorted(ids, key=ids.__getitem__) if token not in (UNK, EOS)]
    tokenizer.model = models.WordLevel(_numbered([UNK, EOS, *types]), unk_token=UNK)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    return tokenizer


def _character(texts: Texts, size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Most frequent characters (code points); those of equal frequency by code point."""
    counts: Counter[str] = Counter()
    for batch in texts:
        for text in batch:
            counts.update(normalizer.normalize_str(text) if normalizer else text)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    # BPE without merges is the library's quickest way to take a text apart.
    vocabulary = _numbered([*SPECIAL_TOKENS, *ranked][:size])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNK, fuse_unk=False))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Fuse()
    return _enclosed(tokenizer)


def _byte(_texts: Texts, _size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """The 256 bytes of UTF-8: byte b has the id b + 4. Nothing is learnt and nothing is unknown."""
    vocabulary = _numbered([*SPECIAL_TOKENS, *BYTE_TOKENS])
    # No character is in the vocabulary, so every one falls back to its bytes.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNK, byte_fallback=True))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return _enclosed(tokenizer)


def _bpe(texts: Texts, size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Byte-level BPE: all 256 bytes are in the vocabulary, so no text is unknown and decoding gives it back."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _enclosed(tokenizer)


def _unigram(texts: Texts, size: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Unigram pieces after SentencePiece, with 256 byte tokens for characters that no piece covers.

    Runs of white space count as one space. Punctuation is a word of its own, so that no text can spell a special token.
    """
    tokenizer = Tokenizer(models.Unigram())
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizer, spaces]) if normalizer else spaces
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    room = size - len(SPECIAL_TOKENS) - len(BYTE_TOKENS)
    # One more than there is room for: the trainer counts its <unk> too.
    trainer = trainers.UnigramTrainer(vocab_size=room + 1, unk_token=UNK, show_progress=False)
    try:
        tokenizer.train_from_iterator(texts, trainer)
    except Exception as error:  # the library raises nothing more precise
        if "not large enough" not in str(error):
            raise
        raise ConfigError(
            f"{size} tokens are too few for unigram: all characters of the text must fit, and 256 bytes",
            where="tokenizer.vocabulary_size",
            remedy="Give more, or use the kind bpe.",
        ) from error
    scores = {piece: score for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"] if piece != UNK}
    pieces = _reproducible(scores)[:room]
    least = pieces[-1][1] if pieces else 0.0
    added = [(token, least) for token in (*SPECIAL_TOKENS, *BYTE_TOKENS)]
    tokenizer.model = models.Unigram(added + pieces, unk_id=SPECIAL_TOKENS.index(UNK), byte_fallback=True)
    return _enclosed(tokenizer)


def _reproducible(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Free the scores of pieces from the order in which the trainer met the words, and sort the pieces by them.

    The trainer keeps its words in a randomly seeded hash map. Sums over them differ in the last digits, and rare
    characters, which it adds at the end, get the least score plus 0.0001 each in that random order.
    """
    least = min(scores.values(), default=0.0)
    characters = sum(len(piece) == 1 for piece in scores)
    rare = least + 1e-4 * (characters + 1)
    canonical = {
        piece: round(least if len(piece) == 1 and score < rare else score, 4) for piece, score in scores.items()
    }
    return sorted(canonical.items(), key=lambda item: (-item[1], item[0]))


def _enclosed(tokenizer: Tokenizer) -> Tokenizer:
    """Add the special tokens and put every document between `<bos>` and `<eos>`."""
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in (BOS, EOS)],
    )
    return tokenizer


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: index for index, token in enumerate(tokens)}


KINDS: dict[str, Callable[[Texts, int, normalizers.Normalizer | None], Tokenizer]] = {
    "word": _word,
    "bpe": _bpe,
    "unigram": _unigram,
    "character": _character,
    "byte": _byte,
    "whitespace": _whitespace,
}
