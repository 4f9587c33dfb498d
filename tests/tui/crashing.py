"""The app with a mistake in a widget, for a test of how it ends: run in a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.tui.scripted import ScriptedSession
from tui import run_app
from tui.backend import Backend
from tui.widgets.slider import TemperatureSlider


def render(self: TemperatureSlider) -> str:
    if self.value > 0.8:
        raise ZeroDivisionError("a mistake in a widget")
    return "·"


if __name__ == "__main__":
    TemperatureSlider.render = render  # type: ignore[assignment,method-assign]
    folder = Path(sys.argv[1])
    sys.exit(run_app(Backend(lambda _: ScriptedSession(["写。" * 100_000]), folder / "c.sqlite")))
