"""What `charrnn chat` does. Imports nothing heavy: the app draws itself before the model is opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.errors import OK, UsageError

if TYPE_CHECKING:
    from charrnn.catalogue import ModelEntry
    from charrnn.config import WebConfig
    from charrnn.session import Session

IN_A_BROWSER = "TEXTUAL_DRIVER"  # set for the process of a visitor


def open_chat(model: str | None = None, *, memory: bool = False) -> int:
    """The app on a model folder, or on the model that ships; the exit code."""
    from charrnn.paths import find_model, user_config, user_data

    if not ((sys.stdin.isatty() and sys.stdout.isatty()) or IN_A_BROWSER in os.environ):
        raise UsageError("chat needs a terminal; for scripts there are charrnn ask and charrnn generate")
    asked_for = find_model(model)
    from tui import Backend, run_app

    def open_session(path: Path | None) -> Session:
        from charrnn.model import load

        return load(path or asked_for, memory=memory).chat()

    def models() -> list[ModelEntry]:
        from charrnn.catalogue import find_models

        return find_models()

    return run_app(
        Backend(
            open_session,
            conversations=user_data() / "conversations.sqlite",
            settings=user_config() / "settings.json",
            copied=user_data() / "copied.txt",
            find_models=models,
        )
    )


def open_web(config: WebConfig | None, model: str | None = None, *, memory: bool = False) -> int:
    """The app on a page, for each of its visitors alone, until Ctrl+C; the exit code."""
    from charrnn.config import WebConfig
    from charrnn.paths import find_model

    words = [sys.executable, "-P", "-m", "charrnn", "chat", *(["--memory"] if memory else [])]
    if model is not None:
        words += ["--model", str(find_model(model).absolute())]
    try:
        from tui.web.server import serve
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is missing: pip install 'charrnn[web]'") from None
    serve(words, config or WebConfig(), lambda address: print(f"{address}   (Ctrl+C ends it)", flush=True))
    return OK
