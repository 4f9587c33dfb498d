"""Conversations saved while they happen, and gone on with as if the program had never ended."""

import itertools
import json
from dataclasses import replace

import pytest

import charrnn as package
from charrnn.config import SamplingConfig
from charrnn.errors import HistoryError
from charrnn.export import export
from charrnn.history import Conversations
from charrnn.recording import Recorder
from tests.test_generation import talker, writer  # noqa: F401

SAMPLING = SamplingConfig(temperature=1.2, seed=5)


@pytest.fixture
def base(tmp_path):
    opened = Conversations(tmp_path / "c.sqlite")
    yield opened
    opened.close()


def tokens(pieces, count=60):
    return [piece.token for piece in itertools.islice(pieces, count)]


def again(base, model, conversation):
    """The program started anew."""
    recorder = Recorder(model.chat(SAMPLING), base)
    recorder.open(conversation, base.turns(conversation))
    return recorder


@pytest.mark.parametrize(("name", "mode"), [("talker", "chat"), ("talker", "continue"), ("writer", "continue")])
def test_after_a_restart_it_goes_on_as_if_there_had_been_none(name, mode, base, request):
    model = request.getfixturevalue(name)
    prompts = ["3加一是几", "再说一次", "8加一是几"] if mode == "chat" else ["床前", "，", ""]
    session, recorder = model.chat(SAMPLING), Recorder(model.chat(SAMPLING), base)
    session.mode = recorder.session.mode = mode
    for prompt in prompts[:2]:
        assert tokens(session.say(prompt)) == tokens(recorder.say(prompt))
    restarted = again(base, model, recorder.conversation)
    restarted.session.mode = mode
    assert tokens(restarted.say(prompts[2])) == tokens(session.say(prompts[2]))
    for one in (session, restarted):  # and back, past the restart
        for _ in range(2):
            one.take_back()
    assert tokens(restarted.say("后来")) == tokens(session.say("后来"))
    saved = [turn.standing.prompt for turn in base.turns(recorder.conversation)]
    assert saved == [prompts[0], "后来"]


def test_alternatives_are_saved_and_chosen_after_a_restart(base, talker):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    first = tokens(recorder.say("3加一是几"))
    recorder.session.sampling = replace(SAMPLING, seed=6, temperature=4.0)
    second = tokens(recorder.say_again())
    assert first != second
    restarted = again(base, talker, recorder.conversation)
    (turn,) = restarted.session.turns
    assert turn.tokens.tolist() == second
    restarted.choose(turn.others[0])
    assert [t.standing.tokens.tolist() for t in base.turns(recorder.conversation)] == [first]
    plain = talker.chat(SAMPLING)
    tokens(plain.say("3加一是几"))
    assert tokens(restarted.say("再说一次")) == tokens(plain.say("再说一次"))


@pytest.mark.parametrize("drafts", [1, 8])
def test_an_answer_is_replayed_from_its_record(drafts, base):
    """By the model that ships, whose answers are long enough; settings that changed in mid-answer included."""
    model = package.load()
    recorder = Recorder(model.chat(SAMPLING, drafts), base)
    tokens(recorder.say("什么是隐藏状态？"))
    for n, _ in enumerate(itertools.islice(recorder.say("那温度呢？"), 50)):
        if n in (2, 25, 30):
            recorder.session.sampling = replace(SAMPLING, temperature=1.0 + n / 50, seed=None)
    first, second = (turn.standing for turn in base.turns(recorder.conversation))
    assert len({change.sampling.temperature for change in second.changes}) > 1
    replayed = model.chat(second.changes[0].sampling, second.drafts)
    replayed.restore([first])
    found, changes = [], {change.at: change.sampling for change in second.changes}
    for piece in itertools.islice(replayed.say(second.prompt), len(second.tokens)):
        found.append(piece.token)
        replayed.sampling = changes.get(len(found), replayed.sampling)
    assert found == second.tokens.tolist()


def test_a_streaming_answer_is_saved_as_it_grows(base, writer, monkeypatch):  # noqa: F811
    monkeypatch.setattr("charrnn.recording.SAVE_EVERY", 0)
    recorder = Recorder(writer.chat(SAMPLING), base)
    pieces = recorder.say("床前")
    for _ in range(20):
        next(pieces)
    (saved,) = base.turns(recorder.conversation)
    assert len(saved.standing.tokens) >= 19
    assert recorder.session.turns[0].answer.startswith(saved.standing.answer)
    pieces.close()
    assert base.turns(recorder.conversation)[0].standing.answer == recorder.session.turns[0].answer


def test_a_place_of_one_model_is_never_gone_to_by_another(base, talker, writer):  # noqa: F811
    """Reopened, so that the answer's place was gone to; then read by another model, and by the first again."""
    recorder = Recorder(talker.chat(SAMPLING), base)
    recorder.session.mode = "continue"
    tokens(recorder.say("床前"))
    reopened = again(base, talker, recorder.conversation)
    other, back = Recorder(writer.chat(SAMPLING), base), Recorder(talker.chat(SAMPLING), base)
    other.carry_on(reopened)
    expected = writer.stream()
    expected.read_text("床前")
    expected.read(writer.tokenizer.encode(recorder.session.turns[0].answer))
    assert abs(other.session._streams["continue"].logits - expected.logits).max() < 1e-4
    back.carry_on(other)
    back.session.mode = recorder.session.mode
    assert tokens(back.say("，")) == tokens(recorder.say("，"))


def test_a_conversation_deleted_meanwhile_begins_anew(base, talker):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    tokens(recorder.say("3加一是几"))
    base.delete(recorder.conversation)
    other = Conversations(base.path, first=False)
    number = other.begin("别的")
    other.close()
    tokens(recorder.say("再说一次"))
    assert recorder.trouble is None
    assert recorder.conversation not in (1, number)
    assert [turn.standing.prompt for turn in base.turns(recorder.conversation)] == ["再说一次"]


def test_what_could_not_be_saved_at_first_is_saved_later(base, talker, monkeypatch):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    real, calls = base.begin, []

    def begin(prompt):
        calls.append(prompt)
        if len(calls) == 1:
            raise HistoryError("locked")
        return real(prompt)

    monkeypatch.setattr(base, "begin", begin)
    found = tokens(recorder.say("3加一是几"))
    assert base.turns(recorder.conversation)[0].standing.tokens.tolist() == found


def test_another_model_reads_the_conversation_anew(base, talker, writer):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    tokens(recorder.say("3加一是几"))
    recorder.session.mode = "continue"
    tokens(recorder.say("床前"))
    other = Recorder(writer.chat(SAMPLING), base)
    other.carry_on(recorder)
    assert [turn.prompt for turn in other.session.turns] == ["3加一是几", "床前"]
    expected = writer.stream()
    expected.read_text("床前")
    expected.read(writer.tokenizer.encode(recorder.session.turns[1].answer))
    other.session.mode = "continue"
    found = other.session._streams["continue"].logits
    assert abs(found - expected.logits).max() < 1e-4
    tokens(other.say("明月"))
    assert len(base.turns(recorder.conversation)) == 3


def test_what_cannot_be_saved_does_not_stop_the_conversation(base, talker):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    base._base.execute("DROP TABLE answers")
    plain = talker.chat(SAMPLING)
    assert tokens(recorder.say("3加一是几")) == tokens(plain.say("3加一是几"))
    assert "answers" in recorder.trouble
    assert tokens(recorder.say_again()) == tokens(plain.say_again())
    recorder.take_back()


def test_places_made_to_harm_are_not_gone_to(base, writer):  # noqa: F811
    recorder = Recorder(writer.chat(SAMPLING), base)
    tokens(recorder.say("床前"))
    for place in (b"", b"junk", recorder.session.place(recorder.session.turns[0])[:-4], b"x"):
        base._base.execute("UPDATE answers SET place = ?", (place,))
        restarted = again(base, writer, recorder.conversation)
        expected = recorder.session._streams["continue"].logits
        assert abs(restarted.session._streams["continue"].logits - expected).max() < 1e-3


def test_export(base, talker, tmp_path):  # noqa: F811
    recorder = Recorder(talker.chat(SAMPLING), base)
    tokens(recorder.say("3加一/是几"))
    tokens(recorder.say_again())
    answer = recorder.session.turns[0]
    for number in ("", "-2"):
        markdown, record = export(base, recorder.conversation, tmp_path, "zh")
        assert markdown.name == f"3加一-是几{number}.md"
        assert record.name == f"3加一-是几{number}.json"
    text = markdown.read_text(encoding="utf-8")
    assert text.startswith("# 3加一/是几\n\n**问**\n\n3加一/是几\n\n**答**\n\n")
    assert answer.answer in text
    (turn,) = json.loads(record.read_text(encoding="utf-8"))["turns"]
    assert [a["tokens"] for a in turn["answers"] if a["stands"]] == [answer.tokens.tolist()]
    assert len(turn["answers"]) == 2
