"""What was set in the app, kept in a small file: read before the screen stands, written when something is set."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

LARGEST = 1 << 20  # bytes


class Settings:
    """Values by name. A file that is missing, damaged or cannot be written is as good as none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                if path.is_file() and path.stat().st_size <= LARGEST:
                    values = json.loads(path.read_text(encoding="utf-8"))
                    self._values = values if isinstance(values, dict) else {}

    def get(self, name: str, *among: str) -> str | None:
        """A value, if it was set to one of these."""
        value = self._values.get(name)
        return value if value in among else None

    def put(self, name: str, value: str) -> None:
        """Set it, and write the file."""
        self._values[name] = value
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(self._values, indent=1) + "\n", encoding="utf-8")
            new.replace(self._path)
