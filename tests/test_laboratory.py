"""The laboratory without a screen: any token looked at, answers branched, temperatures side by side."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

import charrnn as package
from charrnn.config import SamplingConfig
from charrnn.errors import UsageError
from charrnn.history import Conversations
from charrnn.recording import Recorder
from charrnn.sampling import sample
from tests.test_generation import talker, writer  # noqa: F401

SAMPLING = SamplingConfig(temperature=1.2, seed=5)


@pytest.fixture(scope="module")
def shipped():
    return package.load()


@pytest.fixture
def base(tmp_path):
    opened = Conversations(tmp_path / "c.sqlite")
    yield opened
    opened.close()


def said(session, prompt, mode="chat", most=60, changes=()):
    """A turn; the settings change after so many tokens."""
    session.mode, changes = mode, dict(changes)
    pieces = session.say(prompt)
    for n, _ in enumerate(itertools.islice(pieces, most), 1):
        session.sampling = changes.get(n, session.sampling)
    pieces.close()
    return session.turns[-1]


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("mode", ["chat", "continue"])
def test_every_token_is_drawn_again_by_its_number(shipped, mode, memory):
    """Drafts, filters, a penalty, a change in mid-answer: what is looked at is what was drawn from."""
    session = shipped.chat(replace(SAMPLING, top_p=0.95, repetition_penalty=1.1))
    session.remembers = memory
    said(session, "温度是什么？", mode, 20)
    turn = said(session, "什么是隐藏状态？", mode, 150, [(40, replace(SAMPLING, temperature=0.4))])
    numbers = [*range(len(turn.tokens))][::-1]
    for number in numbers[:40] + numbers[::7]:
        seen = session.look_at(turn, number)
        prospect = seen.place.prospects.under(seen.sampling)
        rank = prospect.choice(turn.uniforms[number])
        assert prospect.ids[rank] == seen.token == turn.tokens[number]
        assert -math.log2(prospect.model[rank]) == pytest.approx(turn.surprises[number], abs=1e-3)
        assert seen.sampling.temperature == (0.4 if number >= 40 and len(turn.changes) > 1 else 1.2)
        assert (prospect.network is None) is not memory
        below, above = prospect.turns(turn.uniforms[number], rank)
        for crossing, step in ((below, -1), (above, 1)):
            if crossing is not None:
                beyond = prospect.at(crossing * (1 + step * 1e-4))
                assert (beyond.choice(turn.uniforms[number]) - rank) * step > 0


def test_the_runs_of_an_answer_are_its_text(shipped):
    turn = said(shipped.chat(SAMPLING), "写一句", "continue", 300)
    runs = list(turn.runs())
    assert "".join(text for text, _ in runs) == turn.answer
    assert sum(bits for _, bits in runs) == pytest.approx(turn.bits, rel=1e-4)
    turn.lengths.pop()
    assert [text for text, _ in turn.runs()] == [turn.answer]


@pytest.mark.parametrize("mode", ["chat", "continue"])
def test_a_branch_goes_on_from_a_token_chosen_by_hand(shipped, mode):
    session = shipped.chat(SAMPLING)
    old = said(session, "什么是隐藏状态？", mode)
    seen = session.look_at(old, 10)
    token = next(int(id) for id in seen.place.prospects.under(SAMPLING).ids if id not in (seen.token, *range(8)))
    found = []
    for _ in range(2):
        pieces = session.branch(10, token)
        list(itertools.islice(pieces, 30))
        pieces.close()
        branch = session.turns[-1]
        assert branch.tokens[:11].tolist() == [*old.tokens[:10], token]
        assert branch.answer.startswith(old.answer[: sum(old.lengths[:10])])
        assert branch.given == 11
        assert branch.branched == sum(old.lengths[:10])
        assert branch.rate < 1e5
        assert math.isnan(branch.uniforms[10])
        assert branch.uniforms[:10] == old.uniforms[:10]
        assert session.look_at(branch, 10).token == token
        found.append(branch.tokens.tolist())
        session.choose(next(turn for turn in branch.others if turn is old))
    assert found[0] == found[1]
    # From its record alone.
    stream = shipped.stream()
    stream.read_text(old.prompt) if mode == "continue" else stream.ask(old.prompt)
    stream.recall(branch.tokens[: branch.given].tolist(), "")
    rng = np.random.default_rng([branch.seed, branch.given])
    for token in branch.tokens[branch.given :]:
        logits = stream.logits.copy()
        logits[sorted(session._barred(mode))] = -np.inf
        assert sample(logits, [], branch.in_force(11).sampling, rng.random())[0] == token
        stream.read([token])


def test_only_a_beginning_that_was_drafted_is_called_so(shipped):
    session = shipped.chat(SAMPLING)
    list(session.say("什么是隐藏状态？"))
    token = next(t for t in session.look_at(session.turns[0], 3).place.names if t != session.turns[0].tokens[3])
    list(session.branch(3, token))
    (turn,) = session.turns
    assert [session.look_at(turn, number).drafted for number in (2, 3, 4, 9)] == [True, True, False, False]
    assert session.look_at(turn.others[0], 9).drafted


def test_a_branch_to_the_end_ends_there(shipped):
    session = shipped.chat(SAMPLING)
    old = said(session, "什么是隐藏状态？")
    assert list(session.branch(5, shipped.tokenizer.document)) == []
    (turn,) = session.turns
    assert turn.tokens == old.tokens[:5]
    assert turn.others == [old]
    assert not turn.stopped
    assert turn.branched == turn.characters
    list(session.say("那温度呢？"))


def test_a_branch_in_the_middle_of_a_character(writer):  # noqa: F811
    session = writer.chat(SAMPLING)
    session.mode = "continue"
    pieces = session.say("床前")
    next(pieces)
    pieces.close()
    (turn,) = session.turns
    bytes_of = writer.tokenizer.encode("𠀀")
    assert len(bytes_of) == 4
    for place, byte in enumerate(bytes_of):
        branch = session.branch(place, byte)
        next(branch)
        branch.close()
        turn = session.turns[-1]
    assert turn.tokens[:4].tolist() == bytes_of
    assert turn.answer.startswith("𠀀")
    assert turn.lengths[:4].tolist() == [0, 0, 0, 1]


def test_what_cannot_be_looked_at_says_why(shipped, writer):  # noqa: F811
    session = shipped.chat(SAMPLING)
    turn = said(session, "你好")
    for number in (-1, len(turn.tokens)):
        with pytest.raises(UsageError, match="tokens"):
            session.look_at(turn, number)
    with pytest.raises(UsageError, match="another model"):
        writer.chat(SAMPLING).look_at(turn, 0)
    with pytest.raises(UsageError, match="may not stand"):
        list(session.branch(0, shipped.tokenizer.document))
    turn.uniforms.pop()
    with pytest.raises(UsageError, match="earlier version"):
        session.look_at(turn, 0)
    turn.uniforms.append(0.5)
    turn.before = None
    with pytest.raises(UsageError, match="too long ago"):
        session.look_at(turn, 0)


@pytest.mark.parametrize("mode", ["chat", "continue"])
def test_a_sweep_writes_what_each_temperature_would_write_alone(shipped, mode):
    session = shipped.chat(SAMPLING, drafts=1)
    said(session, "你好", mode, 10)
    temperatures = [0.0, 0.5, 1.1, 2.0]
    order = [n for n, _ in itertools.islice(session.sweep("温度", temperatures, 40), 8)]
    assert order == [0, 1, 2, 3] * 2
    session.take_back()
    list(session.sweep("温度", temperatures, 40))
    columns = session.turns[-1].alternatives
    assert [turn.temperature for turn in columns] == temperatures
    assert session.turns[-1].temperature == 1.1  # the nearest to 1.2 stands
    for column in columns:
        alone = shipped.chat(SAMPLING, drafts=1)
        said(alone, "你好", mode, 10)
        alone.sampling = column.changes[0].sampling
        assert said(alone, "温度", mode, len(column.tokens)).tokens == column.tokens
        assert column.characters >= 40 or not column.stopped
        if column is not session.turns[-1]:
            session.choose(column)
        session.sampling = alone.sampling
        assert said(session, "后来", mode).tokens == said(alone, "后来", mode).tokens
        session.take_back()


def test_a_sweep_of_the_last_prompt_stands_beside_its_answer(shipped, base):
    recorder = Recorder(shipped.chat(SAMPLING), base)
    session = recorder.session
    list(recorder.say("你好"))
    list(recorder.say("温度"))
    old = session.turns[-1]
    list(recorder.sweep(None, [0.5, 1.2], 30, seed=9))
    answers = session.turns[-1].alternatives
    assert answers[0] is old
    assert [turn.temperature for turn in answers] == [1.2, 0.5, 1.2]
    assert [turn.seed for turn in answers] == [5, 9, 9]
    assert [len(turn.answers) for turn in base.turns(recorder.conversation)] == [1, 3]
    recorder.choose(old)
    plain = shipped.chat(SAMPLING)
    for prompt in ("你好", "温度"):
        list(plain.say(prompt))
    assert [piece.token for piece in recorder.say("后来")] == [piece.token for piece in plain.say("后来")]


def test_a_sweep_is_saved_with_all_its_answers(shipped, base):
    recorder = Recorder(shipped.chat(SAMPLING), base)
    list(recorder.sweep("什么是隐藏状态？", [0.2, 1.0, 1.3], 30))
    (saved,) = base.turns(recorder.conversation)
    assert saved.standing.temperature == 1.3
    columns = saved.standing.alternatives
    assert [turn.temperature for turn in columns] == [0.2, 1.0, 1.3]
    assert [turn.uniforms for turn in columns] == [turn.uniforms for turn in recorder.session.turns[0].alternatives]
    recorder.choose(recorder.session.turns[0].alternatives[0])
    assert base.turns(recorder.conversation)[0].standing.temperature == 0.2
    restarted = Recorder(shipped.chat(SAMPLING), base)
    restarted.open(recorder.conversation, base.turns(recorder.conversation))
    turn = restarted.session.turns[0]
    assert restarted.session.look_at(turn, 3).token == turn.tokens[3]


def test_a_sweep_leaves_the_places_of_older_answers_alone(shipped, base):
    """In continue mode, reopened, so that older answers have no mark of their own in memory."""
    recorder = Recorder(shipped.chat(SAMPLING), base)
    recorder.session.mode = "continue"
    for again in (False, True):
        pieces = recorder.say_again() if again else recorder.say("循环神经网络")
        list(itertools.islice(pieces, 30))
        pieces.close()
    reopened = Recorder(shipped.chat(SAMPLING), base)
    reopened.open(recorder.conversation, base.turns(recorder.conversation))
    (before,) = base.turns(recorder.conversation)
    list(itertools.islice(reopened.sweep(None, [0.5, 1.0], 20), 200))
    (after,) = base.turns(recorder.conversation)
    assert len(after.answers) == 4
    for number, answer in before.answers.items():
        assert after.answers[number].place == answer.place
        assert after.answers[number].tokens == answer.tokens


def test_a_sweep_is_saved_while_it_is_written(shipped, base, monkeypatch):
    monkeypatch.setattr("charrnn.recording.SAVE_EVERY", 0)
    recorder = Recorder(shipped.chat(SAMPLING), base)
    pieces = recorder.sweep("什么是隐藏状态？", [0.2, 1.0], 30)
    list(itertools.islice(pieces, 20))
    (saved,) = base.turns(recorder.conversation)
    assert min(len(turn.tokens) for turn in saved.standing.alternatives) >= 9
    pieces.close()
    assert base.listed("隐藏")[0].id == recorder.conversation


def test_a_branch_of_an_earlier_turn_is_a_new_conversation(shipped, base):
    recorder = Recorder(shipped.chat(SAMPLING), base)
    for prompt in ("你好", "什么是隐藏状态？", "那温度呢？"):
        list(recorder.say(prompt))
    old = recorder.conversation
    kept = [turn.standing.tokens for turn in base.turns(old)]
    first, second, _ = recorder.session.turns
    token = int(recorder.session.look_at(second, 4).place.prospects.under(SAMPLING).ids[7])
    list(recorder.branch(second, 4, token))
    assert recorder.conversation != old
    assert [turn.standing.tokens for turn in base.turns(old)] == kept
    one, two = base.turns(recorder.conversation)
    assert one.standing.tokens == first.tokens
    assert two.standing.tokens[:5].tolist() == [*second.tokens[:4], token]
    assert [turn.tokens for turn in two.standing.others] == [second.tokens]
    list(recorder.say("再说一次"))
    assert len(base.turns(recorder.conversation)) == 3
    # And of the last in the same one.
    number = recorder.conversation
    list(recorder.branch(recorder.session.turns[-1], 2, token))
    assert recorder.conversation == number
    assert len(base.turns(number)[-1].answers) == 2


def test_an_earlier_answer_is_not_branched_from_where_that_would_lose_what_came_after(shipped):
    recorder = Recorder(shipped.chat(SAMPLING), None)
    for prompt in ("你好", "什么是隐藏状态？"):
        list(recorder.say(prompt))
    first, last = recorder.session.turns
    with pytest.raises(UsageError, match="would be lost"):
        recorder.branch(first, 1, first.tokens[1])
    assert recorder.session.turns == [first, last]
    list(recorder.branch(last, 1, last.tokens[1]))
    with pytest.raises(UsageError, match="no longer"):
        recorder.branch(last, 1, last.tokens[1])


def test_the_way_to_a_far_token_is_stopped(shipped):
    session = shipped.chat(SAMPLING)
    turn = said(session, "循环神经网络", "continue", 700)
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 2

    assert session.look_at(turn, 690, stop) is None
    assert len(calls) == 3
    assert session.look_at(turn, 690).token == turn.tokens[690]


def test_changing_the_temperature_in_mid_answer_is_two_answers_joined_by_state(shipped):
    hot, cold = replace(SAMPLING, temperature=1.5), replace(SAMPLING, temperature=0.3)
    turn = said(shipped.chat(hot), "循环神经网络", "continue", 60, [(25, cold)])
    stream = shipped.stream()
    stream.read_text("循环神经网络")
    rng, barred, found = np.random.default_rng(5), shipped.tokenizer.unwritten, []
    for config, count in ((hot, 25), (cold, 35)):
        pieces = stream.generate(lambda c=config: c, rng, barred=barred)
        found += [piece.token for piece in itertools.islice(pieces, count)]
    assert turn.tokens.tolist() == found


def test_an_answer_that_goes_round_in_circles_ends(shipped, monkeypatch):
    monkeypatch.setattr("charrnn.chat.LONGEST_ANSWER", 20)
    session = shipped.chat(SAMPLING)
    list(session.say("什么是隐藏状态？"))
    assert 20 <= session.turns[0].characters < 40
    assert session.turns[0].stopped


@pytest.mark.parametrize(("words", "mode"), [(["循环神经网络"], "continue"), (["什么是隐藏状态？", "--ask"], "chat")])
def test_the_command_says_why_each_token_came(charrnn, shipped, words, mode):
    words = ["look", *words, "--temperature", "0.8", "--seed", "3", "--length", "5"]
    record = json.loads(charrnn(*words, "--json").stdout)
    turn = said(shipped.chat(SamplingConfig(temperature=0.8, seed=3), drafts=1), words[1], mode, 5)
    assert record["text"] == turn.answer
    assert [token["uniform"] for token in record["tokens"]] == turn.uniforms.tolist()
    for token, bits in zip(record["tokens"], turn.surprises, strict=True):
        assert token["bits"] == pytest.approx(bits, abs=1e-3)
        assert token["above"] is None or token["above"]["temperature"] > 0.8
        assert token["below"] is None or token["below"]["temperature"] < 0.8
    lines = charrnn(*words).stdout.decode().splitlines()
    assert len(lines) == 6
    assert record["tokens"][0]["name"] in lines[1]
    assert "length" in charrnn(*words[:-1], "0", check=2).stderr.decode()
