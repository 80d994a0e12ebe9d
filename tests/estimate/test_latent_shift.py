from __future__ import annotations

import numpy as np
import pytest

from labkit.estimate import (
    anchors,
    class_given_x,
    domain_bins,
    domain_given_class,
    factorise,
    matched_accuracy,
    matching,
    proportion_error,
)

K, D, N = 3, 6, 40


def world(seed=0, unequal=True):
    """Exact ``P(y|d)``, sizes, and for N inputs p(y|x) and p(d|x), all from one joint distribution."""
    rng = np.random.default_rng(seed)
    given_domain = rng.dirichlet(np.full(K, 0.5), D)
    sizes = rng.dirichlet(np.full(D, 2.0)) if unequal else np.full(D, 1 / D)
    joint = sizes[:, None] * given_domain  # P(d, y)
    of_x = rng.dirichlet(np.ones(N), K)  # p(x | y)
    triple = joint[:, :, None] * of_x[None]  # P(d, y, x)
    p_x = triple.sum((0, 1))
    return given_domain, sizes, triple, (triple.sum(1) / p_x).T, (triple.sum(0) / p_x).T


def topics(seed=0, words=25, anchor=True, documents=D):
    rng = np.random.default_rng(seed)
    by_word = rng.dirichlet(np.full(words, 0.5), K).T
    if anchor:
        by_word[:K] = np.diag(np.full(K, 0.1))
        by_word /= by_word.sum(0)
    return by_word, rng.dirichlet(np.full(K, 0.7), documents)


@pytest.mark.parametrize("unequal", [False, True])
def test_exact_inputs_give_the_exact_posterior(unequal):
    given_domain, sizes, triple, probs, truth = world(unequal=unequal)
    for negative in ("clip", "keep"):
        found = class_given_x(probs, given_domain, sizes, negative=negative)
        np.testing.assert_allclose(found, truth, atol=1e-10)
        for d in range(D):
            adapted = class_given_x(probs, given_domain, sizes, np.full(N, d), negative)
            np.testing.assert_allclose(adapted, (triple[d] / triple[d].sum(0)).T, atol=1e-9)


def test_equal_sizes_are_the_published_rule_and_wrong_for_unequal_ones():
    given_domain, sizes, _, probs, truth = world()
    published = given_domain / given_domain.sum(0)  # their p(d | y): the sizes are nowhere in it
    np.testing.assert_allclose(domain_given_class(given_domain), published)
    silent = class_given_x(probs, given_domain)
    assert np.abs(silent - truth).max() > 0.1
    assert np.abs(class_given_x(probs, given_domain, sizes) - truth).max() < 1e-10
    np.testing.assert_allclose(domain_given_class(given_domain, sizes).sum(0), 1)


def test_classes_come_in_any_order():
    given_domain, sizes, _, probs, _ = world(3)
    noisy = 0.7 * probs + 0.3 / D
    order = np.array([2, 0, 1])
    for where in (None, np.arange(N) % D):
        found = class_given_x(noisy, given_domain, sizes, where)
        np.testing.assert_allclose(
            class_given_x(noisy, given_domain[:, order], sizes, where), found[:, order], atol=1e-12
        )
    truth = given_domain + 0.0
    assert proportion_error(given_domain[:, order], truth) == 0
    assert matched_accuracy(order[[0, 1, 2, 0]], [0, 1, 2, 0], K) == 1


def test_negative_solutions_are_clipped_and_stay_distributions():
    given_domain, sizes, _, _, _ = world(1)
    probs = np.random.default_rng(5).dirichlet(np.full(D, 0.2), 500)  # no mixtures of p(d | y)
    towards = domain_given_class(given_domain, sizes)
    raw = probs @ np.linalg.pinv(towards).T
    assert raw.min() < -0.1
    np.testing.assert_allclose(class_given_x(probs, given_domain, sizes, negative="keep"), raw)
    where = np.arange(500) % D
    for found in (class_given_x(probs, given_domain, sizes), class_given_x(probs, given_domain, sizes, where)):
        assert found.min() >= 0
        np.testing.assert_allclose(found.sum(1), 1)
    for i in range(20):  # the slow twin
        kept = [max(v, 0.0) for v in raw[i]]
        kept = [v / sum(kept) for v in kept]
        weighed = [v * towards[where[i], k] for k, v in enumerate(kept)]
        weighed = [v / sum(weighed) for v in weighed] if sum(weighed) > 0 else kept
        np.testing.assert_allclose(class_given_x(probs, given_domain, sizes, where)[i], weighed, atol=1e-12)
    # kept negatives can turn the order within a row around, because the row is divided by a negative sum
    published = class_given_x(probs, given_domain, sizes, where, "keep")
    turned = (raw * towards[where]).sum(1) < 0
    assert turned.any() and (published[turned].min(1) < 0).all()


def test_a_domain_without_the_class_of_x_is_not_used():
    given_domain = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(class_given_x([[1.0, 0.0]], given_domain, domains=[1]), [[1, 0]])


def test_anchors_recover_an_exact_topic_model():
    for seed in range(5):
        by_word, by_document = topics(seed)
        words = by_word @ by_document.T
        assert set(anchors(words, K, rare=0)) == set(range(K))
        found = factorise(words, K, "anchors", rare=0)
        assert proportion_error(found.class_given_domain, by_document) < 1e-6
        order = matching_of(found.class_given_domain, by_document)
        np.testing.assert_allclose(found.bin_given_class, by_word[:, order], atol=1e-6)


def matching_of(found, truth):
    return [int(np.abs(found[:, [k]] - truth).sum(0).argmin()) for k in range(K)]


def test_random_starts_are_distributions_and_may_differ():
    by_word, by_document = topics(2)
    words = by_word @ by_document.T
    several = [factorise(words, K, seed=s) for s in range(6)]
    for found in several:
        np.testing.assert_allclose(found.class_given_domain.sum(1), 1)
        np.testing.assert_allclose(found.bin_given_class.sum(0), 1)
        assert np.abs(found.bin_given_class @ found.class_given_domain.T - words).max() < 0.02
    errors = [proportion_error(found.class_given_domain, by_document) for found in several]
    best = proportion_error(factorise(words, K, "anchors", rare=0).class_given_domain, by_document)
    assert max(errors) > best + 0.01


def test_rare_words_are_no_anchors():
    words = np.array([[0.5, 0.5, 0.1], [0.495, 0.3, 0.1], [0.0, 0.2, 0.8], [0.005, 0.0, 0.0]])
    words /= words.sum(0)
    assert 3 in anchors(words, 2, rare=0) and 3 not in anchors(words, 2, rare=0.5)


def test_bins_count_by_domain():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 300)
    probs = np.eye(4)[kind] * 0.7 + 0.075
    probs = probs / probs.sum(1, keepdims=True)
    domains = rng.integers(0, 4, 300)
    found = domain_bins(probs, domains, bins=3)
    np.testing.assert_allclose(found.sum(0), 1)
    expected = np.zeros((3, 4))
    for k, d in zip(kind, domains):
        expected[k, d] += 1 / (domains == d).sum()
    assert sorted(map(tuple, found.round(10))) == sorted(map(tuple, expected.round(10)))


def test_matching_against_all_permutations():
    from itertools import permutations

    rng = np.random.default_rng(4)
    truth, found = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    best = max(np.mean(np.array(order)[found] == truth) for order in permutations(range(4)))
    assert matched_accuracy(found, truth, 4) == pytest.approx(best)
    assert sorted(matching(found, truth, 4)) == [0, 1, 2, 3]
    p, q = rng.dirichlet(np.ones(4), 5), rng.dirichlet(np.ones(4), 5)
    least = min(np.abs(p[:, list(order)] - q).sum(1).mean() for order in permutations(range(4)))
    assert proportion_error(p, q) == pytest.approx(least)


def test_refusals():
    p = np.full((4, 2), 0.5)
    with pytest.raises(ValueError, match="logits need softmax"):
        class_given_x([[1.0, 2.0]], p)
    with pytest.raises(ValueError, match="'clip' or 'keep'"):
        class_given_x(np.full((3, 4), 0.25), p, negative="drop")
    with pytest.raises(ValueError, match="positive size for each of 4"):
        domain_given_class(p, [1, 2])
    with pytest.raises(ValueError, match="no example comes from domain 3"):
        domain_bins(np.full((8, 4), 0.25), np.arange(8) % 3, bins=1)
    with pytest.raises(ValueError, match="each of 8 examples"):
        domain_bins(np.full((8, 4), 0.25), np.arange(8) % 4, bins=9)
    with pytest.raises(ValueError, match="cannot hold 3 topics"):
        factorise(np.full((5, 2), 0.2), 3)
    with pytest.raises(ValueError, match="'random' or 'anchors'"):
        factorise(np.full((5, 4), 0.2), 2, "kmeans")
