from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from charrnn import textfile
from charrnn.corpus import BUNDLED, ReadingReport, bundled_root, held_out_phrasing, read_corpus
from charrnn.errors import CorpusError
from charrnn.textfile import BLOCK_BYTES, PIECE_CHARACTERS, TextFile

SIMPLE = "循环神经网络把上一个时刻的隐藏状态带到下一个时刻，所以它记得前面说过的话。这是它与别的网络不同的地方。\n"
TRADITIONAL = "這個時候，我們說話的樣子與從前不同了。學習現代漢語的人，對於這種問題還沒有一致的見解。\n"


def read(*sources: Path | str, errors="strict", report=None) -> list[tuple[str, list[tuple[str, str]]]]:
    documents = read_corpus([str(s) for s in sources], errors=errors, report=report)
    return [(d.name, [(p.role, p.text) for p in d.parts]) for d in documents]


def texts(*sources: Path | str, **options) -> list[str]:
    return ["".join(text for _, text in parts) for _, parts in read(*sources, **options)]


def test_file_is_one_document_named_by_its_file(tmp_path):
    (tmp_path / "甲.txt").write_text("你好，世界。\n", "utf-8")
    assert read(tmp_path / "甲.txt") == [("甲.txt", [("text", "你好，世界。\n")])]


def test_front_matter_is_dropped_from_markdown_only(tmp_path):
    text = "---\ntitle: 题目\n---\n\n# 正文\n\n---\n尾\n"
    for name in ("a.md", "b.txt"):
        (tmp_path / name).write_text(text, "utf-8")
    assert texts(tmp_path) == ["# 正文\n\n---\n尾\n", text]


@pytest.mark.parametrize("text", ["---\n没有收尾的横线\n", "--- 不是\n", "# 题\n---\nx\n---\n"])
def test_text_that_only_looks_like_front_matter_stays(tmp_path, text):
    (tmp_path / "a.md").write_text(text, "utf-8")
    assert texts(tmp_path) == [text]


def test_folder_in_sorted_order_with_what_is_skipped_named(tmp_path):
    for name in ("b/二.txt", "a/一.txt", "a/.hidden.txt", ".git/x.txt", "图.png", "README.md", "空.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("" if name == "空.txt" else name, "utf-8")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    report = ReadingReport()
    assert read(tmp_path, report=report) == [(n, [("text", n)]) for n in ("a/一.txt", "b/二.txt")]
    assert report.skipped == 3
    assert dict(report.skipped_names).keys() == {"图.png", "README.md", "空.txt"}
    assert (report.files, report.documents, report.characters) == (3, 2, len("a/一.txt") * 2)


def test_bundled_names_give_way_to_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    articles = read("articles")
    assert all(name.startswith("articles/") for name, _ in articles)
    (tmp_path / "articles").write_text("自己的文章", "utf-8")
    assert texts("articles") == ["自己的文章"]
    with pytest.raises(CorpusError, match=r"nowhere.*corpus"):
        read("nowhere")


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_bundled_corpora_can_be_read(name):
    report = ReadingReport()
    documents = read(name, report=report)
    assert len(documents) == report.documents > 0
    assert report.encodings.keys() == {"utf-8"}


def test_binary_is_the_sequence_of_its_rule():
    assert (bundled_root() / "binary/sequence.txt").read_text() == "10" * 1000 + "1" * 500


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SIMPLE.encode("gb18030"))))
    assert read("-") == [("-", [("text", SIMPLE)])]


def test_named_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    if os.fork() == 0:
        (tmp_path / "pipe").write_text(SIMPLE * 3, "utf-8")
        os._exit(0)
    assert texts(tmp_path / "pipe") == [SIMPLE * 3]
    os.wait()


@pytest.mark.parametrize(
    ("encoding", "said", "text"),
    [
        ("utf-8", "utf-8", SIMPLE),
        ("utf-8-sig", "utf-8", SIMPLE),
        ("gb18030", "gb18030", SIMPLE),
        ("gb18030", "gb18030", TRADITIONAL),
        ("gbk", "gb18030", SIMPLE[:12]),
        ("big5", "big5", TRADITIONAL),
        ("big5", "big5", TRADITIONAL[:12]),
        ("utf-16", "utf-16", SIMPLE),
        ("utf-16-le", "utf-16", SIMPLE),
        ("utf-16-be", "utf-16", TRADITIONAL),
        ("utf-16-le", "utf-16", "An English text, in the form that old Windows programs wrote it.\n"),
        ("utf-32", "utf_32_le", SIMPLE),
    ],
)
@pytest.mark.parametrize("times", [1, 3000])
def test_encodings_are_recognised_and_said(tmp_path, encoding, said, text, times):
    (tmp_path / "a.txt").write_bytes((text * times).encode(encoding))
    report = ReadingReport()
    assert texts(tmp_path / "a.txt", report=report) == [text * times]
    assert report.encodings == {said: 1}


def test_encoding_is_judged_where_utf_8_ends(tmp_path):
    """A long run of ASCII before the first Chinese character says nothing of the encoding."""
    text = "plain text without a hint\n" * 40_000 + SIMPLE * 50
    (tmp_path / "a.txt").write_bytes(text.encode("gb18030"))
    assert texts(tmp_path / "a.txt") == [text]


@pytest.mark.parametrize(("encoding", "place"), [("utf-8", 3), ("utf-8", 200_003), ("gb18030", 100_001)])
def test_bad_byte_is_an_error_with_its_place_or_replaced(tmp_path, encoding, place):
    data = bytearray((SIMPLE * 3000).encode(encoding))
    place = place // 3 * 3 if encoding == "utf-8" else place
    data[place] = 0xFF
    path = tmp_path / "坏.txt"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=rf"坏\.txt: byte ({place:,}|{place - 1:,}) is not {encoding}.*replace"):
        read(path)
    report = ReadingReport()
    (text,) = texts(path, errors="replace", report=report)
    assert report.replaced == text.count("\ufffd") > 0
    assert len(text) == pytest.approx(len(SIMPLE) * 3000, abs=3)


@pytest.mark.parametrize("data", [b"\xff", b"\x81", b"\xfe\xff\xff"])
def test_a_few_bytes_that_are_no_character(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(CorpusError, match=r"a\.txt: (this is no text|byte 2 is not utf-16)"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "data", [os.urandom(5000), bytes(range(256)) * 20, b"\x7fELF" + bytes(4000), b"\x89PNG\r\n\x1a\n" + os.urandom(900)]
)
def test_binary_files_are_refused(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data)
    for errors in ("strict", "replace"):
        with pytest.raises(CorpusError, match=r"a\.txt: this is no text"):
            read(tmp_path / "a.txt", errors=errors)


def test_packed_files(tmp_path):
    packed = zstandard.ZstdCompressor()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(SIMPLE.encode()) + gzip.compress(TRADITIONAL.encode()))
    (tmp_path / "b.md.zst").write_bytes(packed.compress(SIMPLE.encode()) + packed.compress(TRADITIONAL.encode()))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"text": "\\u597d"}\n'))
    assert texts(tmp_path) == [SIMPLE + TRADITIONAL, SIMPLE + TRADITIONAL, "好"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
@pytest.mark.parametrize("spoil", [lambda d: d[:-9], lambda d: d[:40] + b"????????" + d[48:], lambda d: b"no" + d])
def test_damaged_archives(tmp_path, pack, spoil):
    path = tmp_path / ("a.txt.gz" if pack is gzip.compress else "a.txt.zst")
    path.write_bytes(spoil(pack(os.urandom(3000).hex().encode())))
    with pytest.raises(CorpusError, match="damaged or cut short"):
        read(path)


@pytest.mark.parametrize(("name", "pack"), [("a.txt.gz", gzip.compress), ("a.txt.zst", zstandard.compress)])
def test_what_unpacks_to_very_much_more_than_it_is_is_refused(tmp_path, monkeypatch, name, pack):
    (tmp_path / name).write_bytes(pack("好\n".encode() * 200_000))
    assert len(texts(tmp_path / name)[0]) == 400_000
    monkeypatch.setattr(textfile, "UNPACKED_ANYWAY", 1000)
    with pytest.raises(CorpusError, match=rf"{name}: unpacks to more than 100 times its size"):
        read(tmp_path / name)


def test_a_line_that_is_too_long_to_be_held_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "LONGEST_LINE", 100_000)
    (tmp_path / "a.jsonl").write_text('{"text": "好"}\n{"text": "' + "x" * 200_000, "utf-8")
    with pytest.raises(CorpusError, match=r"a\.jsonl:2: more than"):
        read(tmp_path)


RECORDS = [
    {"text": "一段话。\r\n第二行。"},
    {"ask": ["什么是甲？", "甲是啥"], "answer": ["甲是一。"], "keys": ["一"]},
    {"ask": "乙呢", "answer": "乙是二。"},
    {"turns": [["问", "你好"], ["答", "你好！"], ["问", "再见"], ["答", "再见。"]]},
    {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "user", "content": "问"},
            {"role": "assistant", "content": "答"},
        ]
    },
    {"text": "半个\ud83d字"},
]
DOCUMENTS = [
    ("#1", [("text", "一段话。\n第二行。")]),
    ("什么是甲？", [("ask", "什么是甲？"), ("answer", "甲是一。")]),
    ("什么是甲？", [("ask", "甲是啥"), ("answer", "甲是一。")]),
    ("乙呢", [("ask", "乙呢"), ("answer", "乙是二。")]),
    ("你好", [("ask", "你好"), ("answer", "你好！"), ("ask", "再见"), ("answer", "再见。")]),
    ("问", [("ask", "问"), ("answer", "答")]),
    ("#6", [("text", "半个\ufffd字")]),
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_records(tmp_path, name):
    lines = [json.dumps(r) for r in RECORDS]
    (tmp_path / name).write_text("\n".join(lines) if name == "a.jsonl" else f"[{','.join(lines)}]", "utf-8")
    assert read(tmp_path) == [(name + n if n.startswith("#") else n, parts) for n, parts in DOCUMENTS]


def test_answers_are_dealt_to_the_phrasings_in_turn_and_all_to_the_first(tmp_path):
    record = {"ask": list("甲乙丙"), "answer": ["一", "二"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record), "utf-8")
    assert [parts[0][1] + parts[1][1] for _, parts in read(tmp_path)] == ["甲一", "甲二", "乙一", "丙二"]


def test_a_set_of_one_phrasing_again_and_again_is_passed_over(tmp_path):
    records = [{"ask": ["门"] * 4, "answer": "开关"}, {"ask": "窗", "answer": "玻璃"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    assert [parts[0][1] for _, parts in read(tmp_path)] == ["窗"]


def test_one_phrasing_of_a_set_is_not_read(tmp_path):
    """By a hash of its own, so it stays the same whatever else is added; never the first, which names the set."""
    asks = [f"第{n}种问法" for n in range(9)]
    (tmp_path / "a.jsonl").write_text(json.dumps({"ask": asks, "answer": ["一"]}), "utf-8")
    held_out = held_out_phrasing(asks)
    assert held_out in asks[1:]
    assert [parts[0][1] for _, parts in read(tmp_path)] == [ask for ask in asks if ask != held_out]
    assert held_out_phrasing([*asks[:5], held_out, *asks[5:]]) == held_out
    assert held_out_phrasing(asks[:3]) is None


WRONG_RECORDS = """\
{
[]
3
null
{}
{"text": 3}
{"ask": [], "answer": ["x"]}
{"ask": ["x"], "answer": [3]}
{"turns": ["x"]}
{"turns": [["谁", "x"]]}
{"messages": [{"role": "user"}]}
{"messages": [{"role": "system", "content": "x"}]}
"""


@pytest.mark.parametrize("line", [*WRONG_RECORDS.splitlines(), "[" * 100_000, "1" * 5000], ids=range(14))
def test_wrong_records_are_named_by_file_and_line(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"text": "好"}\n\n' + line, "utf-8")
    with pytest.raises(CorpusError, match=r"a\.jsonl:3: "):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", " \n\r\n\t", "\ufeff"])
def test_empty_corpus_says_so(tmp_path, content):
    (tmp_path / "a.txt").write_text(content, "utf-8")
    with pytest.raises(CorpusError, match=r"empty, there is no text to read \(1 skipped: empty\)"):
        read(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(CorpusError, match=r"empty, there is no text to read$"):
        read(tmp_path)


@given(st.text(st.sampled_from("好a\n\r，🙂\t"), max_size=60).map(lambda s: s * 3000))
def test_pieces_are_the_text_with_unix_line_ends(text):
    data = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        file = TextFile(None)
    pieces = list(file.pieces())
    assert "".join(pieces) == text.replace("\r\n", "\n").replace("\r", "\n")
    assert all(0 < len(piece) <= PIECE_CHARACTERS for piece in pieces)
    assert "".join(file.lines()) == "".join(pieces)
    assert all(line.endswith("\n") for line in list(file.lines())[:-1])


def test_a_file_that_is_cut_while_it_is_read_is_one_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(SIMPLE * 9000, "utf-8")
    pieces = TextFile(path).pieces()
    next(pieces)
    os.truncate(path, path.stat().st_size // 2 // 3 * 3 + 1)
    with pytest.raises(CorpusError, match=r"a\.txt: it was changed while it was read"):
        list(pieces)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(SIMPLE * 100_000, "utf-8")  # 15 MB
    assert path.stat().st_size > 200 * BLOCK_BYTES
    for _ in read_corpus([str(path)]):  # first use: imports, codecs
        break
    tracemalloc.start()
    for document in read_corpus([str(path)]):
        for _ in document.parts:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
