"""An answer read once more, to and fro, by a stream of its own: what stood at each place, and what else could have."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from typing import TYPE_CHECKING, NamedTuple

from charrnn.generation import BEGINNING
from charrnn.turns import Next, Seen, Turn

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig
    from charrnn.generation import Stream
    from charrnn.model import LanguageModel
    from charrnn.prospects import Prospects

SPAN = 128  # tokens between marks
NAMED = 200  # likeliest tokens that are given with their text
SHOWN = 80  # characters of what stands before a place


class Crossing(NamedTuple):
    """A temperature from which on another token would have been drawn by the same random number."""

    temperature: float
    instead: str
    """The token that is next in the order."""


class Reason(NamedTuple):
    """Why a token came."""

    name: str
    """What it adds to the text."""
    probability: float
    """Of being drawn, under the settings then."""
    model: float
    """The model's own: at temperature 1, before penalty and filters."""
    rank: int
    """In the order of falling probability, from 0."""
    entropy: float
    """Bits of what it was drawn from."""
    below: Crossing | None
    """None where it is drawn at any lower temperature; or was not drawn at all."""
    above: Crossing | None

    @property
    def bits(self) -> float:
        """Its surprise."""
        return -math.log2(max(self.model, 1e-300))


def reason(seen: Seen, uniform: float) -> Reason:
    """Of what stood at a place, drawn by this number; NaN where it was chosen by hand."""
    prospect = seen.place.prospects.under(seen.sampling)
    rank = prospect.rank(seen.token)

    def crossing(temperature: float | None, step: int) -> Crossing | None:
        if temperature is None:
            return None
        beyond = prospect.at(temperature * (1 + step * 1e-6)).choice(uniform)
        return Crossing(temperature, seen.name(int(prospect.ids[beyond])))

    below, above = (None, None) if math.isnan(uniform) else prospect.turns(uniform, rank)
    probabilities = float(prospect.drawn[rank]), float(prospect.model[rank])
    return Reason(
        seen.name(seen.token), *probabilities, rank, prospect.entropy, crossing(below, -1), crossing(above, 1)
    )


def next_of(model: LanguageModel, prospects: Prospects, sampling: SamplingConfig, written: str) -> Next:
    """What may come next, with the text of the likeliest tokens."""
    likeliest = prospects.under(sampling).ids[:NAMED].tolist()
    return Next(prospects, {id: model.tokenizer.piece(id) for id in likeliest}, written[-SHOWN:])


class Reread:
    """An answer, from the place before it; a step costs the reading of at most SPAN tokens."""

    def __init__(
        self,
        model: LanguageModel,
        turn: Turn,
        read_prompt: Callable[[Stream], None],
        barred: Callable[[int], Set[int]],
    ) -> None:
        """`read_prompt` brings a stream from before the prompt to where the answer begins; `barred` says what may not
        stand at a place."""
        assert turn.before is not None
        self.turn = turn
        self._model = model
        self._barred = barred
        self._stream = model.stream()
        self._stream.go_to(turn.before)
        read_prompt(self._stream)
        self._marks = [self._stream.mark()]

    def look_at(self, number: int, stop: Callable[[], bool]) -> Seen | None:
        """The token of a number, from 0; None where it was stopped before it came there."""
        turn, stream = self.turn, self._stream
        tokens = turn.tokens.tolist()
        while len(self._marks) <= number // SPAN:  # the first way there
            start = (len(self._marks) - 1) * SPAN
            stream.go_to(self._marks[-1])
            stream.read(tokens[start : start + SPAN])
            self._marks.append(stream.mark())
            if stop():
                return None
        stream.go_to(self._marks[number // SPAN])
        stream.read(tokens[number - number % SPAN : number])
        change = turn.in_force(number)
        stream.memory = self._model.memory if change.remembers else None
        written = (turn.prompt if turn.mode == "continue" else "") + turn.answer[: sum(turn.lengths[:number])]
        place = next_of(self._model, stream.prospects(self._barred(number)), change.sampling, written)
        name = {tokens[number]: self._model.tokenizer.piece(tokens[number])}
        drafted = turn.drafts > 1 and number < min(BEGINNING, turn.given or BEGINNING)  # after a branch singly
        return Seen(number, tokens[number], place._replace(names=place.names | name), change.sampling, drafted)
