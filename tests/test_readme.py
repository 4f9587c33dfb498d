"""The experiment of the README, in both languages: its commands still print what stands there. And its layout is true.

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

ROOT = Path(__file__).parent.parent
README, ENGLISH = ROOT / "README.md", ROOT / "README.en.md"
BLOCK = re.compile(r"```console\n\$ charrnn ([^\n]*)\n(.*?)```\n", re.DOTALL)
COMMANDS = [block[1] for block in BLOCK.finditer(README.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_the_readme_says(charrnn, command):
    printed = charrnn(*shlex.split(command)).stdout.decode().rstrip("\n") + "\n"
    for page in (README, ENGLISH):
        text = page.read_text(encoding="utf-8")
        block = next(block for block in BLOCK.finditer(text) if block[1] == command)
        if os.environ.get("CHARRNN_DRAW"):
            page.write_text(text[: block.start(2)] + printed + text[block.end(2) :], encoding="utf-8")
        else:
            assert difflib.SequenceMatcher(None, block[2], printed, autojunk=False).ratio() > 0.8, printed


def test_there_are_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("page", [README, ENGLISH])
def test_the_layout_names_every_module_and_no_other(page):
    layout = re.search(r"```\n(charrnn/ .*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    library = re.findall(r"[a-z_]+", layout.partition("\ntui/")[0])
    modules = {path.stem for path in (ROOT / "charrnn").glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(library)
    assert not {word for word in library if "_" in word.strip("_")} - modules


@pytest.mark.parametrize("page", [README, ENGLISH])
def test_what_it_links_to_is_there(page):
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in (README.read_text(encoding="utf-8") + ENGLISH.read_text(encoding="utf-8")).splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        assert (ROOT / path).exists(), target
        assert not heading or heading in headings, target
