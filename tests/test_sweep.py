"""A sweep: its figures by hand, its random numbers, its formats."""

import csv
import itertools
import json
import math

import numpy as np
import pytest

import charrnn as package
from charrnn.config import SamplingConfig
from charrnn.console import BLOCKS, curve
from charrnn.errors import ModelError
from charrnn.generation import Piece
from charrnn.sweep import Column, distinct, divergence, longest_repeated, sweep, training_pairs
from charrnn.sweep_report import partings, table
from tests.test_generation import talker, writer  # noqa: F401


@pytest.mark.parametrize(
    ("text", "n", "share"), [("甲乙甲乙", 1, 0.5), ("甲乙甲乙", 2, 2 / 3), ("甲乙丙", 3, 1.0), ("甲", 2, math.nan)]
)
def test_distinct_by_hand(text, n, share):
    assert distinct(text, n) == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("甲", 0), ("甲乙丙", 0), ("甲乙甲", 1), ("甲乙丙甲乙", 2), ("啊啊啊啊", 3), ("一二三四一二三五", 3)],
)
def test_the_longest_repeated_run_by_hand(text, length):
    assert longest_repeated(text) == length


@pytest.mark.parametrize(
    ("a", "b", "place"), [("甲乙", "甲丙", 1), ("甲", "甲乙", None), ("", "甲", None), ("子", "丑", 0)]
)
def test_divergence_by_hand(a, b, place):
    assert divergence(a, b) == place


def test_the_share_of_known_pairs_by_hand():
    column = Column(SamplingConfig(), 9, {"甲乙"})
    assert column.seen is None
    assert math.isnan(column.entropy)
    column.add(Piece("甲乙丙", 1, 6.0, 0.5))
    assert column.seen == 0.5
    assert column.surprise == 2.0
    column.add(Piece("丁" * 20, 1, 6.0, 0.5))
    assert column.text == "甲乙丙丁丁丁丁丁丁"


def test_columns_part_only_where_temperature_decides(writer):  # noqa: F811
    """The same seed: each text is that of `generate`; each draw by the same number until two columns part."""
    columns = sweep(writer, "床前", [0.0, 0.5, 0.50001, 1.5], SamplingConfig(seed=4), 60)
    for column in columns:
        assert column.text == "".join(writer.generate("床前", length=60, sampling=column.sampling))
    assert columns[1].text == columns[2].text
    assert partings(columns)[2] is None


def test_where_two_columns_part_the_number_that_draws_says_why(writer):  # noqa: F811
    """The temperature below which the second would have drawn as the first is between the two."""
    for low, high in ((0.0, 0.5), (0.5, 1.5)):
        texts = []
        for temperature in (low, high):
            stream = writer.stream()
            stream.read_text("床前")
            config, rng = SamplingConfig(temperature=temperature), np.random.default_rng(4)
            barred = writer.tokenizer.unwritten
            pieces = stream.generate(lambda c=config: c, rng, barred=barred)
            texts.append([(stream.prospects(barred).under(config), next(pieces)) for _ in range(40)])
        (_, one), (seen, other) = next((a, b) for a, b in zip(*texts, strict=True) if a[1].token != b[1].token)
        assert one.uniform == other.uniform
        below, _ = seen.turns(other.uniform, seen.rank(other.token))
        assert low * (1 - 1e-6) <= below <= high


def test_a_question_is_answered_at_each(talker, writer):  # noqa: F811
    columns = sweep(talker, "3加一是几", [0.0, 3.0], SamplingConfig(seed=2), 60, ask=True)
    for column in columns:
        alone = talker.chat(column.sampling, drafts=1)
        assert column.text == "".join(piece.text for piece in itertools.islice(alone.say("3加一是几"), 60))[:60]
    assert columns[0].text != columns[1].text
    with pytest.raises(ModelError):
        sweep(writer, "3加一是几", [0.0], SamplingConfig(), 60, ask=True)


def test_entropy_rises_with_temperature(writer):  # noqa: F811
    columns = sweep(writer, "床前", [0.0, 0.5, 2.0], SamplingConfig(seed=4), 60)
    assert columns[0].entropy == 0 < columns[1].entropy < columns[2].entropy


def test_the_training_text_is_at_hand_where_there_is_a_memory(writer):  # noqa: F811
    assert training_pairs(writer) is None
    known = training_pairs(package.load())
    assert {"循环", "网络"} <= known
    assert "霜龘" not in known


def test_curves():
    assert curve([0.0, 1.0, math.nan, 0.5]) == f"{BLOCKS[0]}{BLOCKS[-1]} {BLOCKS[4]}"
    assert curve([2.0, 2.0]) == BLOCKS[0] * 2
    assert curve([math.nan]) == " "


def test_a_table_has_a_row_a_temperature(writer):  # noqa: F811
    samples = [sweep(writer, "床", [0.0, 1.0], SamplingConfig(seed=n), 30) for n in (1, 2)]
    lines = table(samples)
    assert [line.split()[0] for line in lines[1:3]] == ["0", "1"]
    assert len(lines) == 4


def test_the_command(charrnn, tmp_path):
    words = ["sweep", "循环神经网络", "--temperatures", "0,0.8", "--seed", "1", "--length", "40"]
    done = charrnn(*words, "--csv", "s.csv", "--plot", "s.svg", "--samples", "2", "--json")
    record = json.loads(done.stdout)
    assert [(t["temperature"], t["seed"]) for t in record["texts"]] == [(0, 1), (0.8, 1), (0, 2), (0.8, 2)]
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [t["text"] for t in record["texts"]]
    assert all(len(row["text"]) == 40 for row in rows)
    assert (tmp_path / "s.svg").read_text(encoding="utf-8").count("<svg") == 1
    shown = charrnn(*words).stdout.decode()
    assert "T = 0.8" in shown
    assert record["texts"][0]["text"] in shown
    assert "┊" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--temperatures", "1,x"], 2, "commas"),
        (["--temperatures", "1,-2"], 2, "between 0 and 100"),
        (["--samples", "0"], 2, "1 or more"),
        (["--temperatures", "1", "--length", "3", "--csv", "no/where.csv"], 1, "no/where.csv"),
        (["--temperatures", "1", "--length", "3", "--plot", "x.nonsense"], 1, "x.nonsense"),
    ],
)
def test_what_cannot_be_done_is_one_line(charrnn, words, code, said):
    done = charrnn("sweep", "床", *words, check=code)
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
