"""Conversations in SQLite: saved while they happen, found again by any run of characters.

    conversations   a title, and when it began and last changed
    turns           a prompt each, in order
    answers         to a turn: text, tokens, and what an exact replay needs; one of them stands
    found           full-text index of prompts and answers by pairs of characters

Chinese has no blanks between words, and SQLite's own tokenizers find either whole clauses or nothing below three
characters. So a text is indexed as the pairs of its neighbouring characters: a phrase of pairs is a run of characters
found exactly, and a single character is the beginning of a pair.

Every connection belongs to the thread that opened it. WAL lets one process read while another writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from charrnn.chat import Change, Turn
from charrnn.config import SamplingConfig
from charrnn.errors import CharRNNError, HistoryError
from charrnn.plain import encodable

LONGEST_TITLE = 40  # characters, of a title taken from the first prompt
SNIPPET = 30  # characters around what was found
WAIT = 5.0  # seconds for another process that writes

MIGRATIONS = (
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY, title TEXT NOT NULL, began REAL NOT NULL, changed REAL NOT NULL
    ) STRICT;
    CREATE INDEX conversations_by_change ON conversations (changed);
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        mode TEXT NOT NULL, prompt TEXT NOT NULL, stands INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX turns_by_conversation ON turns (conversation);
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY, turn INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
        text TEXT NOT NULL DEFAULT '', tokens BLOB NOT NULL DEFAULT x'', record TEXT NOT NULL, place BLOB
    ) STRICT;
    CREATE INDEX answers_by_turn ON answers (turn);
    """,
    """
    ALTER TABLE answers ADD COLUMN indexed INTEGER NOT NULL DEFAULT -1;
    CREATE VIRTUAL TABLE found USING fts5 (pairs, content = '', columnsize = 0, tokenize = 'ascii');
    """,
)
"""Each brings a database of the version before to its own; the last one's number is this program's version."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in a list."""

    id: int
    title: str
    changed: float
    """Seconds since 1970."""
    turns: int
    snippet: str = ""
    """What was found, with what stands around it."""


class _Folded(dict[int, str]):
    """Characters as the index has them: small letters of full width, so that each is one of a word; blanks and what
    steers are one kind of mark."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = unicodedata.normalize("NFKC", character).lower()
        folded = folded if len(folded) == 1 else character
        if "!" <= folded <= "~":
            folded = chr(ord(folded) + 0xFEE0)
        elif folded.isspace() or folded < "\x80" or "\ud800" <= folded <= "\udfff":
            folded = "\u3000"
        self[code] = folded
        return folded


_FOLDED = _Folded()


def pairs(text: str) -> str:
    """A text as words for the index: each character with the one after it, the last alone."""
    folded = text.translate(_FOLDED)
    return " ".join(folded[i : i + 2] for i in range(len(folded)))


def query(words: str) -> str:
    """What finds every text that holds all of some words, parted by blanks, anywhere; empty for none."""
    phrases = []
    for word in words.split():
        wide = pairs(word).split(" ")
        phrases.append(f'"{wide[0]}"*' if len(wide) == 1 else f'"{" ".join(wide[:-1])}"')
    return " ".join(phrases)


class Conversations:
    """The conversations of a database file, which is made where there is none.

    Raises HistoryError for a file of a newer version, and where there is no room or no right to write. A damaged file
    is set aside, its bytes kept, and a new one begun: `set_aside` says where it went. `check` reads all of it for that.
    """

    def __init__(self, path: Path, *, check: bool = True) -> None:
        self.path, self._check = path, check
        self.set_aside: Path | None = None
        self._claim: TextIO | None = None
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._set_aside()
                self._open()

    def close(self) -> None:
        """Give the file back."""
        self._base.close()
        if self._claim is not None:
            self._claim.close()

    def claim(self) -> bool:
        """Whether no other running program has claimed these conversations before; until this one ends, then."""
        if os.name == "nt":
            return True
        import fcntl

        with self._explained():
            self._claim = self.path.with_suffix(".lock").open("w")
            try:
                fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _open(self) -> None:
        self._base = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
        try:
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise HistoryError(
                    f"{self.path}: these conversations were saved by a newer charrnn (version {version}, this one "
                    f"knows {len(MIGRATIONS)}); nothing is saved until you use that one, or move the file away"
                )
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute("PRAGMA foreign_keys = ON")
            if self._check and self._base.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            self._migrate(len(MIGRATIONS))
            self._index_rest()
        except BaseException:
            self._base.close()
            raise

    def _migrate(self, version: int) -> None:
        """Bring the tables to a version, one after the other, each whole or not at all."""
        with self._transaction():  # another process may have done it meanwhile
            for number in range(self._base.execute("PRAGMA user_version").fetchone()[0], version):
                for statement in MIGRATIONS[number].split(";"):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA user_version = {number + 1}")

    def _set_aside(self) -> None:
        """Rename the file, and what SQLite keeps beside it."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.set_aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{ending}").rename(f"{self.set_aside}{ending}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(f"{self.path}: conversations cannot be saved or read ({error})") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    # Saving ----------------------------------------------------------------------------------------------------------

    def begin(self, prompt: str) -> int:
        """A new conversation, its title taken from the first prompt; its number."""
        title = " ".join(encodable(prompt).split())[:LONGEST_TITLE]
        with self._explained(), self._transaction():
            now = time.time()
            row = self._base.execute(
                "INSERT INTO conversations (title, began, changed) VALUES (?, ?, ?)", (title, now, now)
            )
            return int(row.lastrowid or 0)

    def add_turn(self, conversation: int, turn: Turn) -> int:
        """A prompt at the end of a conversation; the number of the turn."""
        with self._explained(), self._transaction():
            values = conversation, turn.mode, encodable(turn.prompt)
            row = self._base.execute("INSERT INTO turns (conversation, mode, prompt) VALUES (?, ?, ?)", values)
            return int(row.lastrowid or 0)

    def add_answer(self, turn: int, answer: Turn) -> int:
        """An answer to a turn, as far as it goes; it stands. The number of the answer."""
        with self._explained(), self._transaction():
            values = turn, encodable(answer.answer), answer.tokens.tobytes(), json.dumps(record_of(answer))
            row = self._base.execute("INSERT INTO answers (turn, text, tokens, record) VALUES (?, ?, ?, ?)", values)
            self._base.execute("UPDATE turns SET stands = ? WHERE id = ?", (row.lastrowid, turn))
            self._touch(turn)
            return int(row.lastrowid or 0)

    def save_answer(self, number: int, answer: Turn, *, whole: bool = False) -> None:
        """An answer as far as it goes by now; to be found, once it is whole."""
        with self._explained(), self._transaction():
            values = (
                encodable(answer.answer),
                answer.tokens.tobytes(),
                json.dumps(record_of(answer)),
                answer.place,
                number,
            )
            self._base.execute("UPDATE answers SET text = ?, tokens = ?, record = ?, place = ? WHERE id = ?", values)
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

    def listed(self, words: str = "", first: int = 0, most: int = 50) -> list[Listed]:
        """Conversations that hold these words, the last changed first; with none, all. From the `first` on."""
        where, values = _where(words)
        order = (
            "SELECT c.id, c.title, c.changed, (SELECT count(*) FROM turns WHERE conversation = c.id) "
            f"FROM conversations AS c{where} ORDER BY c.changed DESC, c.id DESC LIMIT ? OFFSET ?"
        )
        with self._explained():
            rows = self._base.execute(order, (*values, most, first)).fetchall()
            return [Listed(n, title, changed, turns, self._snippet(n, words)) for n, title, changed, turns in rows]

    def _snippet(self, conversation: int, words: str) -> str:
        if not words.strip():
            return ""
        row = self._base.execute(
            "SELECT t.prompt, a.text FROM answers AS a JOIN turns AS t ON t.id = a.turn "
            "WHERE t.conversation = ? AND a.id IN (SELECT rowid FROM found WHERE found MATCH ?) LIMIT 1",
            (conversation, query(words)),
        ).fetchone()
        if row is None:
            return ""
        text = " ".join(" ".join(row).split())
        at = max(0, text.translate(_FOLDED).find(words.split()[0].translate(_FOLDED)))
        start = max(0, at - SNIPPET // 3)
        return ("…" if start else "") + text[start : start + SNIPPET]

    def title(self, conversation: int) -> str:
        """Its title; empty if there is no such conversation."""
        with self._explained():
            row = self._base.execute("SELECT title FROM conversations WHERE id = ?", (conversation,)).fetchone()
        return "" if row is None else str(row[0])

    def turns(self, conversation: int) -> list[SavedTurn]:
        """The turns of a conversation, in order."""
        with self._explained():
            rows = self._base.execute(
                "SELECT t.id, t.mode, t.prompt, t.stands, a.id, a.text, a.tokens, a.record, a.place "
                "FROM turns AS t JOIN answers AS a ON a.turn = t.id WHERE t.conversation = ? ORDER BY t.id, a.id",
                (conversation,),
            ).fetchall()
        found: dict[int, SavedTurn] = {}
        for turn, mode, prompt, stands, number, *answer in rows:
            saved = found.setdefault(turn, SavedTurn(turn, {}, 0))
            try:
                saved.answers[number] = _answer(mode, prompt, *answer)
            except (ValueError, TypeError, KeyError, CharRNNError) as error:
                raise HistoryError(f"{self.path}: answer {number} is damaged ({error})") from None
            if number == stands or not saved.stands:
                saved.stands = number
        for saved in found.values():
            saved.standing.others = [answer for answer in saved.answers.values() if answer is not saved.standing]
        return list(found.values())

    # The index -------------------------------------------------------------------------------------------------------

    def _index_rest(self) -> None:
        """What a process that was killed has left without."""
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
        "changes": [{**c._asdict(), "sampling": asdict(c.sampling)} for c in turn.changes],
        "characters": turn.characters,
        "bits": turn.bits,
        "seconds": turn.seconds,
        "stopped": turn.stopped,
    }


def _answer(mode: str, prompt: str, text: str, tokens: bytes, record: str, place: bytes | None) -> Turn:
    known = json.loads(record)
    known["changes"] = [
        Change(**{**change, "sampling": SamplingConfig(**change["sampling"])}) for change in known["changes"]
    ]
    turn = Turn("chat" if mode == "chat" else "continue", prompt, **known, tokens=array("I", tokens), place=place)
    turn.write(text)
    return turn
