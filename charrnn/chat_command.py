"""What `charrnn chat` does. Imports nothing heavy: the app draws itself before the model is opened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from charrnn.errors import UsageError

if TYPE_CHECKING:
    from charrnn.chat import Session


def open_chat(model: str | None = None, *, memory: bool = False) -> int:
    """The app on a model folder, or on the model that ships; the exit code."""
    from charrnn.paths import find_model

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("chat needs a terminal; for scripts there are charrnn ask and charrnn generate")
    path = find_model(model)
    from tui import run_app

    def open_session() -> Session:
        from charrnn.model import load

        return load(path, memory=memory).chat()

    return run_app(open_session)
