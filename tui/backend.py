"""What the app is given: functions that open what it shows. It owns no model and no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from charrnn.catalogue import ModelEntry
    from charrnn.session import Session


PACE = 80.0  # characters a second on screen: a small model writes thousands, which nobody can watch


@dataclass(frozen=True)
class Backend:
    """The functions are called once the screen stands."""

    open_session: Callable[[Path | None], Session]
    """A session with the model of a folder; of None with the one that was asked for at the start. In a thread."""
    conversations: Path | None = None
    """The database of conversations; with None nothing is saved."""
    settings: Path | None = None
    """The file of what was set in the app; with None it is not kept."""
    copied: Path | None = None
    """Where what is copied goes as well, for terminals that take no clipboard."""
    find_models: Callable[[], Sequence[ModelEntry]] = list
    """The models there are."""
