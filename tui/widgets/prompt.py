"""The box that prompts are typed into."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from charrnn.plain import unsteered

MOST_RECALLED = 200


class PromptBox(TextArea):
    """Enter sends, Ctrl+J breaks the line; Up and Down recall when the box is empty or shows what was recalled."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+j", "line_break", show=False)]

    class Sent(Message):
        """A prompt was sent; it may be empty."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Other(Message):
        """An arrow to the side in the empty box: the answer before or after."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, compact=True)
        self._earlier: list[str] = []
        self._shown: int | None = None  # which of them is in the box

    # Textual calls the handlers of a class and then those of its parents, unless the default is prevented.

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.prevent_default().stop()
            self.post_message(self.Sent(self.take()))
        elif event.key in ("up", "down") and self._recall(-1 if event.key == "up" else 1):
            event.prevent_default().stop()
        elif event.key in ("left", "right") and not self.text:
            event.prevent_default().stop()
            self.post_message(self.Other(-1 if event.key == "left" else 1))

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = unsteered(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    def put(self, text: str) -> None:
        """A text in the place of what was there, the cursor at its end."""
        self.load_text(unsteered(text))
        self.move_cursor(self.document.end)

    def take(self) -> str:
        """What is in it, which is kept to be recalled."""
        text = self.text
        if text.strip() and text not in self._earlier[-1:]:
            self._earlier = [*self._earlier, text][-MOST_RECALLED:]
        self._shown = None
        self.clear()
        return text

    def _recall(self, step: int) -> bool:
        """Show the prompt before or after; whether there was something to do."""
        shown = self._shown
        if shown is not None and self.text != self._earlier[shown]:
            shown = self._shown = None  # it was changed: the arrows move the cursor again
        if shown is None and (self.text or not self._earlier or step > 0):
            return False
        place = len(self._earlier) - 1 if shown is None else shown + step
        if place >= len(self._earlier):
            self._shown = None
            self.clear()
            return True
        self._shown = max(0, place)
        self.put(self._earlier[self._shown])
        return True

    def action_line_break(self) -> None:
        """A new line in the prompt."""
        self.insert("\n")

    def action_paste(self) -> None:
        """From the app's own clipboard, which may hold an answer."""
        self.insert(unsteered(self.app.clipboard))

    def action_copy(self) -> None:
        """What is selected here, or else in the transcript."""
        if self.selected_text:
            super().action_copy()
        else:
            self.screen.action_copy_text()
