from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit.datasets as datasets
from labkit.datasets.events import NO_EVENT, PRECURSORS

HORIZON, WINDOW, CHANNELS = 8, 4, 4


@pytest.fixture(scope="module", params=["gradual", "abrupt"])
def data(request):
    return datasets.load("events", sequences=140, precursor=request.param)


def test_the_class_is_the_time_to_the_event(data):
    d = data.side["time_to_event"]
    assert torch.equal(data.y, (d <= HORIZON).long()) and d.min() == 1
    assert ((d <= 60) | (d == NO_EVENT)).all()
    assert data.shape == (WINDOW * CHANNELS,) and data.n == len(data.side["step"]) == len(data.side["sequence"])


def test_sequences_count_down_and_half_of_them_end_in_an_event(data):
    ends = 0
    for s in data.side["sequence"].unique():
        own = data.side["sequence"] == s
        d, step = data.side["time_to_event"][own], data.side["step"][own]
        assert (step.diff() == 1).all() and step[0] == WINDOW - 1
        if d[0] == NO_EVENT:
            assert (d == NO_EVENT).all() and len(d) == 60 - WINDOW + 1
        else:
            ends += 1
            assert (d.diff() == -1).all() and d[-1] == 1 and len(d) >= HORIZON
    assert ends == 70


def test_splits_keep_sequences_whole_and_sizes_equal(data):
    first, second = data.split(0, validation=0.2, test=0.3), data.split(1, validation=0.2, test=0.3)
    assert [len(part) for part in first] == [len(part) for part in second] and not torch.equal(first.test, second.test)
    assert len(first.test) == int(0.3 * data.n) and len(first.validation) == int(0.2 * data.n)
    who = data.side["sequence"]
    names = [set(who[part].tolist()) for part in first]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert data.n - sum(map(len, first)) <= 3 * 57
    for part, known in zip(first, names):
        assert len(part.unique()) == len(part)
        counts = {s: int((who[part] == s).sum()) for s in known}
        cut = [s for s in known if counts[s] < int((who == s).sum())]
        assert len(cut) <= 1  # at most one is cut, and keeps its last steps
        for s in cut:
            assert data.side["step"][part][who[part] == s].min() > data.side["step"][who == s].min()
            assert data.side["step"][part][who[part] == s].max() == data.side["step"][who == s].max()
    assert len(data.split(0, validation=0.0).validation) == 0
    with pytest.raises(ValueError, match="too few to split"):
        datasets.load("events", sequences=8).split(0, test=0.8)
    with pytest.raises(ValueError, match="test must be a fraction"):
        data.split(0, test=1.0)


def test_windows_overlap_by_all_but_one_hour():
    data = datasets.load("events", sequences=8)
    one = data.x[data.side["sequence"] == 1].reshape(-1, CHANNELS, WINDOW)  # the window of a channel lies together
    torch.testing.assert_close(one[1:, :, :-1], one[:-1, :, 1:])


def test_risk_before_an_event():
    d = np.array([0.5, 1.0, 8.0, 8.5, 16.0, 17.0, 40.0, NO_EVENT])
    gradual, abrupt = (PRECURSORS[k](d, 8, 16.0) for k in ("gradual", "abrupt"))
    np.testing.assert_allclose(gradual, [1, 1, 9 / 16, 8.5 / 16, 1 / 16, 0, 0, 0])
    np.testing.assert_allclose(abrupt, [1, 1, 1, 0, 0, 0, 0, 0])


def test_measurements_follow_the_risk():
    """Averaged over many sequences, the channels rise one after another (gradual) or together (abrupt)."""
    for precursor in ("gradual", "abrupt"):
        data = datasets.load("events", sequences=1500, precursor=precursor, signal=2.0)
        now, d = data.x.reshape(data.n, CHANNELS, WINDOW)[:, :, -1], data.side["time_to_event"]
        at = lambda hours, now=now, d=d: now[d == hours].mean(0)
        assert at(NO_EVENT).abs().max() < 0.1 and (at(1) - 2).abs().max() < 0.2
        if precursor == "gradual":
            assert at(8)[0] > 0.9 and at(8)[3] < 0.35 and at(12)[0] > 0.2 and (at(8)[:-1] > at(8)[1:]).all()
        else:
            assert (at(8) - 2).abs().max() < 0.2 and at(9).abs().max() < 0.2
        quiet = now[d == NO_EVENT]
        assert (quiet.var(0) - 1.25).abs().max() < 0.1  # noise 1, offsets of patients 0.25


def test_seed_moves_the_draws_and_bad_options_say_so():
    a, b, again = (datasets.load("events", sequences=10, seed=s) for s in (0, 1, 0))
    assert a.fingerprint == again.fingerprint != b.fingerprint
    with pytest.raises(ValueError, match="hours >= 20, got 10"):
        datasets.load("events", hours=10)
    with pytest.raises(ValueError, match="unknown precursor 'sudden'"):
        datasets.load("events", precursor="sudden")
    with pytest.raises(ValueError, match="noise above 0"):
        datasets.load("events", noise=0.0)
