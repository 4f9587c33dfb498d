"""Conversations in SQLite: search, migrations, damage, two programs at once."""

import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import SamplingConfig
from charrnn.database import MIGRATIONS
from charrnn.errors import HistoryError
from charrnn.export import write_texts
from charrnn.history import Conversations
from charrnn.turns import Change, Turn
from tests.conftest import environment


def a_turn(prompt="什么是隐藏状态？", answer="它是网络的记忆。", **settings):
    turn = Turn(settings.pop("mode", "chat"), prompt, [Change(0, 0, SamplingConfig(seed=3), False)], "m", time.time())
    turn.write(answer)
    turn.tokens.extend([5, 70000])
    for name, value in settings.items():
        setattr(turn, name, value)
    return turn


def save(base, *turns, conversation=None):
    conversation = base.begin(turns[0].prompt) if conversation is None else conversation
    for turn in turns:
        base.save_answer(base.add(conversation, turn)[1], turn, whole=True)
    return conversation


@pytest.fixture
def base(tmp_path):
    opened = Conversations(tmp_path / "c.sqlite")
    yield opened
    opened.close()


def test_a_turn_comes_back_as_it_was(base):
    changes = [
        Change(0, 0, SamplingConfig(seed=3, temperature=0.7, top_p=0.9), True),
        Change(4, 6, SamplingConfig(seed=3, temperature=1.3), False),
    ]
    turn = a_turn(changes=changes, drafts=8, characters=8, bits=12.5, seconds=0.25, stopped=False, place=b"\x00\xff")
    other = a_turn(answer="另一个。", began=turn.began - 1)
    conversation = base.begin(turn.prompt)
    number, first = base.add(conversation, other)
    _, second = base.add(conversation, turn, number)
    base.save_answer(second, turn, whole=True)
    (saved,) = base.turns(conversation)
    assert (saved.id, saved.stands) == (number, second)
    assert saved.standing.answer == turn.answer
    assert saved.standing.others == [saved.answers[first]]
    for name in ("mode", "prompt", "changes", "model", "began", "drafts", "tokens", "characters", "bits", "seconds"):
        assert getattr(saved.standing, name) == getattr(turn, name), name
    assert saved.standing.place == b"\x00\xff"
    assert not saved.standing.stopped
    base.choose(number, first)
    assert base.turns(conversation)[0].standing.answer == "另一个。"


@pytest.mark.parametrize(
    "words",
    [
        "藏",
        "隐藏",
        "隐藏状态",
        "态？",
        "网络的记忆",
        "RNN",
        "rnn",
        "ｒｎｎ",
        "🙂",
        "记忆 隐藏",
        "a_b",
        "5%",
        '"x"',
        "。",
    ],
)
def test_any_run_of_characters_is_found(base, words):
    wanted = save(base, a_turn("什么是隐藏状态？", '它是网络的记忆，RNN 🙂 a_b 5% "x"。'))
    save(base, a_turn("你好", "你好啊"))
    assert [item.id for item in base.listed(words)] == [wanted]
    assert base.count(words) == 1
    if " " not in words:
        assert words.casefold()[0] in base.listed(words)[0].snippet.casefold() or words == "ｒｎｎ"


@pytest.mark.parametrize("words", ["状藏", "记忆体", "axb", "隐藏 你好", "*", "AND", "“"])
def test_what_stands_nowhere_is_not_found(base, words):
    save(base, a_turn("什么是隐藏状态？", "它是网络的记忆，a_b。"))
    assert base.listed(words) == []


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=30), data=st.data())
def test_every_part_of_every_text_is_found(tmp_path_factory, text, data):
    base = Conversations(tmp_path_factory.mktemp("c") / "c.sqlite")
    number = save(base, a_turn("x", text))
    first = data.draw(st.integers(0, len(text) - 1))
    part = text[first : data.draw(st.integers(first + 1, len(text)))]
    assert part.split() == [] or [item.id for item in base.listed(part)] == [number]
    base.delete(number)
    assert base.count(part) == 0
    base.close()


def test_the_list_is_by_change_and_in_pages(base):
    numbers = [save(base, a_turn(f"第{n}个")) for n in range(7)]
    save(base, a_turn("再说"), conversation=numbers[2])
    order = [numbers[2], *(n for n in reversed(numbers) if n != numbers[2])]
    assert [item.id for item in base.listed()] == order
    assert [item.id for item in base.listed(first=2, most=3)] == order[2:5]
    assert base.listed()[0].turns == 2
    assert base.latest() == numbers[2]
    assert base.count() == 7


def test_renaming_and_deleting(base):
    number, other = save(base, a_turn("旧题")), save(base, a_turn("别的", "记忆"))
    base.rename(number, "新题 100%")
    assert base.title(number) == "新题 100%"
    assert [item.id for item in base.listed("题 100%")] == [number]
    base.delete(number)
    assert base.turns(number) == []
    assert base.title(number) == ""
    assert [item.id for item in base.listed("记忆")] == [other]
    for table in ("turns", "answers"):
        assert base._base.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 1


def test_a_turn_taken_back_is_gone(base):
    first, second = a_turn("甲"), a_turn("乙", "丙")
    number = save(base, first, second)
    base.remove_turn(base.turns(number)[1].id)
    assert [turn.standing.prompt for turn in base.turns(number)] == ["甲"]
    assert base.count("丙") == 0


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_every_earlier_version_is_brought_up(version, tmp_path):
    """Tables of that version, with an answer where it has any, opened by this one."""
    path = tmp_path / "c.sqlite"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        old.executescript(script)
    old.execute(f"PRAGMA user_version = {version}")
    if version:
        old.execute("INSERT INTO conversations VALUES (1, '旧题', 1, 1)")
        old.execute("INSERT INTO turns VALUES (1, 1, 'chat', '旧问题', 1)")
        record = (
            '{"model": "m", "began": 1, "drafts": 1, "characters": 3, "bits": 1, "seconds": 1, "stopped": false, '
            '"changes": [{"at": 0, "characters": 0, "remembers": false, "sampling": {"seed": 1}}]}'
        )
        old.execute("INSERT INTO answers (id, turn, text, record) VALUES (1, 1, '旧答案', ?)", (record,))
    old.commit()
    old.close()
    base = Conversations(path)
    assert base._base.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    if version:
        assert [item.title for item in base.listed("答案")] == ["旧题"]
        assert base.turns(1)[0].standing.answer == "旧答案"
    save(base, a_turn("新"))
    assert base.count("新") == 1
    base.close()


def test_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "c.sqlite"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.execute("CREATE TABLE t (x)")
    newer.commit()
    newer.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="newer charrnn"):
        Conversations(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["junk", "cut", "page"])
def test_a_damaged_file_is_set_aside_with_its_bytes(damage, tmp_path):
    path = tmp_path / "c.sqlite"
    base = Conversations(path)
    save(base, *(a_turn(f"问题{n}", "答" * 500) for n in range(50)))
    base._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()
    data = bytearray(path.read_bytes())
    if damage == "junk":
        data = bytearray(b"no database at all" * 400)
    elif damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[8192:12288] = b"\xa5" * 4096
    path.write_bytes(data)
    again = Conversations(path)
    assert again.set_aside is not None
    assert again.set_aside.read_bytes() == data
    assert again.count() == 0
    save(again, a_turn("新的"))
    again.close()
    assert Conversations(path).set_aside is None


def test_where_nothing_can_be_written_one_line_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match=r"c\.sqlite"):
        Conversations(tmp_path / "file" / "c.sqlite")


def test_a_full_disk_is_said_and_what_was_saved_stays(base):
    number = save(base, a_turn("甲"))
    base._base.execute(f"PRAGMA max_page_count = {base._base.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(HistoryError, match="full"):
        save(base, a_turn("乙", "长" * 100_000), conversation=number)
    assert base.turns(number)[0].standing.prompt == "甲"


def test_several_connections_write_at_once(tmp_path):
    path = tmp_path / "c.sqlite"
    Conversations(path).close()
    errors = []

    def write(name):
        try:
            base = Conversations(path)
            for n in range(20):
                save(base, a_turn(f"{name}{n}"))
            base.close()
        except HistoryError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "甲乙丙"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    base = Conversations(path)
    assert base.count() == 60
    base.close()


def test_two_connections_of_one_program_and_the_end_of_another(tmp_path):
    """Whoever ends last takes the log of what was written away: it must know of those who still write."""
    path = tmp_path / "c.sqlite"
    first = Conversations(path)
    save(first, a_turn("甲"))
    second = Conversations(path, first=False)
    code = "import sys; from pathlib import Path; from charrnn.history import Conversations\n"
    code += "base = Conversations(Path(sys.argv[1])); print(base.count()); base.close()"
    command = [sys.executable, "-c", code, str(path)]
    for there in ("1", "2"):
        run = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
        assert run.stdout.strip() == there
        save(first, a_turn("乙"))
    second.close()
    first.close()


def test_only_one_program_claims_them(tmp_path):
    path = tmp_path / "c.sqlite"
    code = "import sys; from pathlib import Path; from charrnn.history import Conversations\n"
    code += "print(Conversations(Path(sys.argv[1])).claim())"
    command = [sys.executable, "-c", code, str(path)]

    def other():
        run = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
        return run.stdout.strip()

    first = Conversations(path)
    assert first.claim()
    assert other() == "False"
    first.close()
    assert other() == "True"


def test_an_answer_cut_off_by_a_kill_is_found_after_all(tmp_path):
    """Nothing indexes a streaming answer; the next start does."""
    path = tmp_path / "c.sqlite"
    base = Conversations(path)
    number = base.begin("问")
    base.add(number, a_turn("问", "半截"))
    base._base.close()  # as a kill does
    again = Conversations(path)
    assert [item.id for item in again.listed("半截")] == [number]
    again.close()


def test_a_record_made_to_harm_is_one_line(base):
    number = save(base, a_turn("甲"))
    base._base.execute("UPDATE answers SET record = '{\"model\": 1}'")
    with pytest.raises(HistoryError, match="damaged"):
        base.turns(number)


CHANGE = '{"at": 0, "characters": 0, "remembers": false, "sampling": {"seed": 1}}'
RECORD = '{"model": "m", "began": 1, "drafts": 1, "characters": 3, "bits": 1, "seconds": 1, "stopped": false, '
RECORD += '"changes": [%s]}'


@pytest.mark.parametrize(
    "record",
    [
        "[" * 100_000,
        "3",
        RECORD % "",
        RECORD % CHANGE.replace("0", '"x"', 1),
        RECORD % CHANGE.replace("0", "4", 1),
        RECORD % CHANGE.replace("1", "1.5"),
        RECORD % CHANGE.replace('"seed"', '"se\\ned"'),
        RECORD.replace('"bits": 1', '"bits": null') % CHANGE,
        RECORD.replace('"began": 1', '"began": 1e999') % CHANGE,
        RECORD.replace('"bits": 1', '"_text": 1') % CHANGE,
        RECORD.replace('"bits": 1', '"given": 9') % CHANGE,
    ],
    ids=range(11),
)
def test_a_record_of_other_values_is_one_line(base, record):
    number = save(base, a_turn("甲"))
    base._base.execute("UPDATE answers SET record = ?", (record,))
    with pytest.raises(HistoryError, match="damaged") as error:
        base.turns(number)
    assert len(str(error.value).splitlines()) == 1


def test_a_record_may_hold_whole_numbers(base):
    number = save(base, a_turn("甲"))
    base._base.execute("UPDATE answers SET record = ?", (RECORD % CHANGE,))
    assert base.turns(number)[0].standing.began == 1.0


def test_a_time_that_no_calendar_has_is_the_first(base):
    save(base, a_turn("甲"))
    for wrong in ("9e999", "-9e999", "1e15"):
        base._base.execute(f"UPDATE conversations SET changed = {wrong}")
        assert base.listed()[0].changed == 0.0


def test_tables_that_are_not_ours_are_set_aside(tmp_path):
    path = tmp_path / "c.sqlite"
    loose = sqlite3.connect(path)
    for script in MIGRATIONS:
        loose.executescript(script.replace("STRICT", ""))
    loose.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    loose.execute("INSERT INTO turns (id, conversation, mode, prompt) VALUES (1, 1, 'chat', 'x')")
    loose.execute("INSERT INTO answers (turn, text, record) VALUES (1, 3, x'ff')")
    loose.commit()
    loose.close()
    base = Conversations(path)
    assert base.set_aside is not None
    assert base.count() == 0
    base.close()


def test_any_title_becomes_a_name_of_files(tmp_path):
    for title in ("\ud800", "../\udfff/..", "\0"):
        (file,) = write_texts(tmp_path, title, {".md": title})
        assert file.parent == tmp_path
        assert file.exists()


def test_a_schema_that_is_no_text_is_set_aside(tmp_path):
    path = tmp_path / "c.sqlite"
    harmed = sqlite3.connect(path)
    harmed.execute("CREATE TABLE zzzz (x)")
    harmed.commit()
    harmed.close()
    path.write_bytes(path.read_bytes().replace(b"TABLE zzzz", b"TABLE\xa2zzz("))
    base = Conversations(path)
    assert base.set_aside is not None
    base.close()
