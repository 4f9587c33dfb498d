"""A conversation that is saved while it happens: a session, and beside it the database.

What cannot be saved does not stop the conversation; `trouble` says why.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from charrnn.errors import HistoryError, UsageError
from charrnn.history import Conversations, SavedTurn
from charrnn.session import Session
from charrnn.turns import Turn

if TYPE_CHECKING:
    from charrnn.generation import Piece

SAVE_EVERY = 0.5  # seconds of an answer at risk
T = TypeVar("T")
P = TypeVar("P")


class Recorder:
    """Says what a session says, and saves it."""

    def __init__(self, session: Session, conversations: Conversations | None) -> None:
        self.session = session
        self.conversation: int | None = None
        """The number of the conversation, once something was said."""
        self.trouble: str | None = None
        """Why something could not be saved, if it could not."""
        self._conversations = conversations
        self._saved: list[SavedTurn] = []

    def say(self, text: str) -> Generator[Piece, None, None]:
        """Stream an answer, saved at least once a second and at its end."""
        return self._recorded(self.session.say(text))

    def say_again(self) -> Generator[Piece, None, None]:
        """Stream another answer to the last prompt."""
        return self._recorded(self.session.say_again())

    def branch(self, turn: Turn, number: int, token: int) -> Generator[Piece, None, None]:
        """Stream another answer, which parts from one there is: see `Session.branch`. From an earlier one than the last
        in a new conversation, which is begun at once, and holds what came before it.

        Raises UsageError as that does, and where what comes after an earlier answer would be lost, as nothing is saved.
        """
        turns = self.session.turns
        if turn not in turns:
            raise UsageError("this answer is no longer in the conversation")
        self.session.look_at(turn, number)  # what fails is to fail before anything is changed
        if turn is not turns[-1]:
            if self.conversation is None or self.trouble is not None:
                raise UsageError("nothing is saved here, so what came after this answer would be lost")
            self._fork(turns[: turns.index(turn) + 1])
        return self._recorded(self.session.branch(number, token))

    def sweep(
        self, text: str | None, temperatures: Sequence[float], length: int, seed: int | None = None
    ) -> Generator[tuple[int, Piece], None, None]:
        """Stream answers at several temperatures: see `Session.sweep`."""
        return self._recorded(self.session.sweep(text, temperatures, length, seed), all_grow=True)

    def choose(self, other: Turn) -> None:
        """Put another answer in the place of the last one."""
        last = self._last()
        self.session.choose(other)
        if self._saved and self._saved[-1].standing is last:
            saved = self._saved[-1]
            saved.stands = next((number for number, turn in saved.answers.items() if turn is other), saved.stands)
            self._try(lambda base: base.choose(saved.id, saved.stands))

    def take_back(self) -> Turn:
        """Forget the last turn."""
        turn = self.session.take_back()
        if self._saved and self._saved[-1].standing is turn:
            saved = self._saved.pop()
            self._try(lambda base: base.remove_turn(saved.id))
        return turn

    def reset(self) -> None:
        """Begin a new conversation."""
        self.session.reset()
        self.conversation, self._saved = None, []

    def open(self, conversation: int, saved: list[SavedTurn]) -> None:
        """Go on with a conversation that was saved."""
        self._take(conversation, saved, [turn.standing for turn in saved])

    def carry_on(self, other: Recorder) -> None:
        """Go on with the conversation of another model's session."""
        self._take(other.conversation, other._saved, other.session.turns)

    def _take(self, conversation: int | None, saved: list[SavedTurn], turns: list[Turn]) -> None:
        self.session.restore(turns)
        self.conversation, self._saved = conversation, saved

    def _fork(self, turns: list[Turn]) -> None:
        """A new conversation, which holds these turns and their other answers."""
        answers = {id(saved.standing): list(saved.answers.values()) for saved in self._saved}
        self.session.restore(turns)
        self.conversation, self._saved = None, []
        for turn in turns:
            self._save(turn, answers.get(id(turn), turn.alternatives), whole=True)

    def _recorded(self, pieces: Iterator[P], *, all_grow: bool = False) -> Generator[P, None, None]:
        before, due = self._last(), 0.0
        known = [] if before is None else before.alternatives

        def save(*, whole: bool = False) -> None:
            turn = self._last()
            if turn is not None and turn is not before:
                growing = [answer for answer in turn.alternatives if answer not in known] if all_grow else [turn]
                for answer in growing if whole else ():
                    answer.place = self.session.place(answer)
                self._save(turn, growing, whole=whole)

        try:
            with contextlib.closing(cast(Generator[P, None, None], pieces)):
                for piece in pieces:
                    if time.monotonic() > due:
                        save()
                        due = time.monotonic() + SAVE_EVERY
                    yield piece
        finally:
            save(whole=True)

    def _last(self) -> Turn | None:
        return self.session.turns[-1] if self.session.turns else None

    def _save(self, turn: Turn, answers: Sequence[Turn], *, whole: bool) -> None:
        """These answers of a turn, the last one, as far as they go."""

        def save(base: Conversations) -> None:
            saved = self._row(base, turn)
            numbers = {id(answer): number for number, answer in saved.answers.items()}
            for answer in answers:
                if id(answer) not in numbers:
                    assert self.conversation is not None
                    _, number = base.add(self.conversation, answer, saved.id)
                    saved.answers[number], numbers[id(answer)], saved.stands = answer, number, number
                base.save_answer(numbers[id(answer)], answer, whole=whole)
            if saved.stands != numbers[id(turn)]:
                saved.stands = numbers[id(turn)]
                base.choose(saved.id, saved.stands)

        self._try(save)

    def _row(self, base: Conversations, turn: Turn) -> SavedTurn:
        """Where the last turn is saved, or another answer to its prompt; if nowhere, it is now."""
        if self._saved and turn in self._saved[-1].answers.values():
            return self._saved[-1]
        if self.conversation is not None and not base.has(self.conversation):  # deleted, by another program perhaps
            self.conversation, self._saved = None, []
        if self._saved and self._saved[-1].standing in turn.others:
            return self._saved[-1]
        if self.conversation is None:
            self.conversation = base.begin(turn.prompt)
        row, number = base.add(self.conversation, turn)
        self._saved.append(SavedTurn(row, {number: turn}, number))
        return self._saved[-1]

    def _try(self, work: Callable[[Conversations], T]) -> T | None:
        if self._conversations is None:
            return None
        try:
            result = work(self._conversations)
        except HistoryError as error:
            self.trouble = str(error)
            return None
        self.trouble = None
        return result
