"""Conversations as files: Markdown for people, JSON for programs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from charrnn.errors import HistoryError
from charrnn.history import Conversations, record_of
from charrnn.paths import private
from charrnn.plain import encodable
from charrnn.turns import Turn

LONGEST_NAME = 40
WORDS = {
    "zh": {
        "chat": "问",
        "continue": "开头",
        "answer": "答",
        "written": "续写",
        "other": "另一个",
        "figures": "温度 {} · 种子 {} · {} 字",
    },
    "en": {
        "chat": "Question",
        "continue": "Beginning",
        "answer": "Answer",
        "written": "Continuation",
        "other": "Another one",
        "figures": "temperature {} · seed {} · {} characters",
    },
}


def export(conversations: Conversations, number: int, folder: Path, language: str) -> list[Path]:
    """Write a conversation into a folder, in both forms, over nothing that is there; the files.

    Raises HistoryError when it cannot be written.
    """
    title = conversations.title(number)
    turns = [turn.standing for turn in conversations.turns(number)]
    return write_texts(
        folder, title, {".md": as_markdown(title, turns, WORDS[language]), ".json": as_json(title, turns)}
    )


def write_texts(folder: Path, title: str, texts: Mapping[str, str]) -> list[Path]:
    """Write texts by the ending of their files, named after a title, over nothing that is there; the files.

    Raises HistoryError when they cannot be written.
    """
    stem = re.sub(r'[\\/:*?"<>|\s\x00-\x1f]+', "-", encodable(title))[:LONGEST_NAME].strip("-.") or "charrnn"
    try:
        names = (stem if n == 1 else f"{stem}-{n}" for n in itertools.count(1))
        free = next(name for name in names if not any((folder / f"{name}{ending}").exists() for ending in texts))
        for ending, text in texts.items():
            private(folder / f"{free}{ending}").write_text(text, encoding="utf-8", errors="replace", newline="")
    except OSError as error:
        raise HistoryError(f"{folder / stem}: cannot be written ({error.strerror})") from None
    return [folder / f"{free}{ending}" for ending in texts]


def as_markdown(title: str, turns: Sequence[Turn], words: Mapping[str, str]) -> str:
    """The answers that stand, and those that were set aside, with the line of figures under each."""
    parts = [f"# {title}"]
    for turn in turns:
        if turn.prompt.strip():
            parts.append(f"**{words[turn.mode]}**\n\n{turn.prompt}")
        named = words["answer" if turn.mode == "chat" else "written"]
        for answer in (turn, *(other for other in turn.alternatives if other is not turn)):
            figures = words["figures"].format(f"{answer.temperature:.2f}", answer.seed, answer.characters)
            parts.append(f"**{named if answer is turn else words['other']}**\n\n{answer.answer}\n\n*{figures}*")
    return "\n\n".join(parts) + "\n"


def as_json(title: str, turns: Sequence[Turn]) -> str:
    """Every answer with all its settings and tokens: what an exact replay needs."""
    record = {
        "title": title,
        "turns": [
            {
                "mode": turn.mode,
                "prompt": turn.prompt,
                "answers": [
                    {
                        "text": answer.answer,
                        "stands": answer is turn,
                        **record_of(answer),
                        "tokens": list(answer.tokens),
                    }
                    for answer in turn.alternatives
                ],
            }
            for turn in turns
        ],
    }
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def keep_copy(file: Path, text: str) -> None:
    """What was copied, for terminals without a clipboard. HistoryError when it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        private(file).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise HistoryError(f"{file}: cannot be written ({error.strerror})") from None
