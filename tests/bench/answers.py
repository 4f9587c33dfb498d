"""How well a model answers: hits of key terms on held-out phrasings and held-out sets, beside chance and a retriever.

A hit is an answer that holds a key term of the set; terms that stand in the question do not count. Chance deals the
model's own answers to the questions at random. The retriever gives an answer of the set whose trained phrasing is
nearest by TF-IDF of runs of one to three characters: no network at all, and it cannot answer what was never asked.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from table import show

import charrnn
from charrnn.chat import DRAFTS, ChatSession
from charrnn.corpus import bundled_root, held_out_phrasing
from charrnn.question import runs
from charrnn.spool import is_held_out

BUCKETS = 1 << 30  # of the retriever: hardly two runs share one
LONGEST = 300
SEEDS = 3
REPEATED = 8  # characters that stand twice in an answer


@dataclass(frozen=True)
class Asked:
    """A question and the terms that a right answer holds."""

    text: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    text: str
    ended: bool


def read_sets(folder: Path) -> list[dict]:
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()]
    return [record for record in map(json.loads, filter(str.strip, lines)) if "ask" in record]


def asked(text: str, record: dict) -> Asked:
    return Asked(text, tuple(key for key in record["keys"] if key not in text) or tuple(record["keys"]))


def groups(sets: Sequence[dict], most: int) -> dict[str, list[Asked]]:
    """The questions by what the model knows of them."""
    held_out = [s for s in sets if is_held_out(s["ask"][0])]
    trained = [s for s in sets if not is_held_out(s["ask"][0])]
    found = {
        "trained phrasings": [asked(s["ask"][0], s) for s in trained],
        "held-out phrasings": [asked(q, s) for s in trained if (q := held_out_phrasing(s["ask"]))],
        "held-out sets": [asked(q, s) for s in held_out for q in s["ask"]],
    }
    return {name: random.Random(1).sample(items, min(most, len(items))) for name, items in found.items()}


def say(session: ChatSession, question: str) -> Answer:
    text = ""
    for piece in session.say(question):
        text += piece.text
        if len(text) >= LONGEST:
            break
    return Answer(text, ended=not session.turns[-1].stopped)


def ask_model(
    model: charrnn.LanguageModel, questions: Sequence[Asked], temperature: float, drafts: int, turn: int = 1
) -> list[Answer]:
    """The answers, each as the given turn of a conversation in which other questions of the list came before."""
    answers = []
    for number, question in enumerate(questions):
        session = model.chat(charrnn.SamplingConfig(temperature=temperature, seed=number), drafts)
        for before in range(1, turn):
            say(session, questions[(number + 7 * before) % len(questions)].text)
        answers.append(say(session, question.text))
    return answers


class Retriever:
    """The answer to the nearest trained phrasing."""

    def __init__(self, sets: Sequence[dict]) -> None:
        trained = [s for s in sets if not is_held_out(s["ask"][0])]
        self._found = [(q, s["answer"]) for s in trained for q in s["ask"] if q != held_out_phrasing(s["ask"])]
        counts = Counter(r for q, _ in self._found for r in set(runs(q, BUCKETS)))
        self._rarity = {r: math.log((len(self._found) + 1) / (n + 1)) for r, n in counts.items()}
        self._index: dict[int, list[tuple[int, float]]] = {}
        for place, (q, _) in enumerate(self._found):
            for r, weight in self._vector(q).items():
                self._index.setdefault(r, []).append((place, weight))

    def _vector(self, text: str) -> dict[int, float]:
        vector = {r: n * self._rarity[r] for r, n in Counter(runs(text, BUCKETS)).items() if r in self._rarity}
        length = math.sqrt(sum(x * x for x in vector.values())) or 1.0
        return {r: x / length for r, x in vector.items()}

    def answer(self, question: str) -> Answer:
        score: Counter[int] = Counter()
        for r, weight in self._vector(question).items():
            for place, other in self._index[r]:
                score[place] += weight * other
        place = score.most_common(1)[0][0] if score else 0
        return Answer(random.Random(question).choice(self._found[place][1]), ended=True)


def hits(answers: Sequence[Answer], questions: Sequence[Asked]) -> tuple[float, float]:
    """Share of answers with a key term, and mean share of the key terms in them."""
    found = [[key in a.text for key in q.keys] for a, q in zip(answers, questions, strict=True)]
    return sum(map(any, found)) / len(found), sum(sum(f) / len(f) for f in found) / len(found)


def chance(answers: Sequence[Answer], questions: Sequence[Asked], times: int = 20) -> float:
    dealt, rng, total = list(answers), random.Random(0), 0.0
    for _ in range(times):
        rng.shuffle(dealt)
        total += hits(dealt, questions)[0] / times
    return total


def repeats(text: str) -> bool:
    seen = [text[i : i + REPEATED] for i in range(len(text) - REPEATED + 1)]
    return len(set(seen)) < len(seen)


def row(name: str, who: str, answers: Sequence[Answer], questions: Sequence[Asked]) -> list[str]:
    hit, share = hits(answers, questions)
    return [
        name,
        who,
        str(len(questions)),
        f"{hit:.3f}",
        f"{chance(answers, questions):.3f}",
        f"{share:.3f}",
        f"{sum(a.ended for a in answers) / len(answers):.3f}",
        f"{sum(repeats(a.text) for a in answers) / len(answers):.3f}",
        f"{sum(len(a.text) for a in answers) / len(answers):.0f}",
    ]


def worst(model: charrnn.LanguageModel, questions: Sequence[Asked], temperature: float, most: int) -> list[list[str]]:
    """The questions whose answers hold the smallest share of their key terms, over some seeds; the subject stays the
    same whatever the words, so they show what there is too little text about."""
    shares: dict[Asked, list[float]] = {question: [] for question in questions}
    shown: dict[Asked, str] = {}
    for start in range(SEEDS):
        for number, question in enumerate(questions):
            answer = say(
                model.chat(charrnn.SamplingConfig(temperature=temperature, seed=1000 * start + number)), question.text
            )
            shares[question].append(sum(key in answer.text for key in question.keys) / len(question.keys))
            shown[question] = " ".join(answer.text.split())
    ranked = sorted(shares, key=lambda question: sum(shares[question]))[:most]
    return [[q.text, " ".join(q.keys), f"{sum(shares[q]) / SEEDS:.2f}", shown[q]] for q in ranked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="model folders or names; none: the one that ships")
    parser.add_argument("--sets", type=Path, default=bundled_root() / "dialogues")
    parser.add_argument("--temperature", type=float, default=0.3)
    parser.add_argument("--most", type=int, default=1000, help="questions of a group")
    parser.add_argument("--drafts", type=int, default=DRAFTS, help="beginnings of an answer to choose from")
    parser.add_argument("--turns", type=int, nargs="+", default=[1], help="at which turns of a conversation to ask")
    parser.add_argument("--worst", type=int, metavar="N", help="instead the N worst answers to held-out phrasings")
    given = parser.parse_args()
    sets = read_sets(given.sets)
    if given.worst:
        questions = groups(sets, given.most)["held-out phrasings"]
        for model in given.models or [None]:
            show(
                [
                    ["question", "keys", "hits", "an answer"],
                    *worst(charrnn.load(model), questions, given.temperature, given.worst),
                ]
            )
        return
    retriever = Retriever(sets)
    rows = [["questions", "answered by", "n", "hits", "chance", "keys", "ended", "repeats", "length"]]
    for name, questions in groups(sets, given.most).items():
        for model in given.models or [None]:
            loaded = charrnn.load(model)
            for turn in given.turns:
                answers = ask_model(loaded, questions, given.temperature, given.drafts, turn)
                rows.append(row(name, loaded.name + (f", turn {turn}" if turn > 1 else ""), answers, questions))
        rows.append(row(name, "retriever", [retriever.answer(q.text) for q in questions], questions))
    show(rows)


if __name__ == "__main__":
    main()
