"""The experiment of the README: its commands still print what stands there.

CHARRNN_DRAW=1 puts there what they print now; read it before it is committed. Texts of another processor may part from
these at some character, as its sums are rounded otherwise, so most of a block has to be the same, not all.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```console\n\$ charrnn ([^\n]*)\n(.*?)```\n", re.DOTALL)
COMMANDS = [block[1] for block in BLOCK.finditer(README.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_the_readme_says(charrnn, command):
    printed = charrnn(*shlex.split(command)).stdout.decode().rstrip("\n") + "\n"
    text = README.read_text(encoding="utf-8")
    block = next(block for block in BLOCK.finditer(text) if block[1] == command)
    if os.environ.get("CHARRNN_DRAW"):
        README.write_text(text[: block.start(2)] + printed + text[block.end(2) :], encoding="utf-8")
        return
    assert difflib.SequenceMatcher(None, block[2], printed, autojunk=False).ratio() > 0.8, printed


def test_there_are_commands():
    assert len(COMMANDS) >= 6
