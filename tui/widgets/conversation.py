"""Turns of a conversation as blocks of the transcript."""

from __future__ import annotations

from collections.abc import Sequence

from charrnn.turns import Mode, Turn, alternatives
from tui.strings import Words
from tui.widgets.transcript import Transcript


def figures(turn: Turn, words: Words) -> str:
    """The quiet line under an answer."""
    answers = alternatives(turn)
    place = next(n for n, answer in enumerate(answers, 1) if answer is turn)
    parts = [
        f"‹{place}/{len(answers)}›" if len(answers) > 1 else "",
        f"{words['temperature']} {_temperatures(turn, words)}",
        f"{words['seed']} {turn.seed}",
        f"{turn.characters:,} {words['characters']}",
        f"{turn.characters / turn.seconds:,.0f} {words['rate']}" if turn.seconds else "",
        f"{turn.bits / turn.characters:.2f} {words['surprise']}" if turn.characters else "",
        words["stopped"] if turn.stopped else "",
    ]
    return " · ".join(part for part in parts if part)


def _temperatures(turn: Turn, words: Words) -> str:
    """That of the beginning, and each it was changed to, with the character from which on."""
    said, last = [f"{turn.temperature:.2f}"], turn.temperature
    for change in turn.changes[1:]:
        if change.sampling.temperature != last:
            last = change.sampling.temperature
            said.append(f"{last:.2f} {words['from'].format(f'{change.characters + 1:,}')}")
    return " → ".join(said)


class Conversation(Transcript):
    """A transcript that knows where its turns begin."""

    def __init__(self) -> None:
        super().__init__()
        self._turns: list[tuple[int, str]] = []  # the block each begins with, and its prompt

    @property
    def last_prompt(self) -> str | None:
        """That of the last turn, if there is one."""
        return self._turns[-1][1] if self._turns else None

    def clear(self) -> None:
        """Away with everything."""
        self.writing = False
        self._turns.clear()
        self.cut()

    def show(self, turns: Sequence[Turn], words: Words) -> None:
        """These turns, and nothing else."""
        self.clear()
        for turn in turns:
            self._add(turn, words)
        self.follow()

    def begin(self, mode: Mode, prompt: str) -> None:
        """A turn whose answer is going to be written."""
        self._open(mode, prompt)
        self.writing = True

    def end(self, turn: Turn | None, words: Words) -> None:
        """The answer is over."""
        self.writing = False
        if turn is not None:
            self.add("figures", figures(turn, words))

    def drop_last(self) -> None:
        """The last turn is gone."""
        if self._turns:
            self.writing = False
            self.cut(self._turns.pop()[0])

    def replace_last(self, turn: Turn, words: Words) -> None:
        """Another answer in the place of the last."""
        self.drop_last()
        self._add(turn, words)

    def _open(self, mode: Mode, prompt: str) -> None:
        self._turns.append((self.length, prompt))
        if mode == "chat":
            self.add("ask", prompt)
            self.add("answer")
        else:
            self.add("answer", given=prompt)

    def _add(self, turn: Turn, words: Words) -> None:
        self._open(turn.mode, turn.prompt)
        self.extend(turn.answer)
        self.add("figures", figures(turn, words))
