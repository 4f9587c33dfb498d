"""From a file's bytes to its text: decompressed, in whatever encoding it is written, in pieces, in flat memory.

UTF-8 is tried first, over the whole file. What is no UTF-8 is recognised among the encodings that Chinese text comes
in; a file that is nearly UTF-8 is one with damaged bytes, and they are named by their place.
"""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import math
import re
import shutil
import sys
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Literal

import zstandard

from charrnn.errors import CorpusError

BLOCK_BYTES = 1 << 16
PIECE_CHARACTERS = 1 << 16
SAMPLE_BYTES = 1 << 18
# zstd packs up to 128 KiB into four bytes: small bites keep a hostile file from filling the memory.
ZSTD_BLOCK_BYTES = 1 << 12
# Text packs into a tenth or so. What unpacks to very much more than it is would fill the disk, and teach nothing.
MOST_UNPACKED, UNPACKED_ANYWAY = 100, 256 << 20  # times its size; bytes
LONGEST_LINE = 32 << 20  # characters of a line that is held whole
LEGACY = ("gb18030", "big5hkscs", "utf_16_le", "utf_16_be")
NAMES = {"utf_8": "utf-8", "big5hkscs": "big5", "utf_16_le": "utf-16", "utf_16_be": "utf-16"}
BOMS = (  # the longer first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
# The commonest characters of modern Chinese, both scripts: a wrong decoding yields rare ones.
COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "這個們來為國說時會對於著過發後裡種經麼學現當沒動還進樣開從實點問與長關頭見話無與並"
    "，。、；：？！“”《》（）　 \n"
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MOST_CONTROL = 0.02

Errors = Literal["strict", "replace"]


class TextFile:
    """One source of text: a path, or standard input for "-".

    Its encoding is known, and its bytes are checked, before the first piece: text is never half of one encoding and
    half of another. Raises CorpusError for bytes that are no text, a damaged archive, and (unless errors is
    "replace") single bad bytes, with the offset of the first.
    """

    def __init__(self, path: Path | None, errors: Errors = "strict") -> None:
        self.name = "standard input" if path is None else str(path)
        self._errors = errors
        self._ending = "" if path is None else path.suffix.lower()
        self._open = self._opener(path)
        self._most = self._limit()
        head = self._head()
        bom, marked = next(((b, e) for b, e in BOMS if head.startswith(b)), (b"", None))
        self._skip = len(bom)
        codec = marked or self._recognise(head)
        self.encoding = NAMES.get(codec, codec)
        self._codec = codec
        self.replaced = 0
        bad = self._first_error(codec)
        self._damaged = bad is not None
        if self._damaged and errors == "strict":
            raise CorpusError(
                f"{self.name}: byte {bad:,} is not {self.encoding}; mend the file, or give --errors replace"
            )

    def pieces(self) -> Iterator[str]:
        """The text, line ends as \\n, in pieces of up to 65,536 characters that end with a line where they can."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self._codec)(self._errors), True)
        waiting, self.replaced = "", 0
        for block in itertools.chain(self._blocks(), [b""]):
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError:  # it was checked from its beginning to its end
                raise CorpusError(f"{self.name}: it was changed while it was read; read it again") from None
            self.replaced += text.count("\ufffd") if self._damaged else 0
            waiting += text
            cut = waiting.rfind("\n") + 1
            while cut or len(waiting) >= PIECE_CHARACTERS:
                size = min(cut or PIECE_CHARACTERS, PIECE_CHARACTERS)
                yield waiting[:size]
                waiting = waiting[size:]
                cut = max(0, cut - size)
        if waiting:
            yield waiting

    def lines(self) -> Iterator[str]:
        """The text line by line, each with its end, held whole. CorpusError for one too long for that."""
        waiting, number = "", 1
        for piece in self.pieces():
            *whole, rest = piece.split("\n")
            for line in whole:
                yield waiting + line + "\n"
                waiting, number = "", number + 1
            waiting += rest
            if len(waiting) > LONGEST_LINE:
                raise CorpusError(
                    f"{self.name}:{number}: more than {LONGEST_LINE >> 20} million characters in one line, which must "
                    "be read whole; cut it, or save running text as .txt"
                )
        if waiting:
            yield waiting

    # Bytes -------------------------------------------------------------------------------------------------------

    def _opener(self, path: Path | None) -> Callable[[], AbstractContextManager[IO[bytes]]]:
        """Something that opens the source from its start each time it is called."""
        if path is not None and path.is_file():
            return lambda: path.open("rb")
        kept = tempfile.TemporaryFile()  # noqa: SIM115  a pipe gives its bytes only once
        weakref.finalize(self, kept.close)
        if path is None:
            shutil.copyfileobj(sys.stdin.buffer, kept)
        else:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, kept)

        def reopen() -> AbstractContextManager[IO[bytes]]:
            kept.seek(0)
            return nullcontext(kept)

        return reopen

    def _limit(self) -> float:
        """The most bytes that a packed file may unpack to."""
        if self._ending not in (".gz", ".zst"):
            return math.inf
        with self._open() as file:
            return max(UNPACKED_ANYWAY, MOST_UNPACKED * file.seek(0, io.SEEK_END))

    def _unpacked(self) -> Iterator[bytes]:
        with self._open() as file:
            if self._ending == ".zst":
                yield from _unpack_zstd(file)
                return
            source: IO[bytes] = gzip.GzipFile(fileobj=file) if self._ending == ".gz" else file  # type: ignore[assignment]
            while block := source.read(BLOCK_BYTES):
                yield block

    def _blocks(self, skip_bom: bool = True) -> Iterator[bytes]:
        skip = self._skip if skip_bom else 0
        size = 0
        try:
            for block in self._unpacked():
                size += len(block)
                if size > self._most:
                    raise CorpusError(
                        f"{self.name}: unpacks to more than {MOST_UNPACKED} times its size, which no text does; "
                        "unpack it yourself if it is one"
                    )
                if kept := block[skip:]:
                    yield kept
                skip = 0
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise CorpusError(
                f"{self.name}: the {self._ending} file is damaged or cut short ({error}); make it again"
            ) from error

    def _head(self) -> bytes:
        head = b""
        for block in self._blocks(skip_bom=False):
            head += block
            if len(head) >= SAMPLE_BYTES:
                break
        return head

    # Encodings ---------------------------------------------------------------------------------------------------

    def _recognise(self, head: bytes) -> str:
        bad = self._first_error("utf_8")
        # A file is judged by its head, and one that goes wrong later by the stretch where it does.
        sample = head if bad is None or bad < len(head) else self._around(bad)
        if bad is None:
            if _control_share(sample.decode("utf-8", "ignore")) <= MOST_CONTROL:
                return "utf_8"
        elif _nearly_utf_8(sample):
            return "utf_8"
        codec = _recognise_legacy(sample)
        if codec is None:
            raise CorpusError(
                f"{self.name}: this is no text in UTF-8, GB18030, Big5 or UTF-16; leave it out, or convert it to UTF-8"
            )
        return codec

    def _first_error(self, codec: str) -> int | None:
        """Offset of the first byte that is wrong in an encoding, from the start of the (unpacked) file."""
        decoder = codecs.getincrementaldecoder(codec)()
        read = self._skip
        for block in itertools.chain(self._blocks(), [b""]):
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # The decoder's object is what it kept of earlier blocks, and then this one.
                return read + len(block) - len(error.object) + error.start
            read += len(block)
        return None

    def _around(self, offset: int) -> bytes:
        position, kept = self._skip, b""
        for block in self._blocks():
            position += len(block)
            kept = (kept + block)[-SAMPLE_BYTES:]
            if position > offset + BLOCK_BYTES:
                break
        return kept


def front_matter(text: str) -> int:
    """Length of the YAML between two lines of three dashes that a Markdown text may begin with, and of blank lines."""
    found = re.match(r"---[ \t]*\n(?:.*\n)*?---[ \t]*(?:\n\s*|$)", text)
    return found.end() if found else 0


def _unpack_zstd(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of all frames; python-zstandard's own reader ends in silence where a file is cut."""
    frame = None
    while packed := file.read(ZSTD_BLOCK_BYTES):
        while packed:
            frame = frame or zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            yield frame.decompress(packed)
            packed = b""
            if frame.eof:
                packed, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")


def _control_share(text: str) -> float:
    return len(_CONTROL.findall(text)) / max(1, len(text))


def _nearly_utf_8(sample: bytes) -> bool:
    """Whether most of what is beyond ASCII is UTF-8; text in another encoding hardly ever is."""
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(character > "\x7f" for character in text) - wrong
    return _control_share(text) <= MOST_CONTROL and (right > 4 * wrong or wrong <= len(text) // 500)


def _recognise_legacy(sample: bytes) -> str | None:
    """The encoding that charset-normalizer finds text in; of several, the one with most of the commonest characters."""
    import charset_normalizer

    found = []
    for codec in LEGACY:
        text = sample.decode(codec, "ignore")
        clean = text.encode(codec, "ignore")
        # A few bad bytes, and the character that the sample's end cuts, do not make it another encoding.
        if len(clean) < 0.99 * len(sample) - 3 or _control_share(text) > MOST_CONTROL:
            continue
        if text and charset_normalizer.from_bytes(clean, cp_isolation=[codec]).best():
            found.append((sum(character in COMMON for character in text) / len(text), codec))
    return max(found)[1] if found else None
