"""Characters or subwords to token ids and back, exact both ways, and the decoder that follows a stream of ids.

SentencePiece stores the vocabulary, which `vocabulary` learns, and cuts text into subwords; this module adds the
exactness: whatever SentencePiece would mangle is spelled in UTF-8 bytes here, and ids become text through a table of
bytes of our own. It knows nothing of networks or files.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

from charrnn.errors import ModelError

Kind = Literal["char", "subword"]
Ids = npt.NDArray[np.int32]

MARKS = ("<document>", "<ask>", "<answer>")
"""Control pieces: no text encodes to them."""
LEAST = 256 + len(MARKS) + 3
"""The least vocabulary: every byte, the marks, <unk>, the newline and the space."""

_SPACE = "\u2581"  # how SentencePiece writes a space inside a piece
_TOGETHER = 4096  # characters, about: of more, the sums of logarithms would lose their last digits
_MODEL_TYPES: dict[object, Kind] = {1: "subword", 4: "char"}  # TrainerSpec.ModelType: UNIGRAM, CHAR

# What SentencePiece cannot take as it stands: its own signs for space, tab and unknown, what ends a C string or brings
# a line back, and surrogates, which have no UTF-8. These are spelled here: no piece crosses them.
_SIGNS = "\0\t\r\u2581\u2585"
APART = re.compile(f"([{_SIGNS}\ud800-\udfff]+)")


class Tokenizer:
    """SentencePiece, exact both ways: `decode(encode(text)) == text` for every text that has a UTF-8 form.

    Damaged bytes, and models that are not charrnn's, raise ModelError.
    """

    model: bytes
    """The serialised SentencePiece model, which a model folder stores as tokenizer.model."""
    kind: Kind
    """Characters or subwords."""
    size: int
    """Number of tokens V."""
    document: int
    """The mark with which a document begins."""
    ask: int
    """The mark with which a question begins."""
    answer: int
    """The mark with which an answer begins."""
    unknown: int
    """<unk>: never encoded, as bytes spell what is unknown, and never to be sampled."""
    unwritten: frozenset[int]
    """What a continuation never draws: <unk>, and the marks of speakers."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        try:
            self._processor = SentencePieceProcessor(model_proto=model)
            self.kind = _kind(model)
            self._read_pieces()
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelError("tokenizer.model is damaged; restore it, or train the model again") from error

    def _read_pieces(self) -> None:
        """Build the tables of both directions, and find the marks."""
        processor = self._processor
        self.size = processor.piece_size()
        ids = list(range(self.size))
        self._pieces = [piece.replace(_SPACE, " ") for piece in processor.id_to_piece(ids)]
        self._bytes = [piece.encode() for piece in self._pieces]
        byte_ids: dict[int, int] = {}
        for id, piece in enumerate(self._pieces):
            if processor.is_byte(id):
                byte = int(piece[1:-1], 16)  # "<0xE4>"
                self._bytes[id] = bytes([byte])
                byte_ids[byte] = id
            elif processor.is_control(id) or processor.is_unknown(id):
                self._bytes[id] = b""
        own = {piece: id for id, piece in enumerate(self._pieces) if len(piece) == 1}
        _require(self.kind == "char" or " " in own, "it has no piece for the space")
        self._spelling = _Spelling(own, byte_ids)
        self.document, self.ask, self.answer = (self._mark(name) for name in MARKS)
        self.unknown = processor.unk_id()
        self.unwritten = frozenset({self.unknown, self.ask, self.answer})

    def _mark(self, name: str) -> int:
        id: int = self._processor.piece_to_id(name)
        _require(self._processor.is_control(id), f"it has no mark {name}")
        return id

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; none of them a mark, whatever the text spells.

        A lone surrogate, which no file can hold, is taken for U+FFFD.
        """
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> Ids:
        """The same as an array, which of a long text takes less time and room."""
        if self.kind == "char":
            return self._spell(text)
        parts = []
        for index, part in enumerate([text] if _ordinary(text) else APART.split(text)):
            if index % 2:
                parts.append(self._spell(part))
            else:
                parts += [self._processor.encode(x, return_type="numpy") for x in _some_lines(part, _TOGETHER)]
        return np.concatenate(parts)

    def _spell(self, text: str) -> Ids:
        return np.fromiter(chain.from_iterable(map(self._spelling.__getitem__, text)), np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids: marks and <unk> are nothing, bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self._bytes.__getitem__, ids)).decode("utf-8", "replace")

    def piece(self, id: int) -> str:
        """A token, for showing: its text, `<0xE4>` for a byte, `<document>` for a mark."""
        return self._pieces[id]

    def token_bytes(self, id: int) -> bytes:
        """What a token adds to the text in UTF-8; nothing for a mark."""
        return self._bytes[id]

    def halves(self) -> dict[int, tuple[int, int]]:
        """Of each subword that two others spell, the two that are likeliest one after the other."""
        processor = self._processor
        texts = {self._pieces[i]: i for i in range(self.size) if not processor.is_byte(i) and self._bytes[i]}
        found = {}
        for text, id in texts.items():
            cuts = [(texts.get(text[:k]), texts.get(text[k:])) for k in range(1, len(text))]
            pairs = [(left, right) for left, right in cuts if left is not None and right is not None]
            if pairs:
                found[id] = max(pairs, key=lambda pair: sum(map(processor.get_score, pair)))
        return found

    def decoder(self) -> IncrementalDecoder:
        """Decode a stream of ids as they come."""
        return IncrementalDecoder(self._bytes)


class IncrementalDecoder:
    """Token ids to text, one at a time: never half a character, and never later than it is whole."""

    def __init__(self, table: Sequence[bytes]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        """The text that this token completes; empty while in the middle of a character."""
        return self._decoder.decode(self._table[id])

    def flush(self) -> str:
        """What is left, U+FFFD if that is half a character; then begin anew."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


class _Spelling(dict[str, tuple[int, ...]]):
    """Character to ids: the piece of its own, or else the pieces of its UTF-8 bytes."""

    def __init__(self, own: Mapping[str, int], byte_ids: Mapping[int, int]) -> None:
        super().__init__((character, (id,)) for character, id in own.items())
        self._byte_ids = byte_ids

    def __missing__(self, character: str) -> tuple[int, ...]:
        if "\ud800" <= character <= "\udfff":
            return self["\ufffd"]
        return tuple(self._byte_ids[byte] for byte in character.encode())


def first_characters(texts: Iterable[str], length: int) -> Iterator[str]:
    """The texts, cut after `length` characters; nothing is drawn past them."""
    left = length
    if left <= 0:
        return
    for text in texts:
        if text:
            yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _ordinary(text: str) -> bool:
    """Whether nothing in it stands apart: most text, of which this is known sooner than by the expression."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(sign in text for sign in _SIGNS)


def _some_lines(text: str, most: int) -> Iterator[str]:
    """The text, cut at line ends, which are pieces of their own, into as much at a time where there are any."""
    start = 0
    while len(text) - start > most:
        cut = text.rfind("\n", start, start + most) + 1 or text.find("\n", start + most) + 1 or len(text)
        yield text[start:cut]
        start = cut
    yield text[start:]


def _kind(model: bytes) -> Kind:
    """Read the kind from a model, and refuse one whose settings would not bring every text back.

    The numbers are those of sentencepiece_model.proto; reading them here spares the dependency on protobuf.
    """
    fields = _fields(model)
    trainer, normaliser = fields.get(2), fields.get(3)
    if not isinstance(trainer, bytes) or not isinstance(normaliser, bytes):
        raise ValueError
    settings, rules = _fields(trainer), _fields(normaliser)
    model_type = settings.get(3, 1)
    _require(model_type in _MODEL_TYPES, "its type is neither char nor unigram")
    _require(bool(settings.get(35, 0)), "it has no byte pieces")
    # A map of characters, a space put before the text, spaces taken away, spaces left as they are.
    changes = rules.get(2, b"") or rules.get(3, 1) or rules.get(4, 1) or not rules.get(5, 1)
    _require(not changes, "its normaliser changes the text")
    return _MODEL_TYPES[model_type]


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Last value of each field of a protocol-buffer message; see protobuf.dev/programming-guides/encoding."""
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            fields[number], at = _varint(message, at)
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"wire type {wire}")
        length, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
        fields[number] = message[at : at + length]
        at += length
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the low ones first, and where it ends."""
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | message[at] << shift, at + 1


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ModelError(f"tokenizer.model was not made by charrnn: {reason}")
