"""Event recall against a walk over all thresholds, average precision against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score

from labkit.metrics import average_precision, event_recall
from labkit.streams import generator

H = 4


def story(seed: int = 0, runs: int = 5, sequences: int = 14, hours: int = 20, coarse: bool = False):
    """Steps of sequences of which half end in an event; scores that lean to the truth, tied ones if coarse."""
    rng = generator(seed, "data")
    rows = []
    for s in range(sequences):
        end = int(rng.integers(8, hours)) if s % 2 else None
        rows += [(s, t, (end - t) if end else 1e6) for t in range(end or hours)]
    order = rng.permutation(len(rows))  # steps in any order
    sequence, step, ahead = (torch.tensor([rows[i][c] for i in order]) for c in range(3))
    ahead = ahead.float()
    scores = torch.from_numpy(rng.normal(0, 1, (runs, len(rows)))) + 1.5 * (ahead <= 3)
    return (scores.round() if coarse else scores), ahead, sequence, step


def slow_recall(scores, ahead, sequence, step, rate):
    best = 0.0
    events = {(s, t + d) for s, t, d in zip(sequence, step, ahead) if d <= H}
    for threshold in sorted(set(scores)):
        alarms = [i for i, v in enumerate(scores) if v >= threshold]
        false = sum(ahead[i] > H for i in alarms) / len(alarms)
        if false <= rate + 1e-12:
            told = {(sequence[i], step[i] + ahead[i]) for i in alarms if ahead[i] <= H}
            best = max(best, len(told) / len(events))
    return best


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8])
def test_event_recall_is_the_slow_twin(rate, coarse):
    scores, ahead, sequence, step = story(coarse=coarse)
    ours = event_recall(scores, ahead, sequence, step, H, rate)
    for run in range(len(scores)):
        slow = slow_recall(scores[run].tolist(), ahead.tolist(), sequence.tolist(), step.tolist(), rate)
        assert ours[run].item() == pytest.approx(slow, abs=1e-12)
        assert event_recall(scores[run], ahead, sequence, step, H, rate).equal(ours[run])
    assert (ours <= event_recall(scores, ahead, sequence, step, H, rate + 0.1)).all()


def test_runs_may_have_steps_of_their_own():
    scores, *facts = story(coarse=True)
    pick = torch.stack([torch.from_numpy(generator(r, "split").permutation(scores.shape[1])[:150]) for r in range(5)])
    own = [f.expand(scores.shape).gather(1, pick) for f in facts]
    together = event_recall(scores.gather(1, pick), *own, H, 0.3)
    for run in range(5):
        alone = event_recall(scores[run, pick[run]], *[f[run] for f in own], H, 0.3)
        slow = slow_recall(scores[run, pick[run]].tolist(), *[f[run].tolist() for f in own], 0.3)
        assert alone.equal(together[run]) and alone.item() == pytest.approx(slow, abs=1e-12)


def test_by_hand():
    ahead, sequence = torch.tensor([3.0, 2, 1, 2, 1, 1e6, 1e6]), torch.tensor([0, 0, 0, 1, 1, 2, 2])
    step = torch.tensor([5, 6, 7, 3, 4, 0, 1])  # events: sequence 0 at hour 8, sequence 1 at hour 5
    told = torch.tensor([0.1, 0.2, 0.9, 0.3, 0.3, 0.8, 0.0])
    assert event_recall(told, ahead, sequence, step, 3, 0.0).item() == 0.5  # 0.9 alone; from 0.8 one of two is false
    assert event_recall(told, ahead, sequence, step, 3, 0.25).item() == 1.0  # at 0.3: 3 right, 1 false
    assert event_recall(-told, ahead, sequence, step, 3, 0.0).item() == 0.0
    both = torch.stack([told, told * torch.nan])
    assert event_recall(both, ahead, sequence, step, 3, 0.0).isnan().tolist() == [False, True]


def test_two_events_of_one_sequence_count_apart():
    ahead, step = torch.tensor([2.0, 1, 2, 1]), torch.tensor([0, 1, 2, 3])
    one = event_recall(torch.tensor([1.0, 0, 0, 0]), ahead, torch.zeros(4), step, 2, 0.0)
    assert one.item() == 1.0  # every step is within the horizon, so the threshold may fall to the lowest score
    ahead, step = torch.tensor([1.0, 1e6, 1, 1e6]), torch.tensor([0, 1, 2, 3])
    assert event_recall(torch.tensor([1.0, 0.5, 0, 0]), ahead, torch.zeros(4), step, 2, 0.0).item() == 0.5


@pytest.mark.parametrize("coarse", [False, True])
def test_average_precision_is_scikit_learns(coarse):
    scores, ahead, *_ = story(1, coarse=coarse)
    labels = (ahead <= H).long()
    ours = average_precision(scores, labels)
    for run in range(len(scores)):
        assert ours[run].item() == pytest.approx(average_precision_score(labels, scores[run]), abs=1e-12)
        assert average_precision(scores[run], labels).item() == pytest.approx(ours[run].item(), abs=1e-15)
    assert average_precision(labels.double(), labels).item() == 1.0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(step=torch.arange(3)), ValueError, "step: got shape"),
        (dict(false_alarms=1.0), ValueError, r"share of the alarms in \[0, 1\)"),
        (dict(horizon=0), ValueError, "nothing to announce"),
        (dict(scores=torch.arange(5)), TypeError, "two logits"),
    ],
)
def test_bad_input(change, error, message):
    scores, ahead, sequence, step = story(runs=2)
    given = dict(scores=scores, time_to_event=ahead, sequence=sequence, step=step, horizon=H, false_alarms=0.2)
    with pytest.raises(error, match=message):
        event_recall(**{**given, **change})
