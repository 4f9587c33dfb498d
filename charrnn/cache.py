"""Prepared text, kept in the user's cache folder up to a limit: found again by its content, or by the files it is of.

    KEY/            token files, tokenizer and facts of a text: see `dataset`; its key is a hash of the text, and of
                    what was asked
    seen/SIGNATURE  the key that files of these names, sizes and times gave, so that they need not be read again

    reading-*/      what a process is making

Several processes may use it at once: what is put there is whole, and what one has in use or is making is locked by it
until it ends, so that no other takes it away.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import UsageError
from charrnn.locks import lock

LIMIT_GIB = 10.0
LIMIT_VARIABLE = "CHARRNN_CACHE_GIB"
FACTS = "dataset.json"
SEEN = "seen"
MAKING = "reading-"
JUST_BEGUN = 10.0  # seconds, between making a folder and locking it, at most


@dataclass(frozen=True)
class Entry:
    """A text in the cache."""

    key: str
    sources: list[str]
    characters: int
    size: int
    """Bytes."""
    used: float
    """Seconds since 1970."""


def folder() -> Path:
    """The user's cache folder, or one in the system's temporary folder where that is read-only."""
    import platformdirs

    place = platformdirs.user_cache_path("charrnn") / "tokens"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        place = Path(tempfile.gettempdir()) / f"charrnn-tokens-{os.getuid()}"
        place.mkdir(parents=True, exist_ok=True)
    return place


def limit() -> int:
    """Bytes that are kept. UsageError where the variable holds no number."""
    given = os.environ.get(LIMIT_VARIABLE, str(LIMIT_GIB))
    try:
        return int(float(given) * 2**30)
    except (ValueError, OverflowError):
        raise UsageError(f"{LIMIT_VARIABLE} is a number of GiB, such as {LIMIT_GIB:g}, not {given!r}") from None


def has(key: str) -> bool:
    """Whether a text is there."""
    return (folder() / key / FACTS).is_file()


def hold(key: str) -> int:
    """A text that is there stays until this handle is closed. FileNotFoundError where it is not."""
    handle = _locked(folder() / key, shared=True)
    if handle is not None and has(key):
        return handle
    if handle is not None:
        os.close(handle)
    raise FileNotFoundError(key)


@contextlib.contextmanager
def making() -> Iterator[Path]:
    """A folder in which to make a text. What was left in others by processes that were killed is removed."""
    for path in folder().glob(f"{MAKING}*"):
        _remove(path)
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=folder(), ignore_cleanup_errors=True) as temporary:
        handle = _locked(Path(temporary), shared=True)
        try:
            yield Path(temporary)
        except OSError as error:
            error.filename = error.filename or str(folder())  # a full disk does not say which
            raise
        finally:
            if handle is not None:
                os.close(handle)


def publish(made: Path, key: str) -> int:
    """Put a finished folder there, to stay until the handle is closed; another process may have put the same there."""
    handle = _locked(made, shared=True)
    try:
        made.rename(folder() / key)
    except OSError:
        if handle is not None:
            os.close(handle)
        return hold(key)
    return hold(key) if handle is None else handle


def use(key: str) -> None:
    """It is used now; the longest unused others go while there is too much."""
    place = folder()
    with contextlib.suppress(OSError):
        os.utime(place / key)
    found = sorted(entries(), key=lambda entry: entry.used)
    total = sum(entry.size for entry in found)
    for entry in found:
        if total <= limit():
            return
        if entry.key != key and _remove(place / entry.key):
            total -= entry.size


def recall(signature: str | None) -> str | None:
    """The key of a text that was read from such files, if it is still there."""
    if signature is None:
        return None
    with contextlib.suppress(OSError, UnicodeDecodeError):
        key = (folder() / SEEN / signature).read_text(encoding="ascii")
        if key.isalnum() and has(key):
            return key
    return None


def remember(signature: str | None, key: str) -> None:
    """Files of this signature gave this text."""
    if signature is not None:
        place = folder() / SEEN
        place.mkdir(exist_ok=True)
        (place / signature).write_text(key, encoding="ascii")


def entries() -> list[Entry]:
    """What is there."""
    found = []
    for path in folder().iterdir():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # gone meanwhile, or never finished
            facts = json.loads((path / FACTS).read_text(encoding="utf-8"))["facts"]
            size = sum(file.stat().st_size for file in path.iterdir())
            found.append(Entry(path.name, facts["sources"], facts["characters"], size, path.stat().st_mtime))
    return found


def clear() -> tuple[int, int]:
    """Away with all that no process uses; the bytes that went, and those that stay."""
    before = sum(entry.size for entry in entries())
    for path in folder().iterdir():
        _remove(path)
    left = sum(entry.size for entry in entries())
    return before - left, left


def _remove(path: Path) -> bool:
    """Remove a folder, unless a process holds it or has just begun it."""
    try:
        if path.name.startswith(MAKING) and path.stat().st_mtime > time.time() - JUST_BEGUN:
            return False
        handle = _locked(path, shared=False)
        if handle is None:
            return False
        try:
            with tempfile.TemporaryDirectory(prefix=MAKING, dir=path.parent, ignore_cleanup_errors=True) as gone:
                path.rename(Path(gone) / "gone")  # at once, so that nobody finds half of it
        finally:
            os.close(handle)
    except OSError:
        return False
    return True


def _locked(path: Path, *, shared: bool) -> int | None:
    """A handle that locks a folder until it is closed; None where there is none, or another process has it."""
    try:
        handle = os.open(os.devnull if os.name == "nt" else path, os.O_RDONLY)  # Windows opens no folder
    except OSError:
        return None
    if lock(handle, shared=shared):
        return handle
    os.close(handle)
    return None
