"""What was asked, as a weighted bag of hashed runs of characters: the form in which a question reaches its answer.

In little text a network does not learn to carry a question through its state to the answer. So the question goes there
by a way of its own: a context vector added to every step of the answer (Mikolov and Zweig 2012), here a sum of learned
vectors, one for each run of one to three characters of the question, found by a hash (as in Bojanowski et al. 2017).
This module knows text; it knows nothing of tokens, tensors and networks.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST_RUN = 3
EARLIER, ANSWERED = 0.3, 0.1  # what an earlier turn counts beside a later one; an answer beside its question
LEAST = 0.02  # what counts less is forgotten
REMEMBERED = 1 + int(math.log(LEAST) / math.log(EARLIER))  # questions
MOST_CHARACTERS = 1000  # of a turn
# What carries little meaning: punctuation, blanks, and the characters of particles, wherever they stand.
_IDLE = dict.fromkeys(map(ord, "，。、；：？！,.;:?!…—～~“”‘’\"'（）()《》【】「」 \t\r\n\u3000呢吗啊呀吧嘛呗哦"))


@dataclass(frozen=True, slots=True)
class Bag:
    """Runs by their buckets, and how much each counts; a run that occurs twice is there twice."""

    buckets: array[int]
    weights: array[float]

    @classmethod
    def of(cls, counted: Iterable[tuple[Sequence[int], float]]) -> Bag:
        """Of lists of buckets, all of a list counting as much."""
        bag = cls(array("i"), array("d"))
        for buckets, weight in counted:
            bag.buckets.extend(buckets)
            bag.weights.extend([weight] * len(buckets))
        return bag


def runs(text: str, buckets: int) -> list[int]:
    """The buckets of all runs of one to three characters, in small letters, without what carries no meaning."""
    text = text[:MOST_CHARACTERS].lower()
    text = text.translate(_IDLE) or text
    return [
        zlib.crc32(f"{n}{text[i : i + n]}".encode("utf-8", "replace")) % buckets
        for n in range(1, LONGEST_RUN + 1)
        for i in range(len(text) - n + 1)
    ]


class Asked:
    """A dialogue as it goes on: what was asked last counts fully, what was said before less and less. A value."""

    def __init__(self, buckets: int, turns: tuple[tuple[tuple[int, ...], float], ...] = ()) -> None:
        self._buckets = buckets
        self._turns = turns

    def ask(self, question: str) -> Asked:
        """After one more question."""
        kept = tuple((r, w * EARLIER) for r, w in self._turns if w * EARLIER >= LEAST)
        return self._with(kept, question, 1.0)

    def answer(self, answer: str) -> Asked:
        """After the answer to it; a text that begins with an answer, as one that was cut may, has no question to it."""
        return self._with(self._turns, answer, ANSWERED) if self._turns else self

    def _with(self, turns: tuple[tuple[tuple[int, ...], float], ...], text: str, weight: float) -> Asked:
        return Asked(self._buckets, (*turns, (tuple(runs(text, self._buckets)), weight)))

    def bag(self) -> Bag:
        """All of it, the last turn fully; an earlier one, however long, counts no more runs than that has.

        So a greeting or another subject is not drowned by the long answer before it.
        """
        last = len(self._turns[-1][0]) if self._turns else 0
        return Bag.of((found, w * min(1.0, last / max(1, len(found)))) for found, w in self._turns)
