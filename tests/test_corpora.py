"""The bundled corpora keep their rules, and their README says what they hold."""

import json

import pytest

from charrnn.corpus import bundled_root, held_out_phrasing
from charrnn.corpus_report import ARTICLE_RUNS, article_runs, examine
from charrnn.errors import CorpusError

ARTICLE = "# 门\n\n" + "".join(chr(0x4E00 + i) for i in range(1500)) + "\n"
HEAD = "---\ntitle: 门\ntopic: 门\nlicense: CC0-1.0\n---\n\n"
SET = {
    "ask": ["门有什么用", "门有什么用处", "门能干啥用", "要门有何用", "门的用处", "为什么要装门", "装门有什么用"],
    "answer": ["把里外隔开，又让人进出，关上它就是一堵墙，打开它就是一条路。"],
    "keys": ["隔开", "进出"],
    "topic": "门",
}
CONVERSATION = {
    "turns": [["问", "门"], ["答", "开着。"], ["问", "窗"], ["答", "关着。"], ["问", "灯"], ["答", "亮着。"]]
}


@pytest.fixture(scope="module")
def report():
    return examine(bundled_root())


def test_they_keep_their_rules(report):
    assert report.broken == []


def test_their_readme_states_the_counts(report):
    readme = (bundled_root() / "README.md").read_text(encoding="utf-8")
    for name, value in report.rows():
        assert f"| {name} | {value} |" in readme


def corpora(folder, article=HEAD + ARTICLE, record=SET, conversation=CONVERSATION, forbidden=""):
    for name in ("articles", "dialogues"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "articles" / "door.md").write_text(article, encoding="utf-8")
    lines = [json.dumps(r, ensure_ascii=False) for r in (record, conversation)]
    (folder / "dialogues" / "doors.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / ARTICLE_RUNS).write_text("\n".join(article_runs(forbidden)), encoding="utf-8")
    return examine(folder)


def said(report) -> str:
    """What is wrong, but for the sizes of so small a corpus."""
    return "\n".join(line for line in report.broken if "fewer than" not in line)


def test_what_breaks_no_rule(tmp_path):
    report = corpora(tmp_path)
    assert said(report) == ""
    assert (report.articles, report.sets, report.conversations, report.phrasings) == (1, 1, 1, 7)
    assert report.article_characters == 1500
    assert len(report.broken) == 5  # too few of everything


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"article": ARTICLE}, "articles/door.md: does not begin with title"),
        ({"article": HEAD + "# 门\n\n太短。\n"}, "Chinese characters: 2, not between"),
        ({"article": HEAD + ARTICLE + ARTICLE[4:]}, "repeats a paragraph"),
        ({"article": HEAD + ARTICLE + "门,窗和灯。"}, "half-width punctuation"),
        ({"record": SET | {"answer": ["太短，隔开。"]}}, "characters of an answer: 6, not"),
        ({"record": SET | {"keys": ["灯", "窗"]}}, "an answer without a key"),
        ({"record": SET | {"ask": SET["ask"][:3]}}, "phrasings: 3, not"),
        ({"conversation": {"turns": CONVERSATION["turns"][:2]}}, "not at least three"),
        ({"forbidden": SET["answer"][0]}, "stand in the article, too"),
    ],
)
def test_a_broken_rule_is_said(tmp_path, change, line):
    assert line in said(corpora(tmp_path, **change))


@pytest.mark.parametrize(
    "record", [3, ["门"], {}, {"ask": "门"}, {"ask": []}, {"turns": [["问"]]}, SET | {"keys": None}]
)
def test_a_record_of_another_form_is_one_error(tmp_path, record):
    with pytest.raises(CorpusError, match=r"doors\.jsonl:1"):
        corpora(tmp_path, record=record)


def test_the_same_question_twice_and_repeated_text(tmp_path):
    corpora(tmp_path)
    twin = SET | {"ask": ["门有什么用？", *(f"另一种问法{n}" for n in range(6))]}
    (tmp_path / "dialogues" / "more.jsonl").write_text(json.dumps(twin, ensure_ascii=False), encoding="utf-8")
    report = examine(tmp_path)
    assert "asks what dialogues/doors.jsonl:1 asks" in said(report)
    assert report.longest_repeats[0][0] == SET["answer"][0]
    assert report.duplicate_share > 0


def test_a_held_out_question_is_in_no_conversation(tmp_path):
    held_out = held_out_phrasing(SET["ask"])
    turns = [["问", f"{held_out}？"], *CONVERSATION["turns"][1:]]
    report = corpora(tmp_path, conversation={"turns": turns})
    assert "asks what is held out of dialogues/doors.jsonl:1" in said(report)
