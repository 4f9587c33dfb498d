"""The terminal app. Importing this package imports nothing heavy; `run_app` does."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charrnn.chat import Session


def run_app(open_session: Callable[[], Session]) -> int:
    """Open the app on the session that `open_session` gives, called once it is on screen; the exit code."""
    # Input methods need the Kitty protocol off; Textual reads this when it is imported.
    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    from tui.app import ChatApp
    from tui.keys import join_alt_arrows

    join_alt_arrows()
    app = ChatApp(open_session)
    app.run()
    return app.return_code or 0
