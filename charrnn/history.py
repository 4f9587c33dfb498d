"""Conversations: saved while they happen, found again by any run of characters."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charrnn.config import SamplingConfig
from charrnn.database import Database
from charrnn.errors import CharRNNError, HistoryError
from charrnn.plain import encodable, one_line
from charrnn.search import pairs, query, snippet
from charrnn.turns import Change, Turn

YEAR_3000 = 32_503_680_000  # seconds
LONGEST_TITLE = 40  # characters, of a title taken from the first prompt
COLUMNS = "text, tokens, uniforms, surprises, lengths, record, place"  # of an answer
KINDS: dict[str, Any] = {
    **dict.fromkeys(("drafts", "given", "characters", "at"), int),
    **dict.fromkeys(("began", "bits", "seconds"), float),
    **dict.fromkeys(("stopped", "remembers"), bool),
    **{"model": str, "changes": list, "sampling": SamplingConfig},
}
"""What stands in the record of an answer, and in its changes."""


@dataclass(frozen=True, slots=True)
class ConversationEntry:
    """A conversation in a list."""

    id: int
    title: str
    changed: float
    """Seconds since 1970."""
    turns: int
    snippet: str = ""
    """What was found, with what stands around it."""


class Conversations(Database):
    """The conversations of a database file: see `database.Database`."""

    _deleted = False

    def close(self) -> None:
        """Give the file back; the index, which takes long, is rid of what was deleted only now."""
        if self._deleted:
            with contextlib.suppress(sqlite3.Error):
                self._base.execute("INSERT INTO found (found) VALUES ('optimize')")
        super().close()

    # Saving ----------------------------------------------------------------------------------------------------------

    def begin(self, prompt: str) -> int:
        """A new conversation, its title taken from the first prompt; its number."""
        title = " ".join(encodable(prompt).split())[:LONGEST_TITLE]
        with self._explained(), self._transaction():
            values = title, time.time(), time.time()
            row = self._base.execute("INSERT INTO conversations (title, began, changed) VALUES (?, ?, ?)", values)
            return int(row.lastrowid or 0)

    def add(self, conversation: int, answer: Turn, turn: int | None = None) -> tuple[int, int]:
        """An answer, as far as it goes, at the end of a conversation, or to a turn that is there; it stands. The
        numbers of its turn and of itself."""
        with self._explained(), self._transaction():
            if turn is None:
                values = conversation, answer.mode, encodable(answer.prompt)
                row = self._base.execute("INSERT INTO turns (conversation, mode, prompt) VALUES (?, ?, ?)", values)
                turn = int(row.lastrowid or 0)
            values = turn, *_values(answer)
            row = self._base.execute(f"INSERT INTO answers (turn, {COLUMNS}) VALUES (?{', ?' * 7})", values)
            self._base.execute("UPDATE turns SET stands = ? WHERE id = ?", (row.lastrowid, turn))
            self._touch(turn)
            return turn, int(row.lastrowid or 0)

    def save_answer(self, number: int, answer: Turn, *, whole: bool = False) -> None:
        """An answer as far as it goes by now; to be found, once it is whole."""
        with self._explained(), self._transaction():
            values = *_values(answer), number
            self._base.execute(f"UPDATE answers SET ({COLUMNS}) = (?{', ?' * 6}) WHERE id = ?", values)
            row = self._base.execute("SELECT turn FROM answers WHERE id = ?", (number,)).fetchone()
            if row is not None:
                self._touch(row[0])
            if whole:
                self._index(number)

    def choose(self, turn: int, answer: int) -> None:
        """Which answer of a turn stands."""
        with self._explained(), self._transaction():
            self._base.execute("UPDATE turns SET stands = ? WHERE id = ?", (answer, turn))

    def remove_turn(self, turn: int) -> None:
        """Away with a turn and its answers."""
        with self._explained(), self._transaction():
            self._forget("turn = ?", turn)
            self._base.execute("DELETE FROM turns WHERE id = ?", (turn,))

    def rename(self, conversation: int, title: str) -> None:
        """Another title."""
        with self._explained(), self._transaction():
            self._base.execute("UPDATE conversations SET title = ? WHERE id = ?", (encodable(title), conversation))

    def delete(self, conversation: int) -> None:
        """Away with a conversation."""
        with self._explained(), self._transaction():
            self._forget("turn IN (SELECT id FROM turns WHERE conversation = ?)", conversation)
            self._base.execute("DELETE FROM conversations WHERE id = ?", (conversation,))

    def _touch(self, turn: int) -> None:
        self._base.execute(
            "UPDATE conversations SET changed = ? WHERE id = (SELECT conversation FROM turns WHERE id = ?)",
            (time.time(), turn),
        )

    # Reading ---------------------------------------------------------------------------------------------------------

    def latest(self) -> int | None:
        """The conversation that changed last."""
        with self._explained():
            row = self._base.execute("SELECT id FROM conversations ORDER BY changed DESC, id DESC LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def count(self, words: str = "") -> int:
        """How many conversations hold these words, in their title or text; with none, how many there are."""
        where, values = _where(words)
        with self._explained():
            return int(self._base.execute(f"SELECT count(*) FROM conversations AS c{where}", values).fetchone()[0])

    def listed(self, words: str = "", first: int = 0, most: int = 50) -> list[ConversationEntry]:
        """Conversations that hold these words, the last changed first; with none, all. From the `first` on."""
        where, values = _where(words)
        order = (
            "SELECT c.id, c.title, c.changed, (SELECT count(*) FROM turns WHERE conversation = c.id) "
            f"FROM conversations AS c{where} ORDER BY c.changed DESC, c.id DESC LIMIT ? OFFSET ?"
        )
        with self._explained():
            rows = self._base.execute(order, (*values, most, first)).fetchall()
            found = self._snippets([row[0] for row in rows], words)
        return [ConversationEntry(n, title, _time(at), turns, found.get(n, "")) for n, title, at, turns in rows]

    def _snippets(self, conversations: Sequence[int], words: str) -> dict[int, str]:
        """Of each conversation, what stands around the words where they stand first."""
        if not words.strip():
            return {}
        rows = self._base.execute(
            "SELECT t.conversation, t.prompt, a.text, min(a.id) FROM answers AS a JOIN turns AS t ON t.id = a.turn "
            f"WHERE t.conversation IN ({', '.join('?' * len(conversations))}) "
            "AND a.id IN (SELECT rowid FROM found WHERE found MATCH ?) GROUP BY t.conversation",
            (*conversations, query(words)),
        ).fetchall()
        return {number: snippet(f"{prompt} {text}", words) for number, prompt, text, _ in rows}

    def has(self, conversation: int) -> bool:
        """Whether there is such a conversation."""
        with self._explained():
            row = self._base.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation,)).fetchone()
        return row is not None

    def title(self, conversation: int) -> str:
        """Its title; empty if there is no such conversation."""
        with self._explained():
            row = self._base.execute("SELECT title FROM conversations WHERE id = ?", (conversation,)).fetchone()
        return "" if row is None else str(row[0])

    def turns(self, conversation: int) -> list[SavedTurn]:
        """The turns of a conversation, in order."""
        with self._explained():
            rows = self._base.execute(
                f"SELECT t.id, t.mode, t.prompt, t.stands, a.id, {COLUMNS} "
                "FROM turns AS t JOIN answers AS a ON a.turn = t.id WHERE t.conversation = ? ORDER BY t.id, a.id",
                (conversation,),
            ).fetchall()
        found: dict[int, SavedTurn] = {}
        for turn, mode, prompt, stands, number, *answer in rows:
            saved = found.setdefault(turn, SavedTurn(turn, {}, 0))
            try:
                saved.answers[number] = _answer(mode, prompt, *answer)
            except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, CharRNNError) as error:
                why = one_line(str(error) or type(error).__name__)[:200]
                raise HistoryError(f"{self.path}: answer {number} is damaged ({why})") from None
            if number == stands or not saved.stands:
                saved.stands = number
        for saved in found.values():
            saved.standing.others = [answer for answer in saved.answers.values() if answer is not saved.standing]
        return list(found.values())

    # The index -------------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        with self._transaction():
            for (number,) in self._base.execute("SELECT id FROM answers WHERE indexed < 0").fetchall():
                self._index(number)

    def _index(self, number: int) -> None:
        row = self._base.execute(
            "SELECT t.prompt, a.text, a.indexed FROM answers AS a JOIN turns AS t ON t.id = a.turn WHERE a.id = ?",
            (number,),
        ).fetchone()
        if row is None:
            return
        prompt, text, indexed = row
        self._take_out(number, prompt, text, indexed)
        self._base.execute("INSERT INTO found (rowid, pairs) VALUES (?, ?)", (number, pairs(f"{prompt}\n{text}")))
        self._base.execute("UPDATE answers SET indexed = ? WHERE id = ?", (len(text), number))

    def _take_out(self, number: int, prompt: str, text: str, indexed: int) -> None:
        """An index without the text is told what it held: text only grows, so that is its beginning."""
        if indexed >= 0:
            held = pairs(f"{prompt}\n{text[:indexed]}")
            self._base.execute("INSERT INTO found (found, rowid, pairs) VALUES ('delete', ?, ?)", (number, held))

    def _forget(self, which: str, value: int) -> None:
        self._deleted = True
        rows = self._base.execute(
            "SELECT a.id, t.prompt, a.text, a.indexed FROM answers AS a JOIN turns AS t ON t.id = a.turn "
            f"WHERE a.{which}",
            (value,),
        ).fetchall()
        for row in rows:
            self._take_out(*row)


@dataclass(eq=False)
class SavedTurn:
    """A turn as it was saved: its number, its answers by theirs, and the number of the one that stands."""

    id: int
    answers: dict[int, Turn]
    stands: int

    @property
    def standing(self) -> Turn:
        """The answer that stands."""
        return self.answers[self.stands]


def _where(words: str) -> tuple[str, Sequence[Any]]:
    if not words.strip():
        return "", ()
    title = " AND ".join(["c.title LIKE ? ESCAPE '\\'"] * len(words.split()))
    text = (
        "c.id IN (SELECT t.conversation FROM turns AS t JOIN answers AS a ON a.turn = t.id "
        "WHERE a.id IN (SELECT rowid FROM found WHERE found MATCH ?))"
    )
    likes = [f"%{_escaped(word)}%" for word in words.split()]
    return f" WHERE ({title}) OR {text}", (*likes, query(words))


def _escaped(word: str) -> str:
    word = encodable(word)
    for special in "\\%_":
        word = word.replace(special, "\\" + special)
    return word


def record_of(turn: Turn) -> dict[str, Any]:
    """What an exact replay needs beside prompt and tokens, and the figures."""
    return {
        "model": turn.model,
        "began": turn.began,
        "drafts": turn.drafts,
        "given": turn.given,
        "changes": [{**c._asdict(), "sampling": asdict(c.sampling)} for c in turn.changes],
        "characters": turn.characters,
        "bits": turn.bits,
        "seconds": turn.seconds,
        "stopped": turn.stopped,
    }


def _values(turn: Turn) -> tuple[Any, ...]:
    """What the COLUMNS hold."""
    drawn = (turn.tokens, turn.uniforms, turn.surprises, turn.lengths)
    blobs = [part.tobytes() for part in drawn]
    return encodable(turn.answer), *blobs, json.dumps(record_of(turn)), turn.place


def _answer(
    mode: str,
    prompt: str,
    text: str,
    tokens: bytes,
    uniforms: bytes,
    surprises: bytes,
    lengths: bytes,
    record: str,
    place: bytes | None,
) -> Turn:
    known = json.loads(record)
    known["changes"] = [_change(change) for change in known["changes"]]
    for name, value in known.items():
        known[name] = _of_kind(name, value, KINDS[name])
    turn = Turn("chat" if mode == "chat" else "continue", prompt, **known, tokens=array("I", tokens), place=place)
    turn.uniforms, turn.surprises, turn.lengths = array("d", uniforms), array("f", surprises), array("H", lengths)
    if not turn.changes or turn.changes[0].at != 0 or not 0 <= turn.given <= len(turn.uniforms):
        raise ValueError("its beginning is lost")
    turn.write(text)
    return turn


def _change(record: dict[str, Any]) -> Change:
    change = Change(**{**record, "sampling": SamplingConfig(**record["sampling"])})
    for name, value in change._asdict().items():
        _of_kind(name, value, KINDS[name])
    return change


def _of_kind(name: str, value: Any, kind: Any) -> Any:
    """A value of a record, of its kind: anything may stand in JSON. ValueError where another does."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (name in ("began", "seconds") and not math.isfinite(value)):
        raise ValueError(f"its {name} is {str(value)[:40]!r}")
    return value


def _time(seconds: float) -> float:
    """A time that a calendar has, or else its first."""
    return seconds if 0 <= seconds < YEAR_3000 else 0.0
