from __future__ import annotations

import pytest
import torch

from labkit.datasets import Data, load, sets_of

PAIRS = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def readable():
    """Examples whose feature is their class, so that a set can be read back."""
    y = torch.arange(300) % 10
    return Data("readable", torch.stack([y.float(), torch.arange(300.0)], 1), y, tuple("0123456789"))


def test_the_label_is_the_most_frequent_group():
    data = sets_of(readable(), 7, 400, PAIRS, seed=3)
    assert data.shape == (7, 2) and data.classes[1] == "2+3" and data.n == 400
    tied = []
    for x, y in zip(data.x, data.y.tolist()):
        assert len(x[:, 1].unique()) == 7  # different members
        count = [sum(int(c) // 2 == g for c in x[:, 0]) for g in range(5)]
        assert count[y] == max(count)
        if count.count(max(count)) > 1:
            tied.append(y - min(g for g in range(5) if count[g] == max(count)))
    assert 0.3 < sum(t == 0 for t in tied) / len(tied) < 0.7  # of equally frequent ones not always the first


def test_the_label_is_a_presence():
    data = sets_of(readable(), 5, 300, [[0, 7]], "presence", seed=1)
    for x, y in zip(data.x, data.y.tolist()):
        assert y == int(any(int(c) in (0, 7) for c in x[:, 0]))
    assert data.classes == ("no 0+7", "0+7 present") and 0 < data.y.float().mean() < 1


def test_seeds_and_images():
    digits = load("digits")
    one, again, two = (sets_of(digits, 3, 20, PAIRS, seed=s) for s in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != two.fingerprint
    assert not one.side and one.posterior is None  # nothing tells the classes of members


def test_refusals():
    data = readable()
    with pytest.raises(ValueError, match="most frequent, presence"):
        sets_of(data, 3, 5, PAIRS, "majority")
    with pytest.raises(ValueError, match="1 to 300 members"):
        sets_of(data, 301, 5, PAIRS)
    with pytest.raises(ValueError, match="every class in one"):
        sets_of(data, 3, 5, PAIRS[:4])
    for groups in (PAIRS, [[]], [list(range(10))], [[0, 0]], [[11]]):
        with pytest.raises(ValueError, match="one group of some classes"):
            sets_of(data, 3, 5, groups, "presence")
