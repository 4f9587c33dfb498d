"""The app in a browser: a server of pages and sockets, and a process of the app for every visitor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App


def hand_over(app: App[Any], files: Iterable[Path]) -> None:
    """Files that the app has written go to the browser, where there is one: it sees no folder."""
    if app.is_web:
        for file in files:
            app.deliver_binary(file)
