"""The app: a chat screen, its language, its theme and its commands."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from charrnn.chat import Session
from tui.screens.chat import ChatScreen
from tui.strings import STRINGS, Language, language_of_locale
from tui.talker import PACE


class ChatApp(App[None]):
    """Talks to the session that `open_session` gives; it is called once the screen stands, in a thread of its own."""

    TITLE = "charrnn"
    CSS_PATH = "charrnn.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", show=False, priority=True)]

    def __init__(
        self, open_session: Callable[[], Session], *, language: Language | None = None, pace: float = PACE
    ) -> None:
        super().__init__()
        self._chat = ChatScreen(open_session, language or language_of_locale(), pace)

    async def action_quit(self) -> None:
        """Leave; 1 where no model could be opened."""
        self.exit(return_code=1 if self._chat.failed else 0)

    def get_default_screen(self) -> Screen[None]:
        """The screen below all others."""
        return self._chat

    def on_mount(self) -> None:
        """A signal to end leaves by the front door, the terminal as it was."""
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, partial(self.exit, return_code=128 + number))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        words = STRINGS[self._chat.language]
        chat = self._chat
        yield SystemCommand(words["new"], "Ctrl+N", chat.action_new_conversation)
        yield SystemCommand(words["mode"], "Ctrl+T", chat.action_switch_mode)
        yield SystemCommand(words["switch_memory"], "Ctrl+R", chat.action_switch_memory)
        yield SystemCommand(words["pace"], "", chat.action_switch_pace)
        yield SystemCommand(words["theme"], "", self.action_switch_theme)
        yield SystemCommand(words["language"], "", self.action_switch_language)
        yield SystemCommand(words["help"], "F1", chat.action_help)
        yield SystemCommand(words["quit"], "Ctrl+Q", self.action_quit)

    def action_switch_theme(self) -> None:
        """Dark or light."""
        self.theme = "textual-dark" if self.theme == "textual-light" else "textual-light"

    def action_switch_language(self) -> None:
        """Chinese or English."""
        self._chat.speak("en" if self._chat.language == "zh" else "zh")
