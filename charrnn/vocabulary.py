"""A vocabulary learned from text: SentencePiece's trainer, with what the exactness of `tokenizer` asks of it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sentencepiece import SentencePieceTrainer

from charrnn.errors import UsageError
from charrnn.tokenizer import APART, LEAST, MARKS, Kind, Tokenizer, first_characters

MOST = 16_000
"""The largest vocabulary chosen unasked."""


def train_tokenizer(texts: Iterable[str], kind: Kind, *, size: int = 0, max_characters: int = 5_000_000) -> Tokenizer:
    """Learn a vocabulary from the first `max_characters` of the texts; the same texts give the same bytes.

    A character seen at least twice gets a piece of its own; the others are spelled in bytes, which thereby learn from
    the rare characters of the corpus how to write those that it lacks. Subwords are the pieces of SentencePiece's
    unigram language model (Kudo 2018). `size` counts everything (bytes, marks, …) and is an upper limit: less is made
    where the texts have no more to offer; below LEAST it raises UsageError. 0 chooses:

    - char: as many as there are characters, at most MOST, the most frequent;
    - subword: 1.1 times as many as there are characters, and one more for every 150 characters of text, at most MOST
      (within 1 % of the best bits per character of a bigram model, on 8 to 170 thousand characters of Chinese).
    """
    if size and size < LEAST:
        raise UsageError(f"vocabulary must be 0 (chosen from the corpus) or at least {LEAST}, not {size}")
    sample: Iterable[str] = first_characters(texts, max_characters)
    if kind == "subword":
        sample = list(sample)  # read twice; characters are counted as they come
    counts = Counter(chain.from_iterable(sample))
    alphabet = _alphabet(counts, size or MOST)
    if kind == "char":
        # One sentence per character, with its count: SentencePiece makes exactly these pieces, at once. LEAST and the
        # alphabet both count the space.
        sentences = (f"{character}\t{count}" for character, count in alphabet.items())
        return Tokenizer(_train(sentences, "char", len(alphabet) + LEAST - 1, input_format="tsv"))
    size = min(size, 2**20) or min(MOST, LEAST + round(1.1 * len(alphabet) + counts.total() / 150))
    model = _train(
        _lines(sample, counts.keys() - alphabet.keys()),
        "unigram",
        size,
        max_sentencepiece_length=8,
        # Digit by digit, as numbers are unbounded; and indentation in one piece, as articles hold code.
        split_digits=True,
        allow_whitespace_only_pieces=True,
        # The default million costs twice the time on a large sample, for a vocabulary no better.
        seed_sentencepiece_size=max(100_000, 4 * size),
    )
    return Tokenizer(model)


def _alphabet(counts: Counter[str], size: int) -> dict[str, int]:
    """Counts of the characters that get a piece in a vocabulary of at most `size`: the space always, then by count."""
    frequent = [c for c, count in counts.items() if count >= 2 and c not in " \n" and not APART.match(c)]
    frequent.sort(key=lambda c: (-counts[c], c))
    return {" ": max(1, counts[" "])} | {c: counts[c] for c in frequent[: size - LEAST]}


def _lines(sample: Iterable[str], rare: Iterable[str]) -> Iterator[str]:
    """Cut the sample at line ends, and at characters without a piece, into what the trainer does not drop as too long.

    The limit is 4,192 bytes. The newline is among the rare ones, as it is a piece of its own already.
    """
    cuts = {ord(character): "\n" for character in rare}
    yield " "  # so that the space has a piece, and the trainer at least one sentence
    for text in sample:
        for line in text.translate(cuts).split("\n"):
            yield from (line[start : start + 1000] for start in range(0, len(line), 1000))


def _train(sentences: Iterable[str], model_type: str, size: int, **options: Any) -> bytes:
    """Run SentencePiece's trainer, in silence. The number of threads is fixed as the result depends on it."""
    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type=model_type,
        vocab_size=size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        control_symbols=list(MARKS),
        user_defined_symbols=["\n"],
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=4,
        minloglevel=2,
        **options,
    )
    return model.getvalue()
