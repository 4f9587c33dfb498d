"""From documents to token files: what is held out, that nothing is lost, and the cache."""

from __future__ import annotations

import errno
import json
import os
import random
import textwrap
import tracemalloc

import pytest

from charrnn import cache, dataset
from charrnn.corpus import read_corpus
from charrnn.dataset import open_dataset, prepare
from charrnn.errors import CorpusError, UsageError
from charrnn.spool import HELD_OUT_SHARE, Split, Spool, hash_share
from charrnn.tokens import TokenFile

SENTENCE = "第{}篇：循环神经网络逐字读过，再把读过的带到下一步。\n"


def folder_of(path, count, length=20):
    path.mkdir()
    for n in range(count):
        (path / f"{n:03}.txt").write_text(SENTENCE.format(n) * length, encoding="utf-8")
    return str(path)


def texts(dataset, side: str) -> list[str]:
    tokens: TokenFile = dataset.tokens(side)
    return [dataset.tokenizer.decode(tokens.document(d)) for d in range(len(tokens))]


@pytest.mark.parametrize("kind", ["char", "subword"])
def test_a_tenth_of_the_documents_is_held_out_by_name(tmp_path, kind):
    dataset = prepare([folder_of(tmp_path / "a", 60)], kind=kind)
    held_out = {f"{n:03}.txt" for n in range(60) if hash_share(f"{n:03}.txt") < HELD_OUT_SHARE}
    expected = [SENTENCE.format(int(name[:3])) * 20 for name in sorted(held_out)]
    assert sorted(texts(dataset, "valid")) == sorted(expected)
    assert len(texts(dataset, "train")) == 60 - len(held_out)
    assert set(texts(dataset, "train")).isdisjoint(expected)
    assert dataset.facts.characters == dataset.facts.train_characters + dataset.facts.valid_characters
    assert dataset.facts.characters == sum(map(len, texts(dataset, "train") + expected))


def test_the_choice_does_not_move_when_documents_are_added(tmp_path):
    few = texts(prepare([folder_of(tmp_path / "a", 40)], kind="char"), "valid")
    many = texts(prepare([folder_of(tmp_path / "b", 80)], kind="char"), "valid")
    assert set(few) <= set(many)


def test_few_documents_are_cut_into_blocks_and_nothing_is_lost(tmp_path):
    text = "".join(SENTENCE.format(n) for n in range(300)) + "1" * 4000
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    dataset = prepare([str(tmp_path / "a.txt")], kind="char")
    train, valid = texts(dataset, "train"), texts(dataset, "valid")
    assert sum(map(len, train + valid)) == len(text)
    assert 0 < sum(map(len, valid)) < 0.3 * len(text)
    assert all(piece in text for piece in train + valid)
    rebuilt = sorted(train + valid, key=text.index) if len(set(train + valid)) == len(train + valid) else None
    assert rebuilt is None or "".join(rebuilt) == text


def test_a_set_s_phrasings_stay_on_one_side(tmp_path):
    rows = [{"ask": [f"第{n}问", f"换个说法问{n}"], "answer": [f"答{n}。"]} for n in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    dataset = prepare([str(tmp_path / "a.jsonl")], kind="char")
    assert dataset.has_dialogue
    valid = texts(dataset, "valid")
    held_out = [n for n in range(60) if hash_share(f"第{n}问") < HELD_OUT_SHARE]
    assert len(valid) == 2 * len(held_out) > 0


def test_marks_open_documents_questions_and_answers(tmp_path):
    rows = [{"turns": [["问", "甲"], ["答", "乙"], ["问", "丙"], ["答", "丁"]]}] * 30
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    dataset = prepare([str(tmp_path / "a.jsonl")], kind="char", valid=[str(tmp_path / "a.jsonl")])
    t = dataset.tokenizer
    [甲, 乙, 丙, 丁] = [t.encode(c)[0] for c in "甲乙丙丁"]
    expected = [t.document, t.ask, 甲, t.answer, 乙, t.ask, 丙, t.answer, 丁]
    assert list(dataset.tokens("train").document(0))[: len(expected)] == expected


def test_a_text_of_ones_own_to_validate_keeps_all_for_training(tmp_path):
    (tmp_path / "v.txt").write_text("别的文字。" * 30, encoding="utf-8")
    dataset = prepare([folder_of(tmp_path / "a", 30)], kind="char", valid=[str(tmp_path / "v.txt")])
    assert texts(dataset, "valid") == ["别的文字。" * 30]
    assert len(texts(dataset, "train")) == 30


def test_what_was_prepared_is_found_again_and_changes_are_seen(tmp_path):
    source = folder_of(tmp_path / "a", 30)
    first = prepare([source], kind="char")
    assert prepare([source], kind="char").key == first.key
    assert texts(open_dataset(first.key, [], []), "valid") == texts(first, "valid")
    assert prepare([source], kind="subword").key != first.key
    (tmp_path / "a" / "000.txt").write_text("改了。" * 50, encoding="utf-8")
    assert prepare([source], kind="char").key != first.key
    with pytest.raises(FileNotFoundError):
        open_dataset("gone", [], [])
    assert not list(cache.folder().glob("reading-*"))


def test_the_same_text_from_elsewhere_says_where_it_is_from(tmp_path):
    sources = [folder_of(tmp_path / name, 30) for name in ("a", "b")]
    datasets = [prepare([source], kind="char") for source in sources]
    assert [dataset.facts.sources for dataset in datasets] == [[source] for source in sources]
    assert datasets[0].key == datasets[1].key


def test_two_who_prepare_the_same_leave_no_handle(tmp_path):
    key = prepare([folder_of(tmp_path / "a", 30)], kind="char").key
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with cache.making() as temporary:
            (temporary / "made").mkdir()
            os.close(cache.publish(temporary / "made", key))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("documents", [21, 35, 90])
def test_of_a_long_text_as_much_is_learned_from_as_may_be_and_from_everywhere(tmp_path, monkeypatch, documents):
    monkeypatch.setitem(dataset.SAMPLED, "subword", 20_000)
    source = folder_of(tmp_path / "a", 0)
    for n in range(documents):
        (tmp_path / "a" / f"{n:03}.txt").write_text(chr(0x4E00 + n) * 1000, encoding="utf-8")
    spool = Spool.write(read_corpus([source]), tmp_path / "spool")
    sample = "".join(dataset._spread_sample(Split.of(spool), spool, "subword"))
    assert 0.7 * min(20_000, 1000 * documents) <= len(sample) <= 20_000
    assert max(sample) >= chr(0x4E00 + documents - 9)


def test_too_little_text_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("字", encoding="utf-8")
    with pytest.raises(CorpusError, match="only 1 characters"):
        prepare([str(tmp_path / "a.txt")], kind="char")


def test_what_was_read_is_said(tmp_path):
    source = folder_of(tmp_path / "a", 30)
    (tmp_path / "a" / "x.txt").write_bytes((SENTENCE * 9).encode("gb18030"))
    (tmp_path / "a" / "y.png").touch()
    said = []
    prepare([source], kind="char", say=said.append)
    assert "31 documents" in said[0]
    assert "1 in gb18030" in said[0]
    assert "skipped 1: y.png" in said[1]


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr("charrnn.parallel.TOGETHER", 1 << 13)  # what is on its way would be most of it

    def peak(megabytes: int) -> int:
        path = tmp_path / f"{megabytes}.txt"
        path.write_text(SENTENCE * (megabytes * 14_000), encoding="utf-8")
        tracemalloc.start()
        prepare([str(path)], kind="char")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1)  # what is imported
    assert peak(4) < peak(1) + 2_000_000


def test_subwords_where_there_is_text_enough_and_they_are_longer_than_characters(tmp_path, monkeypatch):
    monkeypatch.setattr("charrnn.dataset.SUBWORDS_FROM", 20_000)
    monkeypatch.setattr("charrnn.dataset.ALWAYS_FROM", 40_000)
    rng = random.Random(1)
    characters = [chr(0x4E00 + i) for i in range(300)]
    words = ["".join(rng.choices(characters, k=3)) for _ in range(300)]
    for name, pieces, expected in (("words", words, "subword"), ("verse", characters, "char")):
        text = "".join(rng.choices(pieces, k=50_000 // len(pieces[0])))
        for length, kind in ((30_000, expected), (10_000, "char"), (45_000, "subword")):
            (tmp_path / f"{name}.txt").write_text("\n".join(textwrap.wrap(text[:length], 60)), encoding="utf-8")
            assert prepare([str(tmp_path / f"{name}.txt")], kind="auto").tokenizer.kind == kind
    (tmp_path / "asked.jsonl").write_text(json.dumps({"ask": ["何也"], "answer": [text[:30_000]]}), encoding="utf-8")
    both = [str(tmp_path / "verse.txt"), str(tmp_path / "asked.jsonl")]
    (tmp_path / "verse.txt").write_text("诗", encoding="utf-8")
    assert prepare(both, kind="auto").tokenizer.kind == "subword"


def aged(path, seconds=10.0):
    """As if its files had been written so long ago."""
    for file in path.rglob("*"):
        stamp = file.stat().st_mtime - seconds
        os.utime(file, (stamp, stamp))


def test_files_that_did_not_change_are_not_read_again(tmp_path, monkeypatch):
    source, said = folder_of(tmp_path / "a", 30), []
    aged(tmp_path / "a")
    first = prepare([source], kind="char")
    with monkeypatch.context() as unread:
        unread.setattr("charrnn.dataset.read_corpus", lambda *_, **__: pytest.fail("it was read again"))
        again = prepare([source], kind="char", say=said.append)
    assert again.key == first.key
    assert again.facts == first.facts
    assert said == ["read before: 30 documents, 16,600 characters"]
    for change in (
        lambda: (tmp_path / "a" / "000.txt").write_text("改了。" * 50, encoding="utf-8"),
        lambda: (tmp_path / "a" / "000.txt").rename(tmp_path / "a" / "100.txt"),
        lambda: os.utime(tmp_path / "a" / "001.txt", (1, 1)),
        lambda: (tmp_path / "a" / "new.txt").write_text("新的。" * 50, encoding="utf-8"),
    ):
        change()
        aged(tmp_path / "a", 3)
        said.clear()
        prepare([source], kind="char", say=said.append)
        assert said[0].startswith("read 3")
    said.clear()
    prepare([source], kind="char", valid=[source], say=said.append)
    assert said[0].startswith("read 31")


def test_files_written_just_now_are_read_again(tmp_path):
    source, said = folder_of(tmp_path / "a", 30), []
    for _ in range(2):
        prepare([source], kind="char", say=said.append)
    assert [line.split()[0] for line in said] == ["read", "read"]
    assert said[0] == said[1]


def test_what_is_longest_unused_goes_where_there_is_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    keys = [prepare([folder_of(tmp_path / str(n), 30)], kind="char").key for n in range(2)]
    keys.append(prepare([folder_of(tmp_path / "2", 60)], kind="char").key)
    assert {entry.key for entry in cache.entries()} == {keys[0], keys[2]}  # the first two are the same text
    monkeypatch.setenv("CHARRNN_CACHE_GIB", "0")
    cache.use(keys[0])
    assert [entry.key for entry in cache.entries()] == [keys[0]]  # not what is used now
    monkeypatch.setenv("CHARRNN_CACHE_GIB", "much")
    with pytest.raises(UsageError, match="CHARRNN_CACHE_GIB"):
        cache.use(keys[0])
    in_use = open_dataset(keys[0], [], [])
    assert cache.clear() == (0, cache.entries()[0].size)
    assert texts(in_use, "valid")
    del in_use
    assert cache.clear()[0] > 0
    assert cache.entries() == []


def test_what_a_killed_process_was_making_is_removed_by_the_next_and_what_another_is_making_is_not(tmp_path):
    source = folder_of(tmp_path / "a", 30)
    left, young = (cache.folder() / f"{cache.MAKING}{name}" for name in ("left", "young"))
    with cache.making() as making:
        for place in (left, young):
            place.mkdir()
        for place in (left, making):
            os.utime(place, (1, 1))
        prepare([source], kind="char")
        assert not left.exists()
        assert young.exists()
        assert making.exists()
    young.rmdir()


def test_a_cache_made_to_harm_is_no_more_than_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    source = folder_of(tmp_path / "a", 30)
    aged(tmp_path / "a")
    first = prepare([source], kind="char")
    (seen,) = (cache.folder() / "seen").iterdir()
    for harm in (b"", b"../../etc", b"\xff\xfe", b"x" * 5000, b"gone"):
        seen.write_bytes(harm)
        assert prepare([source], kind="char").key == first.key
    for name, content in (("x", "not a folder"), ("y/dataset.json", "{"), ("z/dataset.json", '{"facts": 3}')):
        (cache.folder() / name).parent.mkdir(exist_ok=True)
        (cache.folder() / name).write_text(content, encoding="utf-8")
    assert [entry.key for entry in cache.entries()] == [first.key]


@pytest.mark.skipif(os.name == "nt", reason="it has no flock")
def test_a_file_system_without_locks_does_without(tmp_path, monkeypatch):
    import fcntl

    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    source = folder_of(tmp_path / "a", 30)
    assert prepare([source], kind="char").key == prepare([source], kind="char").key
    assert cache.clear()[0] > 0


def test_the_command_shows_and_clears_it(charrnn, tmp_path):
    folder_of(tmp_path / "文", 30)
    charrnn("train", "文", "--steps", "2", "--layers", "1", "--width", "16")
    shown = charrnn("cache").stdout.decode()
    assert "1 texts" in shown
    assert "文" in shown
    record = json.loads(charrnn("cache", "--json").stdout)
    assert record["texts"][0]["characters"] == 16_600
    assert "removed" in charrnn("cache", "--clear").stdout.decode()
    assert json.loads(charrnn("cache", "--json").stdout)["texts"] == []
