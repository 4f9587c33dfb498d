"""What the bundled corpora hold, and whether they keep their rules: sizes, form, no repetition, nothing of the article.

The sizes are those of `corpora/README.md`; the others stand below. The article that the project started from is
not shipped: hashes of its 20-character runs are, and no text may match one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from charrnn.corpus import held_out_phrasing
from charrnn.errors import CorpusError
from charrnn.spool import is_held_out

ARTICLE_RUNS = "article-runs.txt"
RUN, LEAST_CHINESE = 20, 12  # characters of a run of the article, blanks removed, and more Chinese ones than this
WINDOW = 13  # characters that should not stand in two places
CHINESE = re.compile(r"[\u4e00-\u9fff]")
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:?!]|[\u4e00-\u9fff]\.$")
FRONT_MATTER = re.compile(r"---\ntitle: \S.*\ntopic: \S.*\nlicense: CC0-1\.0\n---\n\n# \S.*\n\n")
ARTICLE_LENGTH, ANSWER_LENGTH = (1_200, 4_000), (20, 150)
LEAST = {"articles": 160, "article_characters": 400_000, "sets": 1_500, "conversations": 300, "distinct": 2_801}
LEAST_PHRASINGS, LEAST_TURNS, MOST_ANSWERS, KEYS = 6, 6, 3, (2, 4)
PHRASING_OVERLAP = (0.05, 0.25)  # of 2-character runs, mean Jaccard index over all sets
MOST_DUPLICATE = 0.02


@dataclass
class CorpusReport:
    """Counts, and what breaks a rule."""

    articles: int = 0
    article_characters: int = 0
    sets: int = 0
    phrasings: int = 0
    answers: int = 0
    conversations: int = 0
    turns: int = 0
    dialogue_characters: int = 0
    distinct: int = 0
    duplicate_share: float = 0.0
    phrasing_overlap: float = 0.0
    article_overlap: int = 0
    held_out_articles: int = 0
    held_out_sets: int = 0
    held_out_conversations: int = 0
    longest_repeats: list[tuple[str, str, str]] = field(default_factory=list)
    """The longest texts that stand in two places, and the places."""
    broken: list[str] = field(default_factory=list)
    """A line for each rule that is broken."""

    def rows(self) -> list[tuple[str, str]]:
        """The counts, for people."""
        return [
            ("articles", f"{self.articles:,}"),
            ("Chinese characters in them", f"{self.article_characters:,}"),
            ("question sets", f"{self.sets:,}"),
            ("phrasings", f"{self.phrasings:,}"),
            ("answers", f"{self.answers:,}"),
            ("conversations", f"{self.conversations:,}"),
            ("turns of conversations", f"{self.turns:,}"),
            ("Chinese characters in dialogues", f"{self.dialogue_characters:,}"),
            ("distinct Chinese characters", f"{self.distinct:,}"),
            (f"{WINDOW}-character windows that stand in two places", f"{self.duplicate_share:.2%}"),
            ("mean overlap of two phrasings of a set", f"{self.phrasing_overlap:.3f}"),
            ("runs shared with the article", f"{self.article_overlap:,}"),
            (
                "held out",
                f"{self.held_out_articles:,} articles, {self.held_out_sets:,} sets, "
                f"{self.held_out_conversations:,} conversations",
            ),
        ]


def article_runs(text: str) -> set[str]:
    """Hashes of a text's runs of 20 characters, blanks removed, that hold more than 12 Chinese ones."""
    text = re.sub(r"\s", "", text)
    runs = {text[i : i + RUN] for i in range(len(text) - RUN + 1)}
    return {hashlib.sha256(run.encode()).hexdigest()[:12] for run in runs if len(CHINESE.findall(run)) > LEAST_CHINESE}


def examine(root: Path) -> CorpusReport:
    """Read the corpora under `root` whole and judge them. CorpusError where they cannot be read."""
    report = CorpusReport()
    articles = {p.relative_to(root).as_posix(): _read(p) for p in sorted((root / "articles").glob("*.md"))}
    records = list(_records(root))
    forbidden = set(_read(root / ARTICLE_RUNS).split())
    texts = [(name, FRONT_MATTER.sub("", text)) for name, text in articles.items()]
    for name, text in articles.items():
        _article(report, name, text)
    for place, record in records:
        try:
            spoken = _set(report, place, record) if "ask" in record else _conversation(report, place, record)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise CorpusError(f"{place}: neither a question set nor a conversation ({error!r})") from error
        texts.append((place, "\n".join(spoken)))
    report.distinct = len(set(CHINESE.findall("".join(text for _, text in texts))))
    for name, text in texts:
        if shared := article_runs(text) & forbidden:
            report.article_overlap += len(shared)
            report.broken.append(f"{name}: {len(shared)} runs of {RUN} characters stand in the article, too")
    _repeats(report, texts)
    _same_questions(report, records)
    _sizes(report)
    return report


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from error


def _records(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((root / "dialogues").glob("*.jsonl")):
        for number, line in enumerate(_read(path).split("\n"), 1):
            place = f"{path.relative_to(root).as_posix()}:{number}"
            try:
                record = json.loads(line or "null")
            except ValueError as error:
                raise CorpusError(f"{place}: no JSON: {error}") from error
            if record is not None:
                yield place, record


# Rules of one piece --------------------------------------------------------------------------------------------------


def _within(report: CorpusReport, what: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        report.broken.append(f"{what}: {value:g}, not between {limits[0]:g} and {limits[1]:g}")


def _article(report: CorpusReport, name: str, text: str) -> None:
    report.articles += 1
    report.held_out_articles += is_held_out(name)
    if not FRONT_MATTER.match(text):
        report.broken.append(f"{name}: does not begin with title, topic, licence and a title line")
    body = FRONT_MATTER.sub("", text)
    characters = len(CHINESE.findall(body))
    report.article_characters += characters
    _within(report, f"{name}: Chinese characters", characters, ARTICLE_LENGTH)
    paragraphs = [p for p in body.split("\n") if p.strip()]
    if len(set(paragraphs)) < len(paragraphs):
        report.broken.append(f"{name}: repeats a paragraph")
    _full_width(report, name, paragraphs)


def _full_width(report: CorpusReport, name: str, texts: Iterable[str]) -> None:
    if found := next((m.group() for text in texts if (m := HALF_WIDTH.search(text))), None):
        report.broken.append(f"{name}: half-width punctuation, {found}")


def _overlap(a: str, b: str) -> float:
    """Jaccard index of the 2-character runs."""
    one, two = ({t[i : i + 2] for i in range(len(t) - 1)} for t in (a, b))
    return len(one & two) / max(1, len(one | two))


def _set(report: CorpusReport, place: str, record: dict[str, Any]) -> list[str]:
    """Its answers."""
    asks, answers, keys = record["ask"], record["answer"], record["keys"]
    report.sets += 1
    report.phrasings += len(asks)
    report.answers += len(answers)
    report.dialogue_characters += len(CHINESE.findall("".join(asks + answers)))
    report.held_out_sets += is_held_out(asks[0])
    pairs = list(combinations(asks, 2))
    report.phrasing_overlap += sum(_overlap(a, b) for a, b in pairs) / max(1, len(pairs))
    _within(report, f"{place}: phrasings", len(set(asks)), (LEAST_PHRASINGS, 99))
    _within(report, f"{place}: answers", len(answers), (1, MOST_ANSWERS))
    _within(report, f"{place}: keys", len(keys), KEYS)
    for answer in answers:
        _within(report, f"{place}: characters of an answer", len(answer), ANSWER_LENGTH)
        if not any(key in answer for key in keys):
            report.broken.append(f"{place}: an answer without a key")
    _full_width(report, place, answers)
    held_out = held_out_phrasing(asks) or ""
    if all(key in held_out for key in keys):
        report.broken.append(f"{place}: every key stands in the held-out phrasing")
    return list(answers)


def _conversation(report: CorpusReport, place: str, record: dict[str, Any]) -> list[str]:
    """Its answers."""
    turns = record["turns"]
    report.conversations += 1
    report.turns += len(turns)
    report.dialogue_characters += len(CHINESE.findall("".join(text for _, text in turns)))
    report.held_out_conversations += is_held_out(turns[0][1])
    if len(turns) < LEAST_TURNS or [who for who, _ in turns] != ["问", "答"] * (len(turns) // 2):
        report.broken.append(f"{place}: not at least three questions and answers in turn")
    answers = [text for who, text in turns if who == "答"]
    _full_width(report, place, answers)
    return answers


# Rules of the whole --------------------------------------------------------------------------------------------------


def _repeats(report: CorpusReport, texts: Sequence[tuple[str, str]]) -> None:
    """The share of windows that stand in two places, and the longest texts that do."""
    first: dict[str, int] = {}
    repeated: set[str] = set()
    for number, (_, text) in enumerate(texts):
        for i in range(len(text) - WINDOW + 1):
            window = text[i : i + WINDOW]
            if first.setdefault(window, number) != number:
                repeated.add(window)
    windows = found = 0
    for number, (name, text) in enumerate(texts):
        count = max(0, len(text) - WINDOW + 1)
        again = [text[i : i + WINDOW] in repeated for i in range(count)]
        windows, found = windows + count, found + sum(again)
        for start, end in _stretches(again):
            other = first[text[start : start + WINDOW]]
            if other != number:
                report.longest_repeats.append((text[start : end + WINDOW - 1], texts[other][0], name))
    report.duplicate_share = found / max(1, windows)
    report.longest_repeats = sorted(report.longest_repeats, key=lambda r: -len(r[0]))[:10]


def _stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where runs of True begin and end."""
    start = None
    for i, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            yield start, i
            start = None


def _same_questions(report: CorpusReport, records: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """A question stands in one set only, whatever its punctuation, and one held out is in no conversation either."""
    places: dict[str, str] = {}
    held_out: dict[str, str] = {}
    for place, record in records:
        asks = record.get("ask", [])
        for ask in asks:
            plain = _plain(ask)
            if places.setdefault(plain, place) != place:
                report.broken.append(f"{place}: asks what {places[plain]} asks, {ask}")
            if is_held_out(asks[0]) or ask == held_out_phrasing(asks):
                held_out[plain] = place
    for place, record in records:
        for _, text in record.get("turns", []):
            if other := held_out.get(_plain(text)):
                report.broken.append(f"{place}: asks what is held out of {other}, {text}")


def _plain(text: str) -> str:
    """Without punctuation and blanks, in small letters."""
    return re.sub(r"\W", "", text).lower()


def _sizes(report: CorpusReport) -> None:
    report.phrasing_overlap /= max(1, report.sets)
    for name, least in LEAST.items():
        if getattr(report, name) < least:
            report.broken.append(f"{name.replace('_', ' ')}: {getattr(report, name):,}, fewer than {least:,}")
    _within(report, "overlap of phrasings", report.phrasing_overlap, PHRASING_OVERLAP)
    if report.duplicate_share >= MOST_DUPLICATE:
        report.broken.append(f"{report.duplicate_share:.2%} of the windows stand in two places")
