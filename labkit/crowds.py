"""Several people answered about each example: what should its label be? Soft labels from the answers of a crowd.

``said`` is ``(n, W)`` whole numbers: the class that worker w gave example i, -1 where nothing was asked. Every way of
``WAYS`` turns it into ``(n, K)`` probabilities. They are those that Wright, Augenstein (2022), "Aggregating soft labels
from crowd annotations improves uncertainty estimation under distribution shift", compare, with the defaults of
crowd-kit, which they use; their proposal is the plain mean of the seven.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, expit, softmax

from labkit.names import look_up

FLOOR = 1e-10  # an answer that a Dawid-Skene worker was never seen to give is not impossible


class Fitted(NamedTuple):
    """``probs`` ``(n, K)``; ``skill`` ``(W,)`` (``(W, K, K)`` ``[worker, answer, class]`` for Dawid-Skene); ``trace``,
    what was maximised, step by step (for MACE of the start that won)."""

    probs: np.ndarray
    skill: np.ndarray
    trace: list[float]


def answers(said, n_classes: int) -> np.ndarray:
    """``(n, W, K)`` float64: 1 where worker w gave example i class k, 0 elsewhere.

    Raises ValueError for another shape, answers outside -1 .. K - 1, and examples that nobody answered.
    """
    said = np.asarray(said)
    if said.ndim != 2 or not np.issubdtype(said.dtype, np.integer):
        raise ValueError(f"said is (examples, workers) whole numbers, -1 for no answer; got {said.dtype} {said.shape}")
    if said.size and (said.min() < -1 or said.max() >= n_classes):
        raise ValueError(f"answers lie in 0..{n_classes - 1}, or are -1; got {said.min()}..{said.max()}")
    if (silent := (said < 0).all(1)).any():
        raise ValueError(f"{silent.sum()} examples have no answer, the first is {silent.argmax()}; leave them out")
    return (said[:, :, None] == np.arange(n_classes)).astype(np.float64)


def normalised(said, n_classes: int) -> np.ndarray:
    """The shares of the votes."""
    return _weighted(answers(said, n_classes), None)


def softmax_of_counts(said, n_classes: int) -> np.ndarray:
    """``exp(count) / sum exp(count)``: the more people are asked, the nearer to the majority alone."""
    return softmax(answers(said, n_classes).sum(1), 1)


def majority(said, n_classes: int, tie=None) -> np.ndarray:
    """``(n,)`` the class with most votes. Of t classes that share the lead the one in place ``floor(tie * t)``; the
    lowest without ``tie`` ``(n,)`` in [0, 1)."""
    counts = answers(said, n_classes).sum(1)
    leads = counts == counts.max(1, keepdims=True)
    place = np.floor((np.zeros(len(counts)) if tie is None else np.asarray(tie)) * leads.sum(1))
    return (leads.cumsum(1) > place[:, None]).argmax(1)


def wawa(said, n_classes: int) -> np.ndarray:
    """Votes weighted by how often their worker agrees with the majority ("worker agreement with aggregate")."""
    a = answers(said, n_classes)
    return _weighted(a, _agreement(a, _weighted(a, None)))


def zero_based_skill(said, n_classes: int, steps: int = 100) -> np.ndarray:
    """Wawa repeated: weights follow the agreement with the weighted vote, at a rate that halves every 20 steps."""
    a, rate = answers(said, n_classes), 1.0
    skill = np.full(a.shape[1], 1 / n_classes + 1e-5)
    for step in range(1, steps + 1):
        rate *= 0.5 if step % 20 == 0 else 1.0
        before, skill = skill, skill + rate * (_agreement(a, _weighted(a, skill)) - skill)
        if (skill == before).all():
            break  # and so it stays
    return _weighted(a, skill)


def dawid_skene(said, n_classes: int, steps: int = 100, tolerance: float = 1e-5) -> Fitted:
    """A confusion matrix for each worker and a prior of the classes, by expectation-maximisation from the vote shares.

    Dawid, Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm". Stops when the
    log-likelihood grows by less than ``tolerance`` a vote (crowd-kit watches its lower bound, by the same rule).
    """
    a = answers(said, n_classes)
    probs, trace = _weighted(a, None), []
    for _ in range(steps):
        prior = np.maximum(probs.mean(0), FLOOR)
        confusion = np.maximum(_expected(a, probs), FLOOR)
        confusion /= confusion.sum(-2, keepdims=True)  # over answers, for each class
        probs, logs = posterior(a, np.log(confusion), np.log(prior))
        trace.append(float(logs.sum()))
        if len(trace) > 1 and trace[-1] - trace[-2] < tolerance * a.sum():
            break
    return Fitted(probs, confusion, trace)


def mace(said, n_classes: int, variational: bool = True, starts: int = 10, steps: int = 50, seed: int = 0) -> Fitted:
    """A worker knows the class with probability theta, or else answers from a habit xi whatever it is.

    ``P(a | c) = theta 1[a = c] + (1 - theta) xi_a``, classes equally likely. Hovy, Berg-Kirkpatrick, Vaswani, Hovy
    (2013), "Learning whom to trust with MACE". ``variational``: expected log parameters under priors Beta(1/2, 1/2) and
    Dirichlet(10), as published; else counts plus ``0.01 / K``. The best of ``starts`` is kept. (crowd-kit 1.4.2 draws
    all its starts from one seed, so that they are one start, and pairs habits with workers and classes in sorted order
    where everything else is in order of appearance.)
    """
    a, rng = answers(said, n_classes), np.random.default_rng(seed)
    drawn = [[rng.uniform(1, 2.5, (a.shape[1], width)) for width in (2, n_classes)] for _ in range(starts)]
    knows, habit = (
        np.stack(d) / np.sum(d, -1, keepdims=True) for d in zip(*drawn)
    )  # (starts, W, [habit, knows]) and (starts, W, K)
    traces, added = [], 0.01 / n_classes
    for step in range(steps + 1):
        guess = (knows[..., :1] * habit)[..., None]  # (starts, W, answer, 1)
        emission = guess + knows[..., 1, None, None] * np.eye(n_classes)
        probs, logs = posterior(a, np.log(emission), -np.log(n_classes))
        traces.append(logs.sum(-1))
        if step == steps:
            break
        expected = _expected(a, probs)
        from_habit = (expected * guess / emission).sum(-1)  # how many of each answer came from habit
        known = expected.sum((-2, -1)) - from_habit.sum(-1)
        shares = np.stack([from_habit.sum(-1), known], -1)
        if variational:
            knows, habit = _expected_log(shares + 0.5), _expected_log(from_habit + 10.0)
        else:
            knows, habit = (c / c.sum(-1, keepdims=True) for c in (shares + added, from_habit + added))
    best = int(np.argmax(traces[-1]))
    return Fitted(probs[best], knows[best, :, 1], [float(t[best]) for t in traces])


def glad(said, n_classes: int, steps: int = 100, tolerance: float = 1e-6) -> Fitted:
    """A worker is right with probability ``sigmoid(alpha_w exp(beta_i))``: ability times ease; else any other class.

    Whitehill, Wu, Bergsma, Movellan, Ruvolo (2009), "Whose vote should count more", with their priors N(1, 1) on alpha
    and beta and equally likely classes. They climb by EM; we climb the same marginal likelihood (times priors) with
    L-BFGS, whose gradient is that of EM's bound at the posterior, to a relative ``tolerance``. ``skill`` is alpha.
    """
    said = np.asarray(said)
    answers(said, n_classes)  # says what is wrong with it
    n, w = said.shape
    task, worker = np.nonzero(said >= 0)
    cell = task * n_classes + said[task, worker]  # which entry of an (n, K) table an answer speaks for
    trace = []

    def climb(x):
        value, slope, _ = glad_objective(x, task, worker, cell, (n, w, n_classes))
        return -value, -slope

    def note(intermediate_result):
        trace.append(-float(intermediate_result.fun))

    found = minimize(climb, np.ones(w + n), jac=True, method="L-BFGS-B", callback=note,
                     options={"maxiter": steps, "ftol": tolerance})  # fmt: skip
    probs = glad_objective(found.x, task, worker, cell, (n, w, n_classes))[2]
    return Fitted(probs, found.x[:w], trace)


def glad_objective(x, task, worker, cell, sizes) -> tuple[float, np.ndarray, np.ndarray]:
    """GLAD's log posterior of ``x`` = (alpha, beta) up to a constant, its gradient, and ``(n, K)`` P(class | votes).

    ``task``, ``worker``: of each vote. ``cell``: ``task * K`` plus the answer. ``sizes``: (n, W, K).
    """
    n, w, k = sizes
    alpha, ease = x[:w], np.exp(x[w:])
    odds = alpha[worker] * ease[task]
    # log P(answer | class) is log sigmoid(odds) for that class and log(1 - sigmoid(odds)) - log(K - 1) for all others
    wrong = -np.logaddexp(0, odds) - np.log(k - 1)
    score = np.bincount(cell, odds + np.log(k - 1), n * k).reshape(n, k) - np.log(k)
    score += np.bincount(task, wrong, n)[:, None]
    probs, logs = _normalised_logs(score)
    off = probs.ravel()[cell] - expit(odds)  # how right the answer looks, less how right it was expected to be
    slope = np.concatenate([np.bincount(worker, off * ease[task], w), np.bincount(task, off * odds, n)]) - (x - 1)
    return float(logs.sum() - ((x - 1) ** 2).sum() / 2), slope, probs


def posterior(a: np.ndarray, log_emission: np.ndarray, log_prior) -> tuple[np.ndarray, np.ndarray]:
    """``P(class | answers)`` ``(..., n, K)`` and ``log P(answers)`` ``(..., n)`` of every example.

    ``a``: ``(n, W, K)`` of :func:`answers`; ``log_emission`` ``(..., W, K, K)``: log P(answer of worker | class).
    """
    k = a.shape[-1]
    flat = log_emission.reshape(*log_emission.shape[:-3], -1, k)
    score = np.moveaxis(np.tensordot(a.reshape(len(a), -1), flat, (1, flat.ndim - 2)), 0, -2) + log_prior
    return _normalised_logs(score)


def mean_of_all(said, n_classes: int) -> np.ndarray:
    """The plain mean of the soft labels of all ``WAYS``: the paper's proposal."""
    return np.mean([aggregate(said, n_classes, way) for way in WAYS], 0)


WAYS: dict[str, Callable[..., np.ndarray]] = {
    "normalised counts": normalised,
    "softmax of counts": softmax_of_counts,
    "Dawid-Skene": lambda said, k: dawid_skene(said, k).probs,
    "GLAD": lambda said, k: glad(said, k).probs,
    "MACE": lambda said, k: mace(said, k, starts=1).probs,  # what crowd-kit comes to
    "Wawa": wawa,
    "ZeroBasedSkill": zero_based_skill,
}

EVERY_WAY = {**WAYS, "mean of all": mean_of_all}


def aggregate(said, n_classes: int, by: str = "normalised counts") -> np.ndarray:
    """``(n, K)`` float64 soft labels: ``by`` a name in ``WAYS``, or "mean of all". Remembers what it has computed."""
    look_up("way to aggregate votes", by, EVERY_WAY)
    said = np.asarray(said)
    answers(said, n_classes)  # says what is wrong with it
    return _remembered(said.astype(np.int16).tobytes(), said.shape, n_classes, by).copy()


@lru_cache(maxsize=2048)
def _remembered(data: bytes, shape, n_classes: int, by: str) -> np.ndarray:
    said = np.frombuffer(data, np.int16).reshape(shape)
    return EVERY_WAY[by](said, n_classes)


def _normalised_logs(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Softmax and log-sum-exp over the last axis, with one exponential."""
    top = score.max(-1, keepdims=True)
    lifted = np.exp(score - top)
    total = lifted.sum(-1, keepdims=True)
    return lifted / total, (top + np.log(total))[..., 0]


def _weighted(a: np.ndarray, skill: np.ndarray | None) -> np.ndarray:
    """Shares of votes that count ``skill`` each; plain shares where nobody with any skill answered."""
    counts = a.sum(1)
    weighed = counts if skill is None else skill @ a
    weighed = np.where(weighed.sum(1, keepdims=True) > 0, weighed, counts)
    return weighed / weighed.sum(1, keepdims=True)


def _agreement(a: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """``(W,)`` how often a worker's answer is the likeliest class (the lowest of equals); 0 without answers."""
    agreed = np.take_along_axis(a, probs.argmax(1)[:, None, None], 2)[:, :, 0].sum(0)
    return agreed / np.maximum(a.sum((0, 2)), 1)


def _expected(a: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """``(..., W, K, K)``: how often worker w gave answer k to examples of class c, by ``probs`` ``(..., n, K)``."""
    n, w, k = a.shape
    table = np.tensordot(a.reshape(n, -1), probs, (0, probs.ndim - 2))  # (W K, ..., K)
    return np.moveaxis(table, 0, -2).reshape(*probs.shape[:-2], w, k, k)


def _expected_log(counts: np.ndarray) -> np.ndarray:
    """``exp E[log p]`` of a Dirichlet with these parameters: sums to less than 1."""
    return np.exp(digamma(counts) - digamma(counts.sum(-1, keepdims=True)))
