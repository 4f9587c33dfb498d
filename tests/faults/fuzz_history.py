"""Files of conversations that were damaged or made to harm, and all that the app does with them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from charrnn.database import MIGRATIONS
from charrnn.export import export, write_texts
from charrnn.history import Conversations
from charrnn.recording import Recorder
from charrnn.rereading import reason
from tests.faults.fuzz_cases import Case, altered, flipped, odd_text, spoiled


def prepare(case: Case) -> None:
    """A file with some conversations of a small model, and its model."""
    case.world.model("talker")
    whole(case)


def whole(case: Case) -> Path:
    path = case.world.folder / "whole.sqlite"
    if not path.exists():
        session = case.world.model("talker").chat()
        base = Conversations(path)
        recorder = Recorder(session, base)
        for mode, prompts in (
            ("chat", ("三加一是几", "四加一呢")),
            ("continue", ("床前", "明月")),
            ("chat", ("甲乙丙丁" * 30,)),
        ):
            recorder.reset()
            session.mode = mode  # type: ignore[assignment]
            for prompt in prompts:
                for _ in itertools.islice(recorder.say(prompt), 12):
                    pass
            for _ in itertools.islice(recorder.say_again(), 5):
                pass
        base._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
    return path


def run(case: Case) -> None:
    """Spoil the file, then do with it what the app does."""
    rng, path = case.rng, case.folder / "c.sqlite"
    shutil.copy(whole(case), path)
    for _ in range(rng.choice([1, 1, 2])):
        rng.choices(HARMS, WEIGHTS)[0](case, path)
    base = case.call(Conversations, path)
    if base is None:  # as in the app, which goes on without saving; another try must not be worse
        base = case.call(Conversations, path, first=False)
    if base is not None:
        try:
            _use(case, base)
        finally:
            base.close()
    again = case.call(Conversations, path)
    if again is not None:
        again.close()


def _use(case: Case, base: Conversations) -> None:
    rng, model = case.rng, case.world.model("talker")
    words = rng.choice(["", "加一", "甲", odd_text(rng, 5), '"', "* AND", "%_\\"])
    case.call(base.claim)
    case.call(base.latest)
    case.call(base.count, words)
    listed = case.call(base.listed, words) or []
    listed += case.call(base.listed) or []
    recorder = Recorder(model.chat(), base)
    for number in dict.fromkeys([*(item.id for item in listed), 1, 2, 3, 99]):
        for item in listed:
            f"{item.title[:20]} {item.snippet} {item.changed:.0f} {item.turns}"
        case.call(base.has, number)
        case.call(base.title, number)
        case.call(export, base, number, case.folder, rng.choice(["zh", "en"]))
        saved = case.call(base.turns, number)
        if not saved:
            continue
        for turn in saved:
            for answer in turn.answers.values():
                "".join(text for text, _ in answer.runs()) + f"{answer.rate:.1f} {answer.bits:.1f} {answer.branched}"
        case.call(recorder.open, number, saved)
        turns = recorder.session.turns
        for turn in turns[-2:]:
            for place in (0, len(turn.tokens) - 1):
                seen = case.call(recorder.session.look_at, turn, place)
                if seen is not None:
                    case.call(reason, seen, turn.uniforms[place])
        case.call(lambda r=recorder: list(itertools.islice(r.say_again(), 2)))
        case.call(lambda r=recorder: list(itertools.islice(r.say("再说"), 2)))
        case.call(recorder.session.next)
        case.call(recorder.take_back)
        case.call(base.turns, number)
    case.call(base.rename, 1, odd_text(rng, 20))
    case.call(base.delete, 2)
    recorder.reset()
    case.call(lambda: list(itertools.islice(recorder.say("新的"), 3)))
    if recorder.trouble is not None:
        case.refuse(recorder.trouble)
    title = odd_text(rng, 60)
    case.call(write_texts, case.folder, title, {".md": title, ".json": title})


# Harms ---------------------------------------------------------------------------------------------------------------


def _spoil(case: Case, path: Path) -> None:
    if not path.is_file():
        return
    path.write_bytes(spoiled(case.rng, path.read_bytes()))


def _pages(case: Case, path: Path) -> None:
    """Bits of one page only, so that much of the file is still right."""
    if not path.is_file():
        return
    rng, data = case.rng, bytearray(path.read_bytes())
    page = rng.randrange(max(1, len(data) // 4096)) * 4096
    data[page : page + 4096] = flipped(rng, bytes(data[page : page + 4096]), rng.choice([1, 4, 50]))
    path.write_bytes(data)


def _junk(case: Case, path: Path) -> None:
    rng = case.rng
    if not path.is_file():
        return
    path.write_bytes(
        rng.choice([b"", b"x", rng.randbytes(5000), b"SQLite format 3\0" + rng.randbytes(4080), bytes(8192)])
    )


def _beside(case: Case, path: Path) -> None:
    rng = case.rng
    for ending in rng.sample(["-wal", "-shm", "-journal", ".lock"], 2):
        place = path.with_suffix(".lock") if ending == ".lock" else Path(f"{path}{ending}")
        if rng.random() < 0.2 and ending != "-shm":  # SQLite tries ten seconds before it gives that up
            place.unlink(missing_ok=True) if place.is_file() else None
            place.mkdir(exist_ok=True)
        elif not place.is_dir():
            place.write_bytes(rng.choice([b"", rng.randbytes(4096), case.world.pickle, bytes(32768)]))


def _place(case: Case, path: Path) -> None:
    """Something else than a file."""
    what = case.rng.randrange(4)
    if path.is_dir():
        return
    path.unlink(missing_ok=True)
    if what == 0:
        path.mkdir()
    elif what == 1:
        path.symlink_to("nowhere/else.sqlite")
    elif what == 2:
        path.symlink_to(path.name)
    else:
        path.write_bytes(case.world.pickle)


def _sql(*choices: str) -> Callable[[Case, Path], None]:
    def harm(case: Case, path: Path) -> None:
        base = sqlite3.connect(path) if path.is_file() else sqlite3.connect(":memory:")
        try:
            for statement in case.rng.choice(choices).split(";"):
                base.execute(statement)
            base.commit()
        except sqlite3.Error:  # spoiled before
            pass
        finally:
            base.close()

    return harm


_version = _sql(*(f"PRAGMA user_version = {version}" for version in (-1, 0, 1, 2, len(MIGRATIONS) + 1, 2**31 - 1)))
_schema = _sql(
    "DROP TABLE answers",
    "DROP TABLE found",
    "DROP TABLE turns",
    "DELETE FROM turns",
    "DELETE FROM answers",
    "UPDATE turns SET conversation = 77",
    "UPDATE turns SET stands = -5",
    "UPDATE answers SET turn = 1",
    "UPDATE answers SET indexed = -1",
    "UPDATE answers SET indexed = 999999999",
    "ALTER TABLE answers DROP COLUMN place",
    "ALTER TABLE answers RENAME TO x; CREATE TABLE answers (id, turn, text)",
    "ALTER TABLE conversations ADD COLUMN more DEFAULT 3",
    "DROP TABLE found; CREATE TABLE found (pairs)",
    "DROP TABLE conversations; CREATE VIEW conversations AS SELECT 1 AS id, 'x' AS title, 0 AS began, 0 AS changed",
    "CREATE TRIGGER t BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t AFTER UPDATE ON answers BEGIN DELETE FROM answers; END",
    "UPDATE conversations SET changed = 9e999",
    "UPDATE conversations SET changed = -9e999, title = ''",
    "UPDATE conversations SET title = char(0, 10, 27, 55296)",
    "UPDATE answers SET text = CAST(x'ff41fe' AS TEXT)",
    "UPDATE turns SET prompt = CAST(x'ff41fe' AS TEXT), mode = 'x'",
    "UPDATE conversations SET title = CAST(x'ff41fe' AS TEXT)",
    "UPDATE conversations SET id = 9223372036854775807",
)


def _loose(case: Case, path: Path) -> None:
    """The same tables without types, and values of any type in them."""
    rng, loose = case.rng, case.folder / "loose.sqlite"
    new = sqlite3.connect(loose)
    try:
        for script in MIGRATIONS:
            new.executescript(script.replace("STRICT", ""))
        new.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        new.execute("ATTACH ? AS old", (str(path),))
        for table in ("conversations", "turns", "answers"):
            new.execute(f"INSERT INTO {table} SELECT * FROM old.{table}")
        wild = [None, 0, -1, 2**62, 1.5, float("inf"), "", "x", "nan", b"", b"\0", b"\xff" * 9, "好" * 5000, "[]", "{}"]
        for _ in range(rng.choice([1, 3])):
            table, column = rng.choice(
                [("conversations", c) for c in ("title", "began", "changed")]
                + [("turns", c) for c in ("conversation", "mode", "prompt", "stands")]
                + [
                    ("answers", c)
                    for c in (
                        "turn",
                        "text",
                        "tokens",
                        "record",
                        "place",
                        "indexed",
                        "uniforms",
                        "surprises",
                        "lengths",
                    )
                ]
            )
            new.execute(
                f"UPDATE OR IGNORE {table} SET {column} = ? WHERE id % ? = 0", (rng.choice(wild), rng.choice([1, 2]))
            )
        new.commit()
    except sqlite3.Error:
        return
    finally:
        new.close()
    os.replace(loose, path)  # noqa: PTH105


def _records(case: Case, path: Path) -> None:
    """Records with something unexpected, and blobs that are cut or have other bits."""
    rng = case.rng
    base = sqlite3.connect(path if path.is_file() else ":memory:")
    try:
        rows = base.execute("SELECT id, record, tokens, uniforms, surprises, lengths, place FROM answers").fetchall()
        for number, record, *blobs in rows:
            if rng.random() < 0.3:
                continue
            if rng.random() < 0.6:
                changed = altered(rng, json.loads(record), rng.choice([1, 1, 3]))
                text = (
                    json.dumps(changed)
                    if rng.random() < 0.9
                    else rng.choice(["", "[" * 100_000, "1" * 5000, "{", "null"])
                )
                base.execute("UPDATE answers SET record = ? WHERE id = ?", (text, number))
            column = rng.randrange(5)
            blob = blobs[column]
            if isinstance(blob, bytes) and blob and rng.random() < 0.6:
                name = ("tokens", "uniforms", "surprises", "lengths", "place")[column]
                base.execute(f"UPDATE answers SET {name} = ? WHERE id = ?", (spoiled(rng, blob), number))
        base.commit()
    except (sqlite3.Error, ValueError, RecursionError):
        pass
    finally:
        base.close()


HARMS: list[Callable[[Case, Path], None]] = [
    _spoil,
    _pages,
    _junk,
    _beside,
    _place,
    _version,
    _schema,
    _loose,
    _records,
]
WEIGHTS = [4, 5, 1, 2, 1, 1, 4, 5, 9]
