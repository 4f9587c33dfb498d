"""The terminal app. Importing this package imports nothing heavy; `run_app` does."""

from __future__ import annotations

import os

from tui.backend import Backend as Backend


def run_app(backend: Backend) -> int:
    """Open the app on what `backend` opens, called once it is on screen; the exit code."""
    # Input methods need the Kitty protocol off; Textual reads this when it is imported.
    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    from tui.app import ChatApp
    from tui.keys import join_alt_arrows

    join_alt_arrows()
    app = ChatApp(backend)
    app.run()
    return app.return_code or 0
