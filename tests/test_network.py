"""What is dropped in training."""

import pytest
import torch

from charrnn.network import SharedDropout


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_a_share_is_dropped_once_a_window_and_the_rest_makes_up_for_it(p):
    torch.manual_seed(0)
    found = SharedDropout(p)(torch.ones(6, 4, 5000))
    assert (found == 0).float().mean() == pytest.approx(p, abs=0.02)
    assert found.mean() == pytest.approx(1, abs=0.02)
    assert torch.equal(found[0], found[5])
    assert not torch.equal(found[:, 0], found[:, 1])  # each stream has its own


def test_nothing_is_dropped_where_nobody_trains_or_nothing_is_to_be():
    x = torch.randn(6, 4, 8)
    assert torch.equal(SharedDropout(0.5).eval()(x), x)
    assert torch.equal(SharedDropout(0.0)(x), x)
