"""Generation and conversation with a small trained model."""

import itertools
import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import charrnn as package
from charrnn.chat import UNDONE
from charrnn.config import SamplingConfig, TrainingConfig
from charrnn.dataset import prepare
from charrnn.engine import BUCKETS
from charrnn.errors import ModelError, UsageError
from charrnn.generation import Choice, Piece, Stream, text_until
from charrnn.memory import EXPERTS, FEATURES, Gate, Memory, NGrams, sorted_by_context
from charrnn.question import Asked
from charrnn.sampling import sample
from charrnn.tokenizer import first_characters
from charrnn.training import Trainer
from charrnn.turns import Change, Turn

DIALOGUE = [
    {"ask": [f"{n}加一是几", f"比{n}大一的数"], "answer": [f"是{n + 1}。"], "keys": [], "topic": ""} for n in range(30)
]


def train(folder, sources, **settings):
    dataset = prepare([str(s) for s in sources], kind=settings.get("tokenizer", "char"))
    config = TrainingConfig(**{"layers": 1, "width": 32, "batch": 4, "window": 16, "threads": 1, "steps": 150,
                               "learning_rate": 0.01, **settings})  # fmt: skip
    list(Trainer.begin(config, dataset, folder, weights=None, started=0.0).run())
    return package.load(folder)


@pytest.fixture(scope="session")
def talker(tmp_path_factory):
    """A model that has read questions and answers."""
    folder = tmp_path_factory.mktemp("talker")
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(d, ensure_ascii=False) for d in DIALOGUE), encoding="utf-8")
    return train(folder / "model", [folder / "sums.jsonl"], steps=500, dropout=0.0)


@pytest.fixture(scope="session")
def writer(tmp_path_factory, corpus_file):
    """A model of subwords that has read a poem and no dialogue."""
    return train(tmp_path_factory.mktemp("writer") / "model", [corpus_file], tokenizer="subword", cell="gru")


def memory_of(text, model):
    """A memory of this text whose gate trusts it."""
    tokens, size = np.array(model.tokenizer.encode(text), np.uint16), model.config.vocabulary
    gate = Gate(
        np.zeros((FEATURES, 1), np.float32),
        np.zeros(1, np.float32),
        np.zeros((1, EXPERTS), np.float32),
        np.where(np.arange(EXPERTS) >= 2, 9, 0).astype(np.float32),
    )
    return Memory(NGrams(tokens, sorted_by_context(tokens), size), gate)


def most(pieces, count=60):
    """At most so many pieces: a small model may never end its answer."""
    return list(itertools.islice(pieces, count))


@pytest.fixture(params=["talker", "writer"])
def model(request):
    return request.getfixturevalue(request.param)


def test_the_same_seed_gives_the_same_text(model):
    one, two, other = ("".join(model.generate("床前", length=80, temperature=1.5, seed=s)) for s in (4, 4, 5))
    assert one == two != other
    assert len(one) == 80


def test_a_window_of_no_tokens_penalises_nothing(writer):
    penalised = {"repetition_penalty": 3.0, "seed": 4, "length": 60}
    none, plain = (
        "".join(writer.generate("床前", **settings))
        for settings in ({**penalised, "repetition_window": 0}, {**penalised, "repetition_penalty": 1.0})
    )
    assert none == plain != "".join(writer.generate("床前", **penalised))


def test_temperature_zero_does_not_look_at_the_seed(model):
    one, two = ("".join(model.generate("床前", length=40, temperature=0, seed=s)) for s in (1, 2))
    assert one == two


@settings(max_examples=25, deadline=None)
@given(prompt=st.text(max_size=40))
def test_any_prompt_works(writer, prompt):
    assert len("".join(writer.generate(prompt, length=5, seed=0))) == 5


@pytest.mark.parametrize(
    "prompt", ["", "\0", "▁", "𠮷野家", "👩‍👩‍👧", "<document><ask>", "\ud800", "a\r\nb\tc", "长" * 3000]
)
def test_strange_prompts_work(model, prompt):
    assert len("".join(model.generate(prompt, length=5, seed=0))) == 5


def test_a_prompt_is_read_as_one_text_however_it_is_cut(model):
    """The state after a prompt is that of its tokens one by one."""
    whole, steps = model.stream(), model.stream()
    ids = model.tokenizer.encode("床前明月光，疑是地上霜。" * 60)
    whole.read(ids)
    for id in ids:
        steps.read([id])
    np.testing.assert_allclose(whole.logits, steps.logits, atol=1e-4)


def test_surprise_is_minus_the_log_of_the_probability(model):
    """Summed over a continuation it is the score of that text after the prompt."""
    pieces = []
    for piece in model.pieces("床前明月光", SamplingConfig(seed=3, temperature=0.7)):
        if piece.token == model.tokenizer.document or len(pieces) == 30:
            break
        pieces.append(piece)
    ids = [p.token for p in pieces]
    stream = model.stream()
    stream.read_text("床前明月光")
    bits = 0.0
    for id in ids:
        logits = stream.logits.astype(np.float64)
        logits[[model.tokenizer.unknown, model.tokenizer.ask, model.tokenizer.answer]] = -np.inf
        bits -= (logits[id] - np.log(np.exp(logits).sum())) / math.log(2)
        stream.read([id])
    assert math.isclose(bits, sum(p.surprise for p in pieces), rel_tol=1e-5)


def test_an_answer_is_sampled_from_the_network_and_ends_by_itself(talker):
    session = talker.chat(SamplingConfig(temperature=0, seed=1))
    pieces = most(session.say("7加一是几"))
    turn = session.turns[0]
    assert turn.answer == "".join(p.text for p in pieces)
    assert turn.answer.endswith("。")
    assert not turn.stopped
    assert turn.characters == len(turn.answer)


def test_an_answer_begins_from_its_summary(talker):
    """The second answer step by step: a zero state, the mark, and with every step the summary of the dialogue."""
    sampling = SamplingConfig(temperature=0.9, seed=5)
    session = talker.chat(sampling, drafts=1)
    first = [p.token for p in most(session.say("3加一是几"))]
    second = [p.token for p in most(session.say("再说一次"))]
    tokenizer, engine = talker.tokenizer, talker.engine
    asked = Asked(BUCKETS).ask("3加一是几").answer(tokenizer.decode(first)).ask("再说一次")
    summary = engine.summary(asked.bag())
    h, state = engine.advance(np.array([[tokenizer.answer]]), engine.initial_state(), summary)
    rng, tokens, marks = np.random.default_rng(5), [], [tokenizer.document, tokenizer.ask, tokenizer.answer]
    for drawn in range(60):
        logits = engine.logits(h[0, 0])
        logits[[tokenizer.unknown, *(marks if drawn == 0 else [])]] = -np.inf
        token, _ = sample(logits, [], sampling, rng.random())
        if token in marks:
            break
        tokens.append(token)
        h, state = engine.advance(np.array([[token]]), state, summary)
    assert second == tokens


def test_a_stopped_answer_keeps_its_text_and_its_state(talker):
    session = talker.chat(SamplingConfig(seed=2))
    answer = session.say("4加一是几")
    texts = [next(answer).text for _ in range(2)]
    answer.close()
    assert session.turns[0].answer == "".join(texts)
    assert session.turns[0].stopped
    assert most(session.say("5加一是几"))


def test_the_temperature_changes_in_mid_answer(writer):
    """Greedy after some pieces is the greedy continuation of what stands there."""
    session = writer.chat(SamplingConfig(temperature=2.0, seed=9))
    answer = session.say("床前")
    begun = [next(answer) for _ in range(5)]
    session.sampling = SamplingConfig(temperature=0)
    rest = [next(answer).token for _ in range(10)]
    stream = writer.stream()
    stream.read_text("床前")
    stream.read([p.token for p in begun])
    barred = {writer.tokenizer.unknown, writer.tokenizer.ask, writer.tokenizer.answer}
    greedy = stream.generate(lambda: SamplingConfig(temperature=0), np.random.default_rng(0), barred=barred)
    assert rest == [next(greedy).token for _ in range(10)]


def test_a_model_without_dialogue_cannot_be_asked_but_continues(writer):
    session = writer.chat()
    assert session.mode == "continue"
    assert not session.can_chat
    answer = session.say("床前")
    assert "".join(next(answer).text for _ in range(8))
    session.mode = "chat"
    with pytest.raises(ModelError, match="read no dialogue"):
        next(session.say("你好"))


def test_what_another_model_wrote_stays_its(talker):
    """Also where this one has no such token."""
    turn = Turn("chat", "3加一是几", [Change(0, 0, SamplingConfig(seed=1), False)], "another model")
    turn.add(Piece("四", 10**6, 1.0, 0.5), 0.1)
    session = talker.chat()
    session.restore([turn])
    assert turn.model == "another model"
    session.reset()
    turn.model = talker.fingerprint
    session.restore([turn])
    assert turn.model == ""


def test_reset_begins_anew(talker):
    session = talker.chat(SamplingConfig(temperature=0))
    first = [p.token for p in most(session.say("3加一是几"))]
    most(session.say("9加一是几"))
    session.reset()
    assert session.turns == []
    assert [p.token for p in most(session.say("3加一是几"))] == first


def test_marks_are_never_shown(talker):
    text = "".join(talker.generate("", length=600, temperature=1.5, seed=1))
    assert not any(mark in text for mark in ("<document>", "<ask>", "<answer>", "<unk>"))


@pytest.mark.parametrize(
    ("texts", "stop", "expected"),
    [
        (["a", "b", "c"], "b", "a"), (["ab", "cd"], "bc", "a"), (["aab"], "ab", "a"), (["a", "b"], "", "ab"),
        (["x", "。", "y"], "。\n", "x。y"), (["ab", "ab", "c"], "abc", "ab"), (["q"], "qq", "q"),
    ],
)  # fmt: skip
def test_text_until_a_stop(texts, stop, expected):
    assert "".join(text_until(texts, stop)) == expected


@given(st.lists(st.text("ab", max_size=4), max_size=12), st.text("ab", min_size=1, max_size=4))
def test_text_until_is_partition(texts, stop):
    assert "".join(text_until(texts, stop)) == "".join(texts).partition(stop)[0]


def test_nothing_is_drawn_past_the_length():
    drawn = []

    def texts():
        for text in ("ab", "cd", "ef"):
            drawn.append(text)
            yield text

    assert list(first_characters(texts(), 3)) == ["ab", "c"]
    assert drawn == ["ab", "cd"]


def test_the_draft_that_tells_its_question_is_kept(talker):
    """Drafts as scripted: the one that is the question over again is as near as can be, whichever comes first."""
    tokenizer, question = talker.tokenizer, "三加一是几"
    texts = ["是4。", question, "比9大一的数", ""]
    stream = talker.stream()
    stream.ask(question)

    def choose(logits, drafted, drawn):
        ids = [*tokenizer.encode(texts[next(turns)]), tokenizer.ask]
        assert drafted == ids[:drawn]
        return Choice(ids[drawn], 0.0, 0.5, None)

    lengths = [len(tokenizer.encode(text)) for text in texts]
    turns = iter([b for drawn in range(99) for b in range(len(texts)) if drawn <= lengths[b]])
    steps = stream._best_beginning(stream._summary, len(texts), choose, {tokenizer.ask})
    assert tokenizer.decode([step.choice.token for step in steps[:-1]]) == question
    assert steps[-1].choice.token == tokenizer.ask


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_after_a_draft_the_stream_stands_where_its_text_ends(stop_after, talker):
    """Wherever it is stopped: as if the same tokens had been read one by one."""
    one, other = talker.stream(), talker.stream()
    one.ask("三加一是几")
    other.ask("三加一是几")
    barred = {talker.tokenizer.unknown}
    pieces = one.generate(lambda: SamplingConfig(temperature=1.5), np.random.default_rng(1), barred=barred, drafts=4)
    other.read([piece.token for piece in most(pieces, stop_after)])
    np.testing.assert_allclose(one.mark().state, other.mark().state, atol=1e-5)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    np.testing.assert_array_equal(one.mark().history, other.mark().history)


@pytest.mark.parametrize("remembers", [False, True])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_edits_lead_where_the_text_that_remains_leads(talker, remembers, data):
    """Read on, mark, go back, branch, and save, at random: as if what remains had been read from the start; and a place
    that is come back to is the same to the last bit."""
    memory = memory_of("三加一是几，是四。" * 9, talker) if remembers else None
    stream = Stream(talker.engine, talker.tokenizer, memory)
    streams = [(stream, [])]
    places = [(stream.mark(), [], stream.logits.tobytes())]
    token = st.integers(0, talker.config.vocabulary - 1)
    for edit in data.draw(st.lists(st.sampled_from(["read", "step", "mark", "back", "branch", "save"]), max_size=12)):
        at = data.draw(st.integers(0, len(streams) - 1))
        stream, read = streams[at]
        if edit in ("read", "step"):
            new = data.draw(st.lists(token, max_size=40)) if edit == "read" else [data.draw(token)]
            stream.read(new)
            streams[at] = stream, [*read, *new]
        elif edit == "mark":
            places.append((stream.mark(), read, stream.logits.tobytes()))
        else:
            place, read, logits = places[data.draw(st.integers(0, len(places) - 1))]
            if edit == "branch":
                stream = Stream(talker.engine, talker.tokenizer, memory)
                streams.append((stream, read))
                at = -1
            stream.go_to(pickle.loads(pickle.dumps(place)) if edit == "save" else place)
            streams[at] = stream, read
            assert stream.logits.tobytes() == logits
    for stream, read in streams:
        again = Stream(talker.engine, talker.tokenizer, memory)
        again.read(read)
        np.testing.assert_allclose(stream.mark().state, again.mark().state, atol=1e-4)
        np.testing.assert_allclose(stream.logits, again.logits, atol=1e-3)
        np.testing.assert_array_equal(stream.mark().history, again.mark().history)


def answer_of(session, question, count=60):
    return [piece.token for piece in most(session.say(question), count)]


def test_a_turn_taken_back_has_never_been(talker):
    sampling = SamplingConfig(temperature=0.9, seed=5)
    plain, undone = talker.chat(sampling), talker.chat(sampling)
    answer_of(plain, "3加一是几")
    answer_of(undone, "3加一是几")
    for question in ("9加一是几", "再说一次"):
        answer_of(undone, question, 3)
    assert [undone.take_back().prompt for _ in range(2)] == ["再说一次", "9加一是几"]
    assert answer_of(undone, "再说一次") == answer_of(plain, "再说一次")
    assert [turn.prompt for turn in undone.turns] == ["3加一是几", "再说一次"]


def test_nothing_said_cannot_be_taken_back(talker):
    session = talker.chat()
    for refused in (
        session.take_back,
        lambda: next(session.say_again()),
        lambda: session.choose(Turn("chat", "", 0, 1)),
    ):
        with pytest.raises(UsageError, match="nothing was said"):
            refused()


def test_alternatives_stand_in_the_same_place_and_any_can_be_chosen(talker):
    session = talker.chat(SamplingConfig(temperature=1.5, seed=1))
    answer_of(session, "3加一是几")
    first = session.turns[-1]
    session.sampling = replace(session.sampling, seed=2)
    again = most(session.say_again())
    second = session.turns[-1]
    assert second.others == [first]
    assert first.others == []
    fresh = talker.chat(SamplingConfig(temperature=1.5, seed=2))
    assert [piece.token for piece in again] == answer_of(fresh, "3加一是几")
    with pytest.raises(UsageError, match="no other answer"):
        session.choose(second)
    session.choose(first)
    assert session.turns == [first]
    assert first.others == [second]
    chosen = talker.chat(SamplingConfig(temperature=1.5, seed=1))
    answer_of(chosen, "3加一是几")
    chosen.sampling = session.sampling
    assert answer_of(session, "再说一次") == answer_of(chosen, "再说一次")


def test_turns_long_past_are_not_kept_ready_to_be_taken_back(writer):
    session = writer.chat(SamplingConfig(temperature=0))
    for _ in range(UNDONE + 3):
        next(session.say("床"))
    for _ in range(UNDONE):
        session.take_back()
    with pytest.raises(UsageError, match="nothing was said"):
        session.take_back()
    assert len(session.turns) == 3


def test_drafts_repeat_with_their_seed_and_do_nothing_to_the_greedy(talker):
    def answer(drafts, temperature, seed=1):
        session = talker.chat(SamplingConfig(temperature=temperature, seed=seed), drafts)
        return [piece.token for piece in most(session.say("三加一是几"))]

    assert answer(8, 1.0) == answer(8, 1.0) != answer(8, 1.0, seed=2)
    assert answer(8, 1.0) != answer(1, 1.0)
    assert answer(8, 0.0) == answer(1, 0.0)


def test_the_memory_has_its_say_from_the_next_token_on(talker):
    """Put in and taken away in mid-answer; away again, the stream is as if there had been none."""
    memory = memory_of("甲乙" * 40, talker)
    tokens = memory.ngrams.tokens
    bare, other = talker.stream(), talker.stream()
    a, b = tokens[:2].tolist()
    for stream in (bare, other):
        stream.read([a])
    other.memory = memory
    for stream in (bare, other):
        stream.read([b, a])
    assert other.logits.argmax() == b
    assert np.exp(other.logits).sum() == pytest.approx(1, abs=1e-4)
    assert np.exp(other.logits[b]) > 0.9
    other.memory = None
    for stream in (bare, other):
        stream.read([b])
    np.testing.assert_array_equal(bare.logits, other.logits)


def test_an_answer_that_was_made_to_harm_is_read_as_another_model_s(talker):
    """Tokens that the vocabulary has not, under this model's own name; and one that is never written."""
    session = talker.chat(SamplingConfig(seed=3))
    list(session.say("三加一是几"))
    (turn,) = session.turns
    tokens = turn.tokens[:]
    turn.tokens[0] = talker.tokenizer.unknown
    session.restore([turn])
    with pytest.raises(UsageError, match="damaged"):
        session.look_at(turn, 0)
    turn.tokens[0] = 4_000_000_000
    session.restore([turn])
    with pytest.raises(UsageError, match="another model"):
        session.look_at(turn, 0)
    turn.tokens[:] = tokens
    assert list(session.say_again())


def test_a_saved_place_of_huge_numbers_is_none(talker):
    stream = talker.stream()
    parts = load(stream.mark().to_bytes())
    assert stream.place_of(save(parts)) is not None
    for harm in (1e30, np.nan, -np.inf):
        assert stream.place_of(save({**parts, "state": np.full_like(parts["state"], harm)})) is None
