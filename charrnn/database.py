"""The file of conversations: opened, brought up from earlier versions, set aside when damaged.

    conversations   a title, and when it began and last changed
    turns           a prompt each, in order
    answers         to a turn: text, tokens with how each was drawn, and what an exact replay needs; one of them stands
    found           full-text index of prompts and answers by pairs of characters: see `search`

Every connection belongs to the thread that opened it. WAL lets one process read while another writes. Only the owner
may read the file, and what is deleted is overwritten.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from charrnn.errors import HistoryError
from charrnn.locks import lock
from charrnn.paths import private
from charrnn.plain import one_line

WAIT = 5.0  # seconds for another process that writes
LOOKING = 0.02  # seconds between two looks whether it has ended

MIGRATIONS = (
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, began REAL NOT NULL, changed REAL NOT NULL
    ) STRICT;
    CREATE INDEX conversations_by_change ON conversations (changed);
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        mode TEXT NOT NULL, prompt TEXT NOT NULL, stands INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX turns_by_conversation ON turns (conversation);
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY AUTOINCREMENT, turn INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
        text TEXT NOT NULL DEFAULT '', tokens BLOB NOT NULL DEFAULT x'', record TEXT NOT NULL, place BLOB
    ) STRICT;
    CREATE INDEX answers_by_turn ON answers (turn);
    """,
    """
    ALTER TABLE answers ADD COLUMN indexed INTEGER NOT NULL DEFAULT -1;
    CREATE VIRTUAL TABLE found USING fts5 (pairs, content = '', columnsize = 0, tokenize = 'ascii');
    """,
    """
    ALTER TABLE answers ADD COLUMN uniforms BLOB NOT NULL DEFAULT x'';
    ALTER TABLE answers ADD COLUMN surprises BLOB NOT NULL DEFAULT x'';
    ALTER TABLE answers ADD COLUMN lengths BLOB NOT NULL DEFAULT x'';
    """,
)
"""Each brings a database of the version before to its own; the last one's number is this program's version."""


class Database:
    """A database file, which is made where there is none.

    Raises HistoryError for a file of a newer version, and where there is no room or no right to write. The `first` of a
    program's connections looks through the file: a damaged one is set aside, its bytes kept, and a new one begun
    (`set_aside` says where it went), and what a process that was killed left undone is done.
    """

    def __init__(self, path: Path, *, first: bool = True) -> None:
        self.path, self._first = path, first
        self.set_aside: Path | None = None
        self._claim: TextIO | None = None
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.OperationalError:
                raise
            except (sqlite3.DatabaseError, UnicodeDecodeError):  # the second where SQLite shows a schema that is none
                if not first:
                    raise
                self._set_aside()
                self._open()

    def close(self) -> None:
        """Give the file back."""
        self._base.close()
        if self._claim is not None:
            self._claim.close()

    def claim(self) -> bool:
        """Whether no other running program has claimed these conversations before; until this one ends, then."""
        with self._explained():
            self._claim = self.path.with_suffix(".lock").open("w")
        return lock(self._claim.fileno())

    def _open(self) -> None:
        private(self.path)
        until = time.monotonic() + WAIT
        while True:  # SQLite itself does not wait for who brings in WAL, or is the last to close
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the rest says of which kind
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(LOOKING)

    def _connect(self) -> None:
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
            self._base.execute("PRAGMA secure_delete = ON")
            self._base.execute("PRAGMA foreign_keys = ON")
            if self._first and self._base.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            if version < len(MIGRATIONS):  # else a reader need not wait for who writes
                self._migrate(len(MIGRATIONS))
            if self._first:
                self._check_types()
                self._mend()
        except BaseException:
            self._base.close()
            raise

    def _check_types(self) -> None:
        """That the tables are ours, in which SQLite has seen to it that a text is a text."""
        strict = "SELECT count(*) FROM pragma_table_list WHERE name IN ('conversations', 'turns', 'answers') AND strict"
        if self._base.execute(strict).fetchone()[0] != 3:
            raise sqlite3.DatabaseError("its tables are not ours")

    def _mend(self) -> None:
        """What a process that was killed has left undone."""

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
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            why = one_line(str(error))[:200]  # SQLite shows a text that is none
            raise HistoryError(f"{self.path}: conversations cannot be saved or read ({why})") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._base.in_transaction:  # SQLite itself has ended it where the disk is full
                self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")
