"""Prepared text, kept in the user's cache folder up to a limit: found again by its content, or by the files it is of.

    KEY/            token files, tokenizer and facts of a text: see `dataset`; its key is a hash of the text, and of
                    what was asked
    seen/SIGNATURE  the key that files of these names, sizes and times gave, so that they need not be read again

Several processes may use it at once: what is put there is whole, and what is taken away under a reader stays mapped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import UsageError

LIMIT_GIB = 10.0
LIMIT_VARIABLE = "CHARRNN_CACHE_GIB"
FACTS = "dataset.json"
SEEN = "seen"


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


def publish(made: Path, key: str) -> None:
    """Put a finished folder there; another process may have put the same there first."""
    try:
        made.rename(folder() / key)
    except OSError:
        if not has(key):
            raise


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
        if entry.key != key:
            shutil.rmtree(place / entry.key, ignore_errors=True)
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


def clear() -> int:
    """Away with all of it; the bytes."""
    size = sum(entry.size for entry in entries())
    for path in folder().iterdir():
        shutil.rmtree(path, ignore_errors=True)
    return size
