"""Windows: every token of every document once an epoch, in order, with the state's streams side by side."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import TrainingError
from charrnn.tokens import MAPPED, SHARD, TokenFile, TokenWriter, Windows


def write(folder, documents, vocabulary=100, shard=SHARD):
    writer = TokenWriter(folder, "train", vocabulary, shard)
    for document in documents:
        for part in (document[:2], document[2:]):
            writer.write(part)
        writer.end_document()
    writer.close()
    return TokenFile(folder, "train", vocabulary)


@pytest.mark.parametrize("shard", [1, 4, SHARD])
@pytest.mark.parametrize("vocabulary", [100, 2**16, 2**16 + 1])
def test_documents_come_back(tmp_path, vocabulary, shard):
    documents = [[0, 5, vocabulary - 1], [0], [0, 1, 2, 3]]
    tokens = write(tmp_path, documents, vocabulary, shard)
    assert [tokens.document(d).tolist() for d in range(len(tokens))] == documents
    assert tokens.total == 8
    assert tokens.document(2, 1, 3).tolist() == [1, 2]
    assert tokens.document(2, 1, 99).tolist() == [1, 2, 3]


def test_a_rank_maps_only_the_shards_that_it_reads_and_not_all_at_once(tmp_path):
    """The files of the others need not even be there."""
    tokens = write(tmp_path, [[d % 100] * 10 for d in range(400)], shard=10)
    assert len(list(tmp_path.glob("train.*.tokens"))) == 401  # the last is empty
    windows = Windows(tokens, batch=4, window=10, seed=1, rank=1, ranks=4)
    own = {piece.document for index in range(windows.windows) for piece in windows.pieces(0, index, targets=True)}
    for d in set(range(400)) - own:
        (tmp_path / f"train.{d:05}.tokens").unlink()
    expected = [windows.cut(0, index)[0] for index in range(windows.windows)]
    assert sum(map(len, expected)) == windows.stretch
    gone = min(set(range(400)) - own)
    with pytest.raises(TrainingError, match="was removed while it was read"):
        tokens.document(gone)
    whole = write(tmp_path, [[d % 100] * 10 for d in range(400)], shard=10)
    assert [int(whole.document(d)[0]) for d in range(400)] == [d % 100 for d in range(400)]
    handles = sum(".tokens" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    assert handles <= 2 * MAPPED + 8


documents_strategy = st.lists(st.integers(1, 40), min_size=1, max_size=12).filter(lambda lengths: sum(lengths) >= 2)


@settings(max_examples=60, deadline=None)
@given(documents_strategy, st.integers(1, 9), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_reads_the_permuted_text_once(tmp_path_factory, lengths, batch, window, epoch):
    folder = tmp_path_factory.mktemp("tokens")
    numbers = iter(range(10_000))
    documents = [[next(numbers) for _ in range(n)] for n in lengths]
    tokens = write(folder, documents, 10_000)
    windows = Windows(tokens, batch=batch, window=window, seed=7)
    order = np.random.default_rng([7, epoch]).permutation(len(documents))
    text = [t for d in order for t in documents[d]]
    cuts = [windows.cut(epoch, i) for i in range(windows.windows)]
    inputs = np.concatenate([x for x, _ in cuts])
    targets = np.concatenate([y for _, y in cuts])
    assert inputs.shape == (windows.stretch, windows.streams)
    assert windows.streams <= batch
    for b in range(windows.streams):
        start = b * windows.stretch
        assert inputs[:, b].tolist() == text[start : start + windows.stretch]
        assert targets[:, b].tolist() == text[start + 1 : start + windows.stretch + 1]
    # What is left out at the end is less than one token a stream.
    assert tokens.total - 1 - windows.tokens_per_epoch < windows.streams


def test_epochs_differ_and_seeds_repeat(tmp_path):
    tokens = write(tmp_path, [[d] * 5 for d in range(50)])
    first, second = Windows(tokens, batch=4, window=8, seed=1), Windows(tokens, batch=4, window=8, seed=1)
    np.testing.assert_array_equal(first.cut(3, 2)[0], second.cut(3, 2)[0])
    assert not np.array_equal(first.cut(0, 0)[0], first.cut(1, 0)[0])
    assert not np.array_equal(first.cut(0, 0)[0], Windows(tokens, batch=4, window=8, seed=2).cut(0, 0)[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=12), st.integers(1, 5), st.data())
def test_what_is_seldom_is_read_once_in_so_many_epochs(tmp_path_factory, lengths, parts, data):
    """Over as many epochs as parts, each token of a seldom document comes once and every other each time."""
    seldom = np.array(data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths))))
    seldom[0], lengths[0] = False, 40
    numbers = iter(range(10_000))
    tokens = write(tmp_path_factory.mktemp("tokens"), [[next(numbers) for _ in range(n)] for n in lengths], 10_000)
    windows = Windows(tokens, batch=1, window=7, seed=7, seldom=seldom, parts=parts)
    read = np.zeros(tokens.total, int)
    left_out = 0
    for epoch in range(parts):
        sizes = np.diff(windows._bounds(epoch), axis=0)[0]
        left_out += int(sizes.sum()) - windows.tokens_per_epoch
        for index in range(windows.windows):
            inputs, _ = windows.cut(epoch, index)
            read[inputs] += 1
    times = np.repeat(np.where(seldom, 1, parts), lengths)
    assert (read <= times).all()
    assert (times - read).sum() == left_out <= parts * (1 + len(lengths))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=4), min_size=1, max_size=40), st.integers(1, 2000))
def test_what_is_set_aside_and_what_is_left_are_the_whole_and_dialogues_stay_together(tmp_path_factory, sizes, most):
    """Documents of one turn or several; every token on one side, once, and in its place."""
    folder = tmp_path_factory.mktemp("tokens")
    writer = TokenWriter(folder, "train", 100_000)
    number, dialogue_of = 0, {}
    for dialogue, turns in enumerate(sizes):
        for turn, length in enumerate(turns):
            writer.write(range(number, number + length))
            dialogue_of |= dict.fromkeys(range(number, number + length), dialogue)
            number += length
            if turn < len(turns) - 1:
                writer.end_turn()
        writer.end_document()
    writer.close()
    tokens = TokenFile(folder, "train", 100_000, turns=True)
    rest, aside = tokens.set_aside(most)
    sides = [[t for d in range(len(side)) for t in side.document(d).tolist()] for side in (rest, aside)]
    assert sorted(sides[0] + sides[1]) == list(range(number))
    for side, file in zip(sides, (rest, aside), strict=True):
        assert side == sorted(side)
        assert file.total == len(side)
        assert file.text(10**9).tolist() == side
    several = {d for d, turns in enumerate(sizes) if len(turns) > 1}
    assert not several & {dialogue_of[t] for t in sides[0]} & {dialogue_of[t] for t in sides[1]}


def test_what_is_set_aside_comes_from_everywhere_and_is_as_much_as_was_asked(tmp_path):
    tokens = write(tmp_path, [list(range(60_000)), list(range(60_000, 200_000))], 200_000)
    rest, aside = tokens.set_aside(4000)
    assert 3000 <= aside.total <= 5000
    assert rest.total + aside.total == 200_000
    starts = [int(aside.document(d, 0, 1)[0]) for d in range(len(aside))]
    assert np.diff([0, *starts, 200_000]).max() < 40_000
    assert write(tmp_path, [list(range(1000))], 1000).set_aside(4000)[1].total == 0


def test_a_sample_of_a_long_text_is_at_most_so_long_and_from_everywhere(tmp_path):
    tokens = write(tmp_path, [list(range(1_000_000))], 1_000_000)
    sample = tokens.text(300_000).astype(np.int64)
    assert 200_000 < len(sample) <= 300_000
    assert np.diff([0, *sample, 1_000_000]).max() < 400_000
    assert len(set(sample.tolist())) == len(sample)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=1, max_size=8), st.integers(0, 9))
def test_halves_spell_the_same_documents(tmp_path_factory, documents, seed):
    """Token 10 + n stands for n and the next digit; numbers below 10 are not cut."""
    texts = [[token + 10 * (token % 2) for token in document] for document in documents]
    tokens = write(tmp_path_factory.mktemp("tokens"), texts, 30)
    halves = {10 + n: (n, (n + 1) % 10) for n in range(10)}

    def spelled(ids):
        return [part for token in ids for part in halves.get(token, [token])]

    for share in (0.0, 0.5, 1.0):
        other = tokens.halved(halves, share, [seed])
        for d, text in enumerate(texts):
            assert spelled(other.document(d).tolist()) == spelled(text)
        whole = [token for d in range(len(texts)) for token in other.document(d).tolist()]
        if share in (0.0, 1.0):
            expected = [text if share == 0 else spelled(text) for text in texts]
            assert whole == [token for text in expected for token in text]


def test_every_epoch_after_the_first_is_spelled_anew(tmp_path):
    tokens = write(tmp_path, [[3] * 400, [4] * 400], 8)
    windows = Windows(tokens, batch=2, window=50, seed=1, halves={3: (1, 2)}, split=0.3)
    epochs = []
    for epoch in (0, 1, 2, 1):
        cuts = [windows.cut(epoch, index) for index in range(windows.windows)]
        assert all((y[:-1] == x[1:]).all() for x, y in cuts)
        epochs.append(np.concatenate([x for x, _ in cuts]))
    shares = [(read == 1).sum() / ((read == 1) | (read == 3)).sum() for read in epochs]
    assert shares[0] == 0
    assert 0.15 < min(shares[1:]) < max(shares) < 0.45
    assert np.array_equal(epochs[1], epochs[3])
    assert not np.array_equal(epochs[1], epochs[2])
    assert all(abs(int((read == 1).sum()) - int((read == 2).sum())) <= 2 * windows.windows for read in epochs)


@settings(max_examples=60, deadline=None)
@given(documents_strategy, st.integers(1, 4), st.integers(1, 5), st.integers(1, 12), st.integers(1, 60))
def test_ranks_read_what_one_would_read(tmp_path_factory, lengths, ranks, batch, window, shard):
    """Side by side they are the windows of one process; so another number of them goes on with the same text."""
    numbers = iter(range(10_000))
    documents = [[next(numbers) for _ in range(n)] for n in lengths]
    tokens = write(tmp_path_factory.mktemp("tokens"), documents, 10_000, shard)
    if tokens.total < 2 * ranks:
        return
    together = [
        Windows(tokens, batch=batch * ranks, window=window, seed=7, rank=rank, ranks=ranks) for rank in range(ranks)
    ]
    alone = Windows(tokens, batch=together[0].streams, window=window, seed=7)
    if alone.streams != together[0].streams:  # too short for so many streams
        return
    for index in range(alone.windows):
        parts = [windows.cut(1, index)[0] for windows in together]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), alone.cut(1, index)[0])


@pytest.mark.parametrize("ranks", [1, 2, 7, 64, 1024])
@pytest.mark.parametrize("shards", [1, 100, 10_000])
def test_of_many_shards_each_rank_reads_its_own_once_in_long_stretches(tmp_path, ranks, shards):
    """A simulation: 20,000 documents of ten tokens in so many shards, and in mid-epoch another number of ranks."""
    lengths = np.full(20_000, 10)
    tokens = write(tmp_path, [[0] * 10])
    tokens._starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    tokens._stops = np.cumsum(lengths)
    size = -(-lengths.sum() // shards)
    tokens._shards = np.arange(shards) * size // 10 * 10
    read = np.zeros(lengths.sum(), np.int64)
    for now in (ranks, max(1, ranks // 2)):
        for rank in range(now) if now < 100 else (0, 1, now // 2, now - 1):
            windows = Windows(tokens, batch=1024, window=50, seed=3, rank=rank, ranks=now)
            half = windows.windows // 2
            touched = set()
            for index in range(half) if now == ranks else range(half, windows.windows):
                for piece in windows.pieces(0, index):
                    start = piece.document * 10 + piece.start
                    read[start : start + piece.length] += 1
                    touched.add(start // size)
            own = len(windows.own) * windows.stretch
            assert len(touched) <= own / size + 2 * len(windows.own)  # a stream begins and ends within one
        if ranks == 1:
            break
    assert read.max() == 1
    if ranks < 100:
        whole = Windows(tokens, batch=1024, window=50, seed=3, ranks=ranks)
        expected = whole.streams * (whole.windows // 2) * 50 if ranks == 1 else whole.tokens_per_epoch
        assert read.sum() == pytest.approx(expected, rel=0.02)
