"""Turns of a conversation as blocks of the transcript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tui.layout import Ink, shade
from tui.strings import Words
from tui.widgets.knobs import STEPS, setting
from tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from charrnn.turns import Change, Mode, Turn


def figures(turn: Turn, words: Words) -> str:
    """The quiet line under an answer."""
    answers = turn.alternatives
    place = next(n for n, answer in enumerate(answers, 1) if answer is turn)
    parts = [
        f"‹{place}/{len(answers)}›" if len(answers) > 1 else "",
        f"{words['temperature']} {_temperatures(turn, words)}",
        f"{words['seed']} {turn.seed}",
        f"{turn.characters:,} {words['characters']}",
        f"{turn.rate:,.0f} {words['rate']}" if turn.rate else "",
        f"{turn.bits / turn.characters:.2f} {words['surprise']}" if turn.characters else "",
        "" if turn.branched is None else words["branched"].format(f"{turn.branched + 1:,}"),
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


def mark(change: Change, before: Change, words: Words) -> str:
    """What is put into the text where settings changed; empty where nothing that counts did."""
    now, then = change.sampling, before.sampling
    changed = [
        f"{words['temperature']} {now.temperature:.2f}" if now.temperature != then.temperature else "",
        *(
            " ".join(setting(name, getattr(now, name), words))
            for name in STEPS
            if getattr(now, name) != getattr(then, name)
        ),
        words["memory_on" if change.remembers else "memory_off"] if change.remembers != before.remembers else "",
    ]
    said = " ".join(part for part in changed if part)
    return f"⟨{said}⟩" if said else ""


def runs_of(turn: Turn, words: Words) -> Iterator[tuple[str, Ink]]:
    """An answer with the surprise of its characters, and with marks where settings changed."""
    changes = list(zip(turn.changes[1:], turn.changes, strict=False))[::-1]
    characters = 0
    for text, bits in turn.runs():
        start = 0
        while changes and changes[-1][0].characters < characters + len(text):
            change, before = changes.pop()
            cut = change.characters - characters  # between runs, but in an answer of an earlier version
            yield text[start:cut], shade(bits)
            yield mark(change, before, words), "mark"
            start = cut
        yield text[start:], shade(bits)
        characters += len(text)


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
            self.append(turn, words)
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
        self.append(turn, words)

    def _open(self, mode: Mode, prompt: str) -> None:
        self._turns.append((self.length, prompt))
        if mode == "chat":
            self.add("ask", prompt)
            self.add("answer")
        else:
            self.add("answer", prompt, "ask")

    def append(self, turn: Turn, words: Words) -> None:
        """A turn at the end."""
        self._open(turn.mode, turn.prompt)
        self.extend([*runs_of(turn, words)])
        self.add("figures", figures(turn, words))
