"""The app: a chat screen and the pages over it, its language, its theme and its commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from charrnn.errors import HistoryError
from tui.backend import PACE, Backend
from tui.screens.chat import ChatScreen
from tui.screens.listener import Listener
from tui.settings import Settings
from tui.strings import STRINGS, Language, language_of_locale
from tui.web import hand_over

if TYPE_CHECKING:
    from charrnn.turns import Turn

DARK, LIGHT = "textual-dark", "textual-light"
ORPHANED = 1.0  # seconds between two looks whether the server of a page still lives


class ChatApp(App[None]):
    """Shows what its backend opens, once the screen stands."""

    TITLE = "charrnn"
    CSS_PATH: ClassVar[list[str]] = [  # type: ignore[assignment]
        "screens/chat.tcss",
        "widgets/knobs.tcss",
        "widgets/legend.tcss",
        "widgets/prompt.tcss",
        "widgets/slider.tcss",
        "widgets/status.tcss",
        "widgets/transcript.tcss",
    ]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", show=False, priority=True)]

    def __init__(self, backend: Backend, *, language: Language | None = None, pace: float = PACE) -> None:
        super().__init__()
        self.animation_level = "none"  # nothing moves that does not mean something; a screen reader is not led astray
        self._backend = backend
        self._settings = Settings(backend.settings)
        chosen = self._settings.get("language", *STRINGS)
        spoken: Language = "en" if chosen == "en" else "zh"
        self._chat = ChatScreen(backend, language or (spoken if chosen else language_of_locale()), pace)
        self._opens_next = False  # what comes next was asked for, to be seen on a page
        if (theme := self._settings.get("theme", DARK, LIGHT)) is not None:
            self.theme = theme

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
        if self.is_web:
            self.set_interval(ORPHANED, partial(self._leave_without, os.getppid()))

    def _leave_without(self, server: int) -> None:
        if os.getppid() != server:
            self.exit(return_code=1)

    def on_unmount(self) -> None:
        """What is being written is saved."""
        self._chat.talker.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the command palette offers: everything."""
        words, chat = STRINGS[self._chat.language], self._chat
        anywhere = ("theme", "language", "quit")  # else a conversation would be left under a page that shows it
        for name, key, action in (
            ("new", "Ctrl+N", chat.action_new_conversation),
            ("again", "Ctrl+R", chat.action_again),
            ("other_before", "Alt+←", partial(chat.action_other, -1)),
            ("other_after", "Alt+→", partial(chat.action_other, 1)),
            ("edit", "F4", chat.action_edit),
            ("take_back", "F8", chat.action_take_back),
            ("copy", "F9", chat.action_copy_answer),
            ("stop", "Esc", chat.action_stop),
            ("conversations", "F2", self.action_conversations),
            ("export", "", self.action_export),
            ("next", "F3", self.action_next),
            ("look", "F6", self.action_look),
            ("sweep", "F7", self.action_sweep),
            ("shade", "Ctrl+S", chat.action_shade),
            ("models", "Ctrl+L", self.action_models),
            ("mode", "Ctrl+T", chat.action_switch_mode),
            ("switch_memory", "Ctrl+G", chat.action_switch_memory),
            ("warmer", "Alt+↑", partial(chat.action_warmer, 1)),
            ("colder", "Alt+↓", partial(chat.action_warmer, -1)),
            ("pace", "", chat.action_switch_pace),
            ("theme", "", self.action_switch_theme),
            ("language", "", self.action_switch_language),
            ("help", "F1", self.action_help),
            ("quit", "Ctrl+Q", self.action_quit),
        ):
            if screen is chat or name in anywhere:
                yield SystemCommand(words[name], key, action)

    def action_help(self) -> None:
        """The keys, and what temperature is."""
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self._chat.language))

    def action_conversations(self) -> None:
        """Those that were saved."""
        from tui.screens.conversations import ConversationsScreen

        if self._backend.conversations is None:
            self._chat.notice(STRINGS[self._chat.language]["not_saved"])
            return
        gone: set[int] = set()

        def chosen(number: int | None) -> None:
            if number is not None:
                self._chat.open_conversation(number)
            elif self._chat.talker.conversation in gone:
                self._chat.action_new_conversation()

        try:
            screen = ConversationsScreen(self._backend.conversations, self._chat.language, gone)
        except HistoryError as error:
            self._chat.notice(str(error))
            return
        self.push_screen(screen, chosen)

    def action_export(self) -> None:
        """The conversation on screen into files, in the folder that the program was started in."""
        from charrnn.export import export
        from charrnn.history import Conversations

        words, number = STRINGS[self._chat.language], self._chat.talker.conversation
        if self._backend.conversations is None or number is None:
            self._chat.notice(words["not_saved"])
            return
        try:
            with contextlib.closing(Conversations(self._backend.conversations, first=False)) as conversations:
                files = export(conversations, number, Path(), self._chat.language)
        except HistoryError as error:
            self._chat.notice(str(error))
            return
        hand_over(self, files)
        self._chat.notice(words["exported"].format(", ".join(map(str, files))))

    def action_models(self) -> None:
        """Those that are there."""
        from tui.screens.models import ModelsScreen

        def chosen(path: Path | None) -> None:
            if path is not None:
                self._chat.switch_model(path)

        self.push_screen(ModelsScreen(self._backend.find_models, self._chat.language), chosen)

    # The laboratory --------------------------------------------------------------------------------------------------

    def action_next(self) -> None:
        """What may come next, and what every setting makes of it."""
        self._chat.notice(self._chat.failed or "")
        if self._chat.failed is None:
            self._opens_next = True
            self._chat.talker.look(self._chat.mode)

    def action_look(self) -> None:
        """What else could have stood at any place of an answer; what is being written stops first."""
        if self._chat.failed is not None:
            self._chat.notice(self._chat.failed)
            return
        self._chat.stop_writing()
        self._chat.talker.answers()

    def _open_look(self, turns: Sequence[Turn]) -> None:
        from tui.screens.look import Branch, LookScreen

        chat = self._chat
        if not turns:
            chat.notice(chat.words["nothing_to_look_at"])
            return

        def branch(chosen: Branch | None) -> None:
            if chosen is not None:
                chat.branch(*chosen)

        self.push_screen(LookScreen(turns, chat.language, chat.talker.look_at), branch)

    def action_sweep(self) -> None:
        """One prompt at several temperatures."""
        from tui.screens.sweep import SweepScreen

        chat, talker = self._chat, self._chat.talker
        if chat.failed is not None:
            chat.notice(chat.failed)
            return
        chat.stop_writing()
        given = chat.take_prompt()
        prompt = given or chat.last_prompt
        if prompt is None:
            chat.notice(chat.words["nothing_to_sweep"])
            return

        first: list[int] = []

        def begin(temperatures: Sequence[float], length: int, seed: int | None) -> int:
            """What was typed is a prompt of its own, until it has been swept."""
            run = talker.sweep(chat.mode, given or None, temperatures, length, seed, *first)
            first[:] = first or [run]
            return run

        def chosen(place: int | None) -> None:
            talker.stop()
            if place is not None:
                talker.pick(place)

        self.push_screen(SweepScreen(prompt, chat.language, begin, talker.stop), chosen)

    def on_listener_told(self, message: Listener.Told) -> None:
        """To the page that asked for it."""
        from tui.events import Answers, Looked
        from tui.screens.look import LookScreen
        from tui.screens.next import NextScreen
        from tui.screens.sweep import SweepScreen

        chat, event = self._chat, message.event
        for page in self.screen_stack:  # there may be the palette over it
            if isinstance(page, LookScreen | SweepScreen):
                page.take(event)
            elif isinstance(page, NextScreen) and isinstance(event, Looked):
                page.show(event.next)
        if self.screen is not chat:
            return
        if isinstance(event, Answers):
            self._open_look(event.turns)
        elif isinstance(event, Looked) and chat.session is not None and self._opens_next:
            self._opens_next = False
            self.push_screen(NextScreen(event.next, chat.session.sampling, chat.language, chat.follow, chat.look_on))

    def action_switch_theme(self) -> None:
        """Dark or light."""
        self.theme = DARK if self.theme == LIGHT else LIGHT
        self._settings.put("theme", self.theme)

    def action_switch_language(self) -> None:
        """Chinese or English."""
        self._chat.speak("en" if self._chat.language == "zh" else "zh")
        self._settings.put("language", self._chat.language)
