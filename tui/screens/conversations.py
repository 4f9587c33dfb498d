"""The conversations that were saved: search, go on with, rename, delete, export."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from charrnn.errors import HistoryError
from charrnn.export import export
from charrnn.history import ConversationEntry, Conversations
from charrnn.plain import plain
from tui.screens.ask import AskScreen
from tui.screens.listing import ListScreen
from tui.strings import STRINGS, Language
from tui.web import hand_over
from tui.widgets.line import LineInput
from tui.widgets.rows import Row, Rows

TODAY = 86_400  # seconds
T = TypeVar("T")


def when(seconds: float, now: float) -> str:
    """The hour of what changed lately, the day of the rest."""
    form = "%H:%M" if now - seconds < TODAY else "%Y-%m-%d"
    return time.strftime(form, time.localtime(seconds))


class ConversationsScreen(ListScreen[int]):
    """The number of the conversation that was chosen. `gone` gathers those that were deleted."""

    CSS_PATH: ClassVar[list[str]] = ["conversations.tcss", "../widgets/rows.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "rename", show=False, priority=True),
        Binding("f8", "delete", show=False, priority=True),
        Binding("ctrl+s", "export", show=False, priority=True),
    ]

    def __init__(self, path: Path, language: Language, gone: set[int]) -> None:
        super().__init__()
        self._conversations = Conversations(path, first=False)
        self._language: Language = language
        self._words = STRINGS[language]
        self._search = ""
        self._deleting: int | None = None  # asked for once
        self._gone = gone

    def compose(self) -> ComposeResult:
        """A box to search in, the list, a line of keys."""
        with Vertical(id="conversations") as page:
            page.border_title = self._words["conversations"]
            yield LineInput(placeholder=self._words["search_here"], id="search")
            yield Rows(self._fetch)
            yield Static(self._words["conversation_keys"], id="keys", markup=False)

    def on_mount(self) -> None:
        """All of them, the newest under the cursor."""
        self._refresh()

    def on_unmount(self) -> None:
        """Give the database back."""
        self._conversations.close()

    def _refresh(self, cursor: int = 0) -> None:
        rows = self.query_one(Rows)
        count = self._try(lambda: self._conversations.count(self._search))
        rows.show(count or 0, cursor)
        if count == 0:
            self._say(self._words["nothing_found" if self._search else "no_conversations"])

    def _fetch(self, first: int, most: int) -> Sequence[Row]:
        listed = self._try(lambda: self._conversations.listed(self._search, first, most)) or []
        now = time.time()
        return [
            Row(item.title or "…", item.snippet, f"{item.turns} {self._words['turns']} · {when(item.changed, now)}")
            for item in listed
        ]

    def _chosen(self) -> ConversationEntry | None:
        found = self._try(lambda: self._conversations.listed(self._search, self.query_one(Rows).cursor, 1))
        return found[0] if found else None

    def _say(self, text: str) -> None:
        self.query_one("#keys", Static).update(plain(text))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Search as it is typed."""
        self._search = message.value
        self._say(self._words["conversation_keys"])
        self._refresh()

    def on_input_submitted(self) -> None:
        """Go on with the one under the cursor."""
        if self.is_current and (chosen := self._chosen()) is not None:
            self.dismiss(chosen.id)

    def on_rows_picked(self) -> None:
        """The same by the mouse."""
        self.on_input_submitted()

    def on_rows_moved(self) -> None:
        """What was asked for once is asked for no more."""
        if self._deleting is not None:
            self._deleting = None
            self._say(self._words["conversation_keys"])

    def action_rename(self) -> None:
        """Another title for the one under the cursor."""
        if (chosen := self._chosen()) is None:
            return

        def rename(title: str | None) -> None:
            if title and title.strip():
                self._try(lambda: self._conversations.rename(chosen.id, title.strip()))
                self._refresh(self.query_one(Rows).cursor)

        self.app.push_screen(AskScreen(self._words["rename"], chosen.title), rename)

    def action_delete(self) -> None:
        """Away with the one under the cursor, if it is asked for twice."""
        if (chosen := self._chosen()) is None:
            return
        if self._deleting != chosen.id:
            self._deleting = chosen.id
            self._say(self._words["delete_again"].format(chosen.title))
            return
        self._deleting = None
        self._say(self._words["conversation_keys"])
        self._try(lambda: self._conversations.delete(chosen.id))
        if self._try(lambda: self._conversations.has(chosen.id)) is False:
            self._gone.add(chosen.id)
        self._refresh(self.query_one(Rows).cursor)

    def action_export(self) -> None:
        """Into files in the folder that the program was started in."""
        if (chosen := self._chosen()) is not None:
            files = self._try(lambda: export(self._conversations, chosen.id, Path(), self._language))
            if files is not None:
                hand_over(self.app, files)
                self._say(self._words["exported"].format(", ".join(map(str, files))))

    def _try(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except HistoryError as error:
            self._say(str(error))
            return None
