"""A conversation that is saved while it happens: a session, and beside it the database.

What cannot be saved does not stop the conversation; `trouble` says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, TypeVar

from charrnn.chat import Session
from charrnn.errors import HistoryError
from charrnn.history import Conversations, SavedTurn
from charrnn.turns import Turn

if TYPE_CHECKING:
    from charrnn.generation import Piece

SAVE_EVERY = 0.5  # seconds of an answer at risk
T = TypeVar("T")


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
        return self._recorded(self.session.say(text), again=False)

    def say_again(self) -> Generator[Piece, None, None]:
        """Stream another answer to the last prompt."""
        return self._recorded(self.session.say_again(), again=True)

    def choose(self, other: Turn) -> None:
        """Put another answer in the place of the last one."""
        last = self.session.turns[-1] if self.session.turns else None
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

    def _recorded(self, pieces: Iterator[Piece], *, again: bool) -> Generator[Piece, None, None]:
        answer: Turn | None = None
        number, due = None, 0.0
        try:
            for piece in pieces:
                if answer is None or time.monotonic() > due:
                    answer = self.session.turns[-1]
                    number = self._save(number, answer, again=again)
                    due = time.monotonic() + SAVE_EVERY
                yield piece
        finally:
            if answer is not None:
                answer.place = self.session.place(answer.mode)
                self._save(number, answer, again=again, whole=True)

    def _save(self, number: int | None, answer: Turn, *, again: bool, whole: bool = False) -> int | None:
        """The number under which the answer is saved; None while it cannot be."""

        def save(base: Conversations) -> int:
            known = self._add(base, answer, again=again) if number is None else number
            base.save_answer(known, answer, whole=whole)
            return known

        found = self._try(save)
        return number if found is None else found

    def _add(self, base: Conversations, answer: Turn, *, again: bool) -> int:
        if self.conversation is not None and not base.has(self.conversation):  # deleted, by another program perhaps
            self.conversation, self._saved = None, []
        if self.conversation is None:
            self.conversation = base.begin(answer.prompt)
        saved = self._saved[-1] if again and self._saved else None
        if saved is None or saved.standing not in answer.others:
            turn, number = base.add(self.conversation, answer)
            saved = SavedTurn(turn, {}, 0)
            self._saved.append(saved)
        else:
            _, number = base.add(self.conversation, answer, saved.id)
        saved.answers[number], saved.stands = answer, number
        return number

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
