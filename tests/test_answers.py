"""Which question is answered where: in the tokens, in a window of them, and the same in torch and numpy."""

import numpy as np
import pytest
import torch

from charrnn.answers import Answers
from charrnn.config import ModelConfig
from charrnn.corpus import Document, Part
from charrnn.engine import BUCKETS, Engine
from charrnn.evaluation import score_documents
from charrnn.forms import CELLS
from charrnn.heldout import HeldOut
from charrnn.network import Network
from charrnn.question import Asked, Bag
from charrnn.tokens import TokenFile, TokenWriter, Windows
from charrnn.training_state import weights_of
from charrnn.vocabulary import train_tokenizer

TURNS = [("ask", "门是什么"), ("answer", "门是开关。"), ("ask", "它有几扇"), ("answer", "三扇。")]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["门是什么？门是开关。它有几扇，三扇。" * 3], "char")


def write(folder, tokenizer, documents):
    """Documents of (role, text); the tokens of their turns."""
    marks = {"ask": [tokenizer.ask], "answer": [tokenizer.answer], "text": []}
    writer = TokenWriter(folder, "train", tokenizer.size)
    for turns in documents:
        writer.write([tokenizer.document])
        for number, (role, text) in enumerate(turns):
            if number:
                writer.end_turn()
            writer.write([*marks[role], *tokenizer.encode(text)])
        writer.end_document()
    writer.close()
    return TokenFile(folder, "train", tokenizer.size, turns=True)


@pytest.fixture
def tokens(tokenizer, tmp_path):
    """A text, a conversation, and a text that begins in the middle of an answer."""
    return write(tmp_path, tokenizer, [[("text", "门是开关。" * 4)], TURNS, [("answer", "三扇。")]])


def test_an_answer_has_the_dialogue_before_it(tokens, tokenizer):
    answers = Answers(tokens, tokenizer, BUCKETS)
    assert [len(answers.of(turn).buckets) > 0 for turn in range(6)] == [False, False, True, False, True, False]
    assert tokenizer.decode(tokens.document(4).tolist()) == "三扇。"
    assert answers.of(2) == Asked(BUCKETS).ask("门是什么").bag()
    assert answers.of(4) == Asked(BUCKETS).ask("门是什么").answer("门是开关。").ask("它有几扇").bag()
    assert answers.prose().tolist() == [True, False, False, False, False, False]


def test_what_was_said_long_ago_is_forgotten(tokenizer, tmp_path):
    """Reading only the last questions gives the same bag as reading all."""
    turns = [(role, "门扇关三"[n % 4] * (n + 1)) for n in range(9) for role in ("ask", "answer")]
    answers = Answers(write(tmp_path, tokenizer, [turns]), tokenizer, BUCKETS)
    asked = Asked(BUCKETS)
    for turn, (role, text) in enumerate(turns):
        assert role == "ask" or answers.of(turn) == asked.bag()
        asked = asked.ask(text) if role == "ask" else asked.answer(text)


@pytest.mark.parametrize("window", [1, 3, 7, 100])
def test_windows_know_what_is_answered(tokens, tokenizer, window):
    """However it is cut: the positions of answers, each with its bag."""
    answers, windows = Answers(tokens, tokenizer, BUCKETS), Windows(tokens, batch=2, window=window, seed=3)
    for index in range(windows.windows):
        inputs, _ = windows.cut(0, index)
        where, bags = answers.at(windows.pieces(0, index), inputs.shape)
        for piece in windows.pieces(0, index):
            for offset in range(piece.length):
                place = piece.start + offset
                number = where[piece.position + offset, piece.stream]
                assert (bags[number - 1] if number else Bag.of([])) == answers.of(piece.document)
                assert inputs[piece.position + offset, piece.stream] == tokens.document(piece.document)[place]


def test_rare_runs_say_more(tokens, tokenizer):
    rarity = Answers(tokens, tokenizer, BUCKETS).rarity()
    door, unseen = Asked(BUCKETS).ask("门").bag().buckets[0], Asked(BUCKETS).ask("窗").bag().buckets[0]
    assert 0 < rarity[door] < rarity[unseen] == pytest.approx(1)


SHARP = {"sharpness": 0.9, "dialogue_sharpness": 0.5}


@pytest.mark.parametrize("cell", CELLS)
def test_a_dialogue_costs_the_same_in_torch_and_in_numpy(cell, tokens, tokenizer):
    torch.manual_seed(0)
    network = Network(ModelConfig(cell=cell, width=24, feedforward=16, summary=8, vocabulary=tokenizer.size, **SHARP))
    assert network.summary is not None
    with torch.no_grad():
        network.summary.to_head.weight.normal_()
        for name, parameter in network.named_parameters():
            if name.endswith(("w_out.weight", "w_out", "v_out")):
                parameter.normal_()
    engine = Engine(network.config, weights_of(network))
    document = Document("d", iter([Part(role, text) for role, text in TURNS]))
    expected = score_documents(engine, tokenizer, [document]).alone
    held_out = HeldOut(tokens, tokenizer)
    rows = [held_out._row(turn, 1, None) for turn in range(1, 5)]
    found = held_out._score(network, rows).alone
    assert (found.tokens, found.characters) == (expected.tokens, expected.characters)
    assert found.bits == pytest.approx(expected.bits, rel=1e-5)
    with torch.no_grad():
        network.summary.to_head.weight.zero_()
        network.summary.to_input.weight.zero_()
    assert held_out._score(network, rows).alone.bits != pytest.approx(expected.bits, rel=1e-3)


def test_an_answer_without_a_question_and_an_empty_question(tokenizer, tmp_path):
    """There is nothing to sum up, and both forms score it alike."""
    turns = [("answer", "三扇。"), ("ask", ""), ("answer", "门是开关。")]
    tokens = write(tmp_path, tokenizer, [turns])
    network = Network(ModelConfig(width=24, summary=8, vocabulary=tokenizer.size, **SHARP))
    document = Document("d", iter([Part(role, text) for role, text in turns]))
    expected = score_documents(Engine(network.config, weights_of(network)), tokenizer, [document]).alone
    found = HeldOut(tokens, tokenizer).exact_score(network).alone
    assert found.bits == pytest.approx(expected.bits, rel=1e-5)


def test_summaries_agree(tokenizer):
    network = Network(ModelConfig(width=24, summary=8, vocabulary=tokenizer.size, **SHARP))
    assert network.summary is not None
    engine = Engine(network.config, weights_of(network))
    bags = [Asked(BUCKETS).ask("门是什么").bag(), Asked(BUCKETS).ask("门").answer("开").ask("它有几扇").bag()]
    found = network.summary(bags).detach().numpy()
    np.testing.assert_allclose(found, [engine.summary(bag) for bag in bags], atol=1e-5)
