"""The four operations against plain Python, SoftEDA against its formula, and both in a fleet."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.datasets import Vocabulary
from labkit.evidence import Labels
from labkit.methods import RandomPolicy, SoftEDA
from labkit.methods.base import Batch
from labkit.methods.text_augmentation import edit, synonym

V = Vocabulary(sets=5, synonyms=4, stops=3)  # content 1..20, stop words 21..23
N, L = 400, 12


def texts(seed=0, shortest=1):
    g = torch.Generator().manual_seed(seed)
    words = torch.randint(1, V.size, (N, L), generator=g)
    length = torch.randint(shortest, 9, (N, 1), generator=g)
    words = torch.where(torch.arange(L) < length, words, 0)
    return words, torch.rand(N, 3, L, generator=g, dtype=torch.float64)


def edited(operation, strength=0.3, **k):
    words, draws = texts(**k)
    return words, edit(words, draws, torch.full((N,), operation), torch.tensor(strength, dtype=torch.float64), V)


def count(words, strength):
    return max(1, round(strength * len(words)))


def rows(a, b):
    return [([w for w in x if w], [w for w in y if w], x, y) for x, y in zip(a.tolist(), b.tolist())]


def test_a_synonym_is_another_word_of_the_set():
    words = torch.arange(V.size)[:, None].expand(-1, 3000)
    g = torch.Generator().manual_seed(0)
    found = synonym(words, torch.rand(words.shape, generator=g), V)
    for w in range(V.size):
        if w == 0 or w > 20:
            assert (found[w] == w).all()
        else:
            others = set(range((w - 1) // 4 * 4 + 1, (w - 1) // 4 * 4 + 5)) - {w}
            share = Counter(found[w].tolist())
            assert set(share) == others and max(share.values()) < 1.2 * 1000


def test_replace_changes_the_right_number_of_content_words():
    for x, y, full_x, full_y in rows(*edited(0)):
        assert len(x) == len(y)
        changed = [(a, b) for a, b in zip(full_x, full_y) if a != b]
        content = sum(w <= 20 for w in x)
        assert len(changed) == min(count(x, 0.3), content)
        assert all((a - 1) // 4 == (b - 1) // 4 and a <= 20 for a, b in changed)


def test_insert_adds_synonyms_of_words_of_the_text_and_keeps_the_order():
    places = []
    for x, y, _, full in rows(*edited(1)):
        fresh = Counter(y) - Counter(x)
        assert sum(fresh.values()) == count(x, 0.3) and len(y) == len(x) + count(x, 0.3)
        if any(w <= 20 for w in x):
            assert {(w - 1) // 4 for w in fresh} <= {(w - 1) // 4 for w in x if w <= 20}
        rest = iter(y)
        assert all(w in rest for w in x)  # the old words stand in their old order
        assert all(w > 0 for w in full[: len(y)])
        if len(x) == 8 and not set(fresh) & set(x):
            places += [i for i, w in enumerate(y) if w in fresh]
    assert min(places) == 0 and max(places) > 7  # at both ends and between


def test_where_there_is_no_room_nothing_is_inserted():
    words = torch.randint(1, 21, (5, 4), generator=torch.Generator().manual_seed(0))
    draws = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(edit(words, draws, torch.ones(5, dtype=torch.long), torch.tensor(0.5), V), words)


def test_swap_permutes_as_many_pairs_as_asked():
    words = torch.arange(1, 9).repeat(N, 1)
    words = torch.cat([words, torch.zeros(N, 4, dtype=torch.long)], 1)
    _, draws = texts()
    for strength, pairs in ((0.125, 1), (0.25, 2), (0.9, 4)):
        made = edit(words, draws, torch.full((N,), 2), torch.tensor(strength), V)
        assert (made.sort(-1).values == words.sort(-1).values).all()
        assert ((made != words).sum(-1) == 2 * pairs).all()
    one = edit(torch.tensor([[7, 0, 0]]), draws[:1, :, :3], torch.tensor([2]), torch.tensor(0.5), V)
    assert one.tolist() == [[7, 0, 0]]


def test_delete_takes_words_away_at_its_rate_and_leaves_one():
    words, made = edited(3, 0.4, shortest=8)
    assert ((made == words) | (made == 0)).all()
    gone = ((words > 0) & (made == 0)).sum() / (words > 0).sum()
    assert abs(float(gone) - 0.4) < 0.04
    _, all_gone = edited(3, 1.0)
    assert ((all_gone > 0).sum(-1) == 1).all()


def test_each_text_has_its_own_operation_and_strength():
    words, draws = texts()
    operation = torch.arange(N) % 4
    strength = torch.linspace(0, 1, N, dtype=torch.float64)
    mixed = edit(words, draws, operation, strength, V)
    for i in (0, 41, 122, 203, 399):
        alone = edit(words[i : i + 1], draws[i : i + 1], operation[i : i + 1], strength[i : i + 1], V)
        assert torch.equal(mixed[i], alone[0])


def batch_of(method, x, y, seed=0, state=None):
    draws = method.draw(np.random.default_rng(seed), 1, len(x))
    draws = {k: torch.from_numpy(v[0]) for k, v in draws.items()}
    return Batch(x.double(), Labels(y, 3), torch.arange(len(x)), torch.tensor(0.0), state or {}, draws)


def linear(x):
    w = torch.sin(torch.arange(V.size * 3, dtype=torch.float64)).reshape(V.size, 3)
    return (F.one_hot(x.long(), V.size).double() @ w).sum(-2)


def test_the_loss_is_the_formula():
    words, _ = texts()
    x, y = words[:9], torch.arange(9) % 3
    method = SoftEDA(0.3, 0.2, 0.1, share=0.6, copies=3.0, swap=0.0, delete=2.0, vocabulary=V, width=L)
    batch = batch_of(method, x, y)
    loss, changed = method.objective(linear, batch)
    total, weight = 0.0, 0.0
    for i in range(9):
        u = float(batch.draws["operation"][i])
        op = 0 if u <= 0.25 else 1 if u <= 0.5 else 3
        copy = edit(x[i : i + 1], batch.draws["words"][i : i + 1], torch.tensor([op]), torch.tensor(0.3), V)
        total += F.cross_entropy(linear(x[i : i + 1]), y[i : i + 1], label_smoothing=0.1)
        weight += 1
        if float(batch.draws["use"][i]) < 0.6:
            total += 3 * F.cross_entropy(linear(copy), y[i : i + 1], label_smoothing=0.2)
            weight += 3
    torch.testing.assert_close(loss, total / weight)
    assert changed == {}


def test_without_copies_it_is_cross_entropy():
    words, _ = texts()
    x, y = words[:9], torch.arange(9) % 3
    method = SoftEDA(share=0.0, vocabulary=V, width=L)
    torch.testing.assert_close(
        method.objective(linear, batch_of(method, x, y))[0], F.cross_entropy(linear(x.double()), y)
    )


def test_random_policies_lie_in_the_published_space_and_soft_is_all_that_differs():
    from labkit.methods.base import Start

    def policy(trial, seed=0, soft=True):
        start = Start(torch.ones(4, L), Labels(torch.tensor([0, 1, 2, 0]), 3), 3, seed, None, torch.arange(4))
        return RandomPolicy(trial=trial, soft=soft, vocabulary=V, width=L).setup(start)["policy"]

    many = torch.stack([policy(t, s) for t in range(40) for s in range(3)])
    assert ((many[:, :11] >= 0) & (many[:, :11] <= 0.5)).all() and set(many[:, 11].tolist()) == {1.0, 2.0, 3.0, 4.0}
    assert abs(float(many[:, :11].mean()) - 0.25) < 0.02 and len(many.unique(dim=0)) == 120
    soft, hard = policy(5), policy(5, soft=False)
    assert (hard[9:11] == 0).all() and torch.equal(soft[[*range(9), 11]], hard[[*range(9), 11]])
    with pytest.raises(ValueError, match=r"width=data.shape\[0\]"):
        start = Start(torch.ones(4, 7), Labels(torch.tensor([0, 1, 2, 0]), 3), 3, 0, None, torch.arange(4))
        SoftEDA(vocabulary=V, width=L).setup(start)


@pytest.mark.parametrize("method", [
    SoftEDA(smoothing=lk.sweep(0.0, 0.3)), RandomPolicy(trial=lk.sweep(0, 3, 7)), RandomPolicy(trial=2, soft=False)
])  # fmt: skip
def test_alone_and_in_a_fleet_alike(method):
    data = lk.load("texts", n=120)
    options = dict(methods=method, model=lk.models.BagOfWords(221, 4), epochs=2, dtype="float64", batch_size=16,
                   compile=False, progress=False)  # fmt: skip
    together, alone = lk.fit(data, seeds=3, lanes=16, **options), lk.fit(data, seeds=[1], lanes=1, **options)
    for a, b in zip(together.where(seed=1), alone):
        assert a.values == b.values and not a.diverged
        for name, value in a.params.items():
            torch.testing.assert_close(value, b.params[name], rtol=1e-12, atol=1e-12)
