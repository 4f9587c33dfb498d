"""The app with everything in it made to harm, for a test that reads what a terminal gets: run in a terminal."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import charrnn
from charrnn.catalogue import Measured, describe
from charrnn.config import SamplingConfig
from charrnn.errors import ModelError
from charrnn.history import Conversations
from charrnn.turns import Change, Turn
from tests.tui.scripted import ScriptedSession
from tui import run_app
from tui.backend import Backend

HOSTILE = "".join(chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cc", "Cf", "Zl", "Zp"))
HOSTILE += "\ud800\udfff\x1b]0;title\x07\x1b[2J\x1b[31m\x1bP+q\x1b\\[bold]x[/bold]\x9b31m"


def main(folder: Path) -> int:
    base = Conversations(folder / "c.sqlite")
    for title in ("旧一" + HOSTILE, "旧二" + HOSTILE):
        turn = Turn("chat", title, [Change(0, 0, SamplingConfig(seed=3), False)], "m", 1.0)
        turn.write("旧答" + HOSTILE)
        number = base.begin(title[:20])
        base.rename(number, title)
        base.save_answer(base.add(number, turn)[1], turn, whole=True)
    base.close()
    session = ScriptedSession(["新答" + HOSTILE + "完了", ModelError("错" + HOSTILE), *[HOSTILE, "扫" + HOSTILE] * 5])
    session.title = "名" + HOSTILE
    shipped = describe(charrnn.load().path)
    assert shipped is not None
    curve = (Measured(1, 2.0, "样本" + HOSTILE), Measured(2, 1.0, "样本" + HOSTILE))
    model = replace(
        shipped,
        name="模" + HOSTILE,
        network=HOSTILE,
        corpus=HOSTILE,
        path=Path("x" + HOSTILE[1:50]),
        ships=False,
        training=True,
        curve=curve,
    )

    def open_session(path: Path | None) -> ScriptedSession:
        if path is not None:
            raise ModelError("打不开" + HOSTILE)
        return session

    return run_app(Backend(open_session, folder / "c.sqlite", folder / "s.json", folder / "copied", lambda: [model]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
