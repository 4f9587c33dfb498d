"""What follows from text and budget, and that what is set by hand stays."""

import math

import pytest

from charrnn.config import TrainingConfig
from charrnn.planning import affordable_steps
from charrnn.recipe import PASSES, architecture, regularised, shaped

CHOSEN = {"layers": 3, "width": 40, "feedforward": 0, "batch": 5, "weight_decay": 0.3}


@pytest.mark.parametrize("cell", ["mingru", "gru", "lstm", "rnn"])
@pytest.mark.parametrize("tokens", [100, 30_000, 10**8])
def test_everything_is_chosen_and_what_was_set_stays(cell, tokens):
    config = regularised(shaped(TrainingConfig(cell=cell), tokens), 3.0, dialogue=False)
    assert min(config.layers, config.width, config.batch) >= 1
    assert config.feedforward >= 0
    assert 0 <= config.dropout < 1
    assert config.weight_decay >= 0
    set_by_hand = shaped(TrainingConfig(cell=cell, **CHOSEN), tokens)
    assert {name: getattr(set_by_hand, name) for name in CHOSEN} == CHOSEN
    assert regularised(TrainingConfig(dropout=0.0), 1000.0, dialogue=False).dropout == 0


def test_the_gated_layer_grows_with_the_width():
    one, two = (shaped(TrainingConfig(width=width), 10**6).feedforward for width in (128, 256))
    assert two == 2 * one


def test_more_passes_mean_more_dropout_and_dialogue_little():
    passes = [0.1, *PASSES, 1000.0]
    dropouts = [regularised(TrainingConfig(), some, dialogue=False).dropout for some in passes]
    assert dropouts == sorted(dropouts)
    assert dropouts[0] == 0
    assert dropouts[-1] == 0.5
    assert (
        regularised(TrainingConfig(), 8.0, dialogue=True).dropout
        < regularised(TrainingConfig(), 8.0, dialogue=False).dropout
    )


def test_only_what_reads_dialogue_has_a_summary():
    config = shaped(TrainingConfig(), 10**6)
    assert architecture(config, 500, dialogue=True).summary == config.summary > 0
    assert architecture(config, 500, dialogue=False).summary == 0


def test_few_steps_are_for_a_narrow_network():
    few, many, any_number = (shaped(TrainingConfig(), 10**6, steps).width for steps in (10, 5000, math.inf))
    assert few < many == any_number == shaped(TrainingConfig(), 10**6).width
    assert shaped(TrainingConfig(), 1000, 10).width < few
    assert shaped(TrainingConfig(width=300), 10**6, 10).width == 300
    assert shaped(TrainingConfig(cell="gru"), 10**6, 10).width == shaped(TrainingConfig(cell="gru"), 10**6).width


def test_minutes_afford_steps_and_steps_are_not_bought():
    assert affordable_steps(TrainingConfig(minutes=1), 0.1, 4.0) == pytest.approx(500)
    assert affordable_steps(TrainingConfig(steps=7), 0.1, 4.0) == math.inf
