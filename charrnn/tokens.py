"""Memory-mapped token files and the windows cut from them. It knows token ids and nothing of text.

Tokens stand in shards, `NAME.00000.tokens` and so on (uint16, or uint32 for large vocabularies), documents that lie
together in each; `NAME.shards.npy` says with which token each begins. `NAME.offsets.npy` cuts them into documents: d is
tokens[offsets[d]:offsets[d + 1]], the document mark first. `NAME.turns.npy` cuts the same tokens finer: documents, and
in dialogues turns, each from its mark on. A shard is mapped when it is first read, and of it only the pages that a
window touches are.
"""

from __future__ import annotations

import copy
import functools
import itertools
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.errors import TrainingError

Ids = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger[Any]]
COUNTED = 10_000_000  # tokens for frequencies, about
ASIDE_PIECE, ASIDE_SHARE = 512, 0.04  # tokens that are set aside together, and the share of all, at most
SAMPLE_PIECE = 1 << 16
SHARD = 1 << 26  # tokens, and what is left of the document with which there are so many
MAPPED = 128  # shards at a time: each takes a file handle


def _dtype(vocabulary: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if vocabulary <= 2**16 else np.uint32


def _shard_path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.{number:05}.tokens"


class TokenWriter:
    """Writes one token file, document by document, and dialogues turn by turn."""

    def __init__(self, folder: Path, name: str, vocabulary: int, shard: int = SHARD) -> None:
        self._folder, self._name, self._dtype, self._most = folder, name, _dtype(vocabulary), shard
        self._documents, self._turns = array("q", [0]), array("q", [0])
        self._shards = array("q", [0])
        self._length = 0
        self._file = _shard_path(folder, name, 0).open("wb")

    def write(self, ids: npt.ArrayLike) -> None:
        """Add tokens to the document that is being written."""
        tokens = np.asarray(ids, self._dtype)
        self._file.write(tokens.tobytes())
        self._length += len(tokens)

    def end_turn(self) -> None:
        """What was written since the last turn or document is one turn."""
        self._turns.append(self._length)

    def end_document(self) -> None:
        """What was written since the last document is one document."""
        self.end_turn()
        self._documents.append(self._length)
        if self._length - self._shards[-1] >= self._most:
            self._end_shard()
            self._file = _shard_path(self._folder, self._name, len(self._shards)).open("wb")
            self._shards.append(self._length)

    def _end_shard(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Finish: synced to the disk."""
        self._end_shard()
        for kind, offsets in (("offsets", self._documents), ("turns", self._turns), ("shards", self._shards)):
            np.save(self._folder / f"{self._name}.{kind}.npy", np.frombuffer(offsets, np.int64))


class _Shards:
    """The tokens of a file as one sequence, to be sliced within a shard."""

    def __init__(self, folder: Path, name: str, vocabulary: int) -> None:
        self._folder, self._name = folder, name
        self.dtype = _dtype(vocabulary)
        self.starts: Offsets = np.load(folder / f"{name}.shards.npy", allow_pickle=False)
        self._map = functools.lru_cache(MAPPED)(self._mapped)

    def _mapped(self, number: int) -> Tokens:
        path = _shard_path(self._folder, self._name, number)
        try:
            return np.memmap(path, self.dtype, mode="r") if path.stat().st_size else np.empty(0, self.dtype)
        except FileNotFoundError:
            raise TrainingError(
                f"{path}: the prepared text was removed while it was read; go on with --resume, or train again"
            ) from None

    def __getitem__(self, part: slice) -> Tokens:
        number = int(np.searchsorted(self.starts, part.start, side="right")) - 1
        start = int(self.starts[number])
        return self._map(number)[part.start - start : part.stop - start]

    def whole(self) -> Tokens:
        """All of them, in memory."""
        return np.concatenate([self._mapped(number) for number in range(len(self.starts))])


class TokenFile:
    """Documents of tokens, read from a memory map; with `turns`, each turn of a dialogue is a document."""

    def __init__(self, folder: Path, name: str, vocabulary: int, *, turns: bool = False) -> None:
        whole: Offsets = np.load(folder / f"{name}.offsets.npy", mmap_mode="r", allow_pickle=False)
        offsets: Offsets = whole
        if turns:
            offsets = np.load(folder / f"{name}.turns.npy", mmap_mode="r", allow_pickle=False)
        self._tokens: _Shards | Tokens = _Shards(folder, name, vocabulary)
        self._starts, self._stops = offsets[:-1], offsets[1:]
        self._shards = self._tokens.starts
        # Which have a document in common: none, unless a dialogue is cut into turns.
        self._dialogues = np.searchsorted(whole, self._starts, side="right") if len(offsets) > len(whole) else None

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._starts)

    @property
    def total(self) -> int:
        """Number of tokens, document marks included."""
        return int(self.lengths().sum())

    def lengths(self) -> Offsets:
        """Tokens of each document."""
        return self._stops - self._starts

    def document(self, d: int, start: int = 0, stop: int | None = None) -> Ids:
        """Tokens [start:stop] of document d, its mark at 0."""
        first, end = int(self._starts[d]), int(self._stops[d])
        stop = end - first if stop is None else min(stop, end - first)
        return self._tokens[first + start : first + stop].astype(np.int64)

    def frequencies(self, vocabulary: int) -> npt.NDArray[np.float64]:
        """The share of each token, (V,), of a long text on a sample from everywhere; none is quite zero."""
        counts = np.bincount(self.text(COUNTED), minlength=vocabulary) + 0.5
        return np.asarray(counts / counts.sum())

    def set_aside(self, most: int) -> tuple[TokenFile, TokenFile]:
        """What is left, and about `most` tokens (at most ASIDE_SHARE of all) from everywhere.

        A dialogue is set aside whole or not at all. Of a text too short to spare a piece nothing is.
        """
        return self._parted(ASIDE_PIECE, max(round(1 / ASIDE_SHARE), -(-self.total // max(1, most))))

    def text(self, most: int) -> Tokens:
        """All tokens one after another; of more than `most`, pieces from everywhere."""
        kept = self if self.total <= most else self._parted(SAMPLE_PIECE, -(-self.total // most))[1]
        pieces = [self._tokens[a:b] for a, b in zip(kept._starts.tolist(), kept._stops.tolist(), strict=True)]
        return np.concatenate([self._tokens[0:0], *pieces])

    def shards(self) -> Iterator[tuple[int, int]]:
        """The first document of each shard, and the one after its last."""
        firsts = np.unique(np.searchsorted(self._starts, self._shards)).tolist()
        return itertools.pairwise([*(first for first in firsts if first < len(self)), len(self)])

    def halved(self, halves: Mapping[int, tuple[int, int]], share: float, seed: Sequence[int]) -> TokenFile:
        """The same documents, in memory, with a share of the tokens that have halves drawn and written as these: the
        same text, spelled otherwise (subword regularisation, Kudo 2018; Provilkov et al. 2020)."""
        tokens = self._tokens.whole() if isinstance(self._tokens, _Shards) else self._tokens
        cuttable = np.zeros(1 + max(int(tokens.max(initial=0)), *halves), np.bool_)
        parts = np.zeros((len(cuttable), 2), tokens.dtype)
        for token, pair in halves.items():
            cuttable[token], parts[token] = True, pair
        drawn = cuttable[tokens] & (np.random.default_rng(seed).random(len(tokens)) < share)
        places = np.concatenate([[0], np.cumsum(1 + drawn)])
        other = copy.copy(self)
        other._tokens = np.repeat(tokens, 1 + drawn)
        cut = places[:-1][drawn]
        other._tokens[cut], other._tokens[cut + 1] = parts[tokens[drawn]].T
        other._starts, other._stops = places[self._starts], places[self._stops]
        return other

    def _parted(self, piece: int, every: int) -> tuple[TokenFile, TokenFile]:
        """Of `every` pieces of so many tokens, all but one, and the one."""
        period = piece * every
        lengths = self.lengths()
        ends = np.cumsum(lengths) + period // 2  # the first piece of each period is the one
        places = ends - lengths
        taken = places % period < piece
        cut = lengths > np.where(taken, piece, period) - places % period
        if self._dialogues is not None:
            first = np.searchsorted(self._dialogues, self._dialogues)  # turn of the same dialogue
            alone = np.bincount(self._dialogues)[self._dialogues] == 1
            taken = np.where(alone, taken, taken[first])
            cut &= alone
        parts: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]] = [], []
        for d in np.flatnonzero(cut).tolist():
            start, stop, place = int(self._starts[d]), int(self._stops[d]), int(places[d]) % period
            while start < stop:
                side = place < piece
                end = min(stop, start + (piece if side else period) - place)
                parts[side].append((start, end, d))
                place = (place + end - start) % period
                start = end
        return self._of(~taken & ~cut, parts[False]), self._of(taken & ~cut, parts[True])

    def _of(self, kept: npt.NDArray[np.bool_], pieces: list[tuple[int, int, int]]) -> TokenFile:
        """Some documents, and pieces of others: where they start and stop, and of which they are."""
        starts, stops, documents = np.array(pieces, np.int64).reshape(-1, 3).T
        other = copy.copy(self)
        other._starts = np.concatenate([self._starts[kept], starts])
        order = np.argsort(other._starts, kind="stable")
        other._starts = other._starts[order]
        other._stops = np.concatenate([self._stops[kept], stops])[order]
        if self._dialogues is not None:
            other._dialogues = np.concatenate([self._dialogues[kept], self._dialogues[documents]])[order]
        return other


class Piece(NamedTuple):
    """Part of a document in a window: its first position there, in which stream, and where it lies in the document."""

    stream: int
    position: int
    document: int
    start: int
    length: int


class Windows:
    """An epoch's windows: the documents permuted by seed and epoch, in B streams side by side, T positions at a time.

    Stream b reads the b-th of B equal stretches of the permuted text, so that the state after a window is the state
    before the next. The few tokens past B equal stretches are another few in every epoch. Of documents that are
    `seldom` (a truth value for each) an epoch reads one of so many `parts`, the next one in the next epoch.

    After the first epoch a share `split` of the tokens that have `halves` is spelled by these, others in every epoch;
    the epoch is as long as before, and what it no longer holds is left out with the few tokens.

    A text of many tokens is permuted by its shards: these among one another, and the documents of each. So a stream,
    which is long, touches few of them, one after the other, and the others stay unread.

    Of several `ranks` that read the same epoch together, each reads its own streams: as many as any other.
    """

    def __init__(
        self,
        tokens: TokenFile,
        *,
        batch: int,
        window: int,
        seed: int,
        seldom: npt.NDArray[np.bool_] | None = None,
        parts: int = 1,
        halves: Mapping[int, tuple[int, int]] | None = None,
        split: float = 0.0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._tokens = self._spelled = tokens
        self._halves, self._split = halves, split
        self._seed = seed
        self._parts = None if seldom is None else np.where(seldom, parts, 1)
        self._epoch = -1
        epochs = 1 if self._parts is None else int(self._parts.max(initial=1))
        least = min(int(np.diff(self._bounds(epoch), axis=0).sum()) for epoch in range(epochs))
        # A text too short for the batch gets fewer streams, then a shorter window: at least one target a stream.
        # As many for each rank, with at least one.
        most = max(1, min(batch, least // 2, least // (window + 1) or 1))
        self.streams = max(ranks, most - most % ranks)
        self.own = range(rank * self.streams // ranks, (rank + 1) * self.streams // ranks)
        """The streams of this rank."""
        self.stretch = (least - 1) // self.streams  # targets a stream and epoch
        self.window = min(window, self.stretch)
        self.windows = -(-self.stretch // self.window)

    @property
    def tokens_per_epoch(self) -> int:
        """Targets that an epoch trains on."""
        return self.streams * self.stretch

    def cut(self, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Window `index` of an epoch: inputs and targets of the rank's own streams, each (T, B); the last of an epoch
        may be shorter."""
        block = np.empty((self._length(index) + 1, len(self.own)), np.int64)
        for stream, position, document, start, length in self.pieces(epoch, index, targets=True):
            block[position : position + length, stream] = self._spelled.document(document, start, start + length)
        return block[:-1], block[1:]

    def pieces(self, epoch: int, index: int, *, targets: bool = False) -> Iterator[Piece]:
        """What the inputs of a window are made of, own streams from 0; with `targets`, also the position after them."""
        self._open(epoch)
        for number, stream in enumerate(self.own):
            start = stream * self.stretch + index * self.window
            yield from self._stretches(number, start, self._length(index) + targets)

    def _length(self, index: int) -> int:
        return min(self.window, self.stretch - index * self.window)

    def _open(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        if self._halves and self._split and epoch:
            self._spelled = self._tokens.halved(self._halves, self._split, [self._seed, epoch])
        else:
            self._spelled = self._tokens
        rng = np.random.default_rng([self._seed, epoch])
        shards = [first + rng.permutation(after - first) for first, after in self._tokens.shards()]
        if len(shards) > 1:
            shards = [shards[n] for n in rng.permutation(len(shards))]
        self._order = np.concatenate(shards)
        self._firsts, stops = self._bounds(epoch)[:, self._order]
        self._starts = np.concatenate([[0], np.cumsum(stops - self._firsts)])
        self._epoch = epoch

    def _bounds(self, epoch: int) -> Offsets:
        """What an epoch reads of each document: its first position and the one after its last, (2, documents)."""
        lengths = self._spelled.lengths()
        if self._parts is None:
            return np.stack([np.zeros_like(lengths), lengths])
        part = (epoch + np.arange(len(lengths))) % self._parts
        return np.stack([lengths * part // self._parts, lengths * (part + 1) // self._parts])

    def _stretches(self, stream: int, first: int, length: int) -> Iterator[Piece]:
        """The parts of documents at [first : first + length] of the permuted text."""
        place = int(np.searchsorted(self._starts, first, side="right")) - 1
        done = 0
        while done < length:
            start = first + done - int(self._starts[place])
            part = min(length - done, int(self._starts[place + 1]) - first - done)
            if part:
                yield Piece(stream, done, int(self._order[place]), int(self._firsts[place]) + start, part)
            done += part
            place += 1
