"""Classes from domains: what shifts together belongs together.

Unlabelled examples x come from domains d whose hidden classes y are differently common, while every class looks the
same everywhere: ``p(x | d) = sum_y p(x | y) P(y | d)``. That is a topic model, with domains as documents, inputs as
words and classes as topics. Roberts, Mani, Garg, Lipton (2022), "Unsupervised learning under latent label shift"
(DDFA: discriminate, discretise, factorise, adjust). Classes are found up to their order. Arrays are NumPy, float64.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Topics:
    """``class_given_domain`` ``(D, K)`` and ``bin_given_class`` ``(M, K)``: rows of the first sum to 1, columns of the
    second; ``bin_given_class @ class_given_domain.T`` approximates the matrix that was factorised."""

    class_given_domain: np.ndarray
    bin_given_class: np.ndarray


def domain_bins(probs, domains, bins: int = 30, seed: int = 0) -> np.ndarray:
    """Examples in bins of like ``p(d | x)``, counted by domain: ``(M, D)``, columns are distributions.

    Steps 2 and 3 of DDFA. K-means with at most 100 iterations and 5 starts, as published; 30 bins for ten classes, 60
    for more. Give examples that the discriminator did not train on: of those it knows where each was met.

    Args:
        probs: ``(n, D)`` of the domain discriminator. domains: ``(n,)`` where each example was met.

    Raises:
        ValueError: not distributions; fewer examples than bins; a domain without an example.
    """
    from sklearn.cluster import KMeans

    probs, domains = _distributions(probs), np.asarray(domains)
    n, d = probs.shape
    if domains.shape != (n,) or not n >= bins >= 1:
        raise ValueError(f"expected a domain for each of {n} examples and 1 to {n} bins, got {domains.shape}, {bins}")
    which = KMeans(bins, n_init=5, max_iter=100, random_state=seed).fit_predict(probs)
    counts = np.zeros((bins, d))
    np.add.at(counts, (which, domains), 1)
    if not counts.sum(0).all():
        raise ValueError(f"no example comes from domain {int(counts.sum(0).argmin())}; leave its column out")
    return counts / counts.sum(0)


def factorise(words, classes: int, start: str = "random", seed: int = 0, rare: float = 0.5) -> Topics:
    """K topics of a matrix ``words[word, document] = P(word | document)`` (or bins and domains), ``(M, D)``.

    Non-negative matrix factorisation under the squared error. What it finds depends on where it starts:

    - "random", as published (their code; the theory is about anchors all the same);
    - "anchors": at words that only one topic uses. A word's distribution over documents is a mixture of those of the
      topics, so anchors are its corners: take the row furthest out, project, repeat (Gillis, Vavasis, 2014,
      "Fast and robust recursive algorithms for separable nonnegative matrix factorization"). Exact if ``words`` are
      and every topic has an anchor.

    Args:
        rare: words rarer than this share of the mean are no candidates for anchors: their rows are mostly noise.
    """
    from scipy.optimize import nnls
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    words = np.asarray(words, float)
    if words.ndim != 2 or not (words >= 0).all() or not np.allclose(words.sum(0), 1, atol=1e-6):
        raise ValueError(f"words have non-negative columns that sum to 1 (words, documents), got {words.shape}")
    if not 2 <= classes <= min(words.shape):
        raise ValueError(f"{words.shape[0]} words in {words.shape[1]} documents cannot hold {classes} topics")
    if start not in ("random", "anchors"):
        raise ValueError(f"start is 'random' or 'anchors', got {start!r}")
    model = NMF(classes, init="random" if start == "random" else "custom", max_iter=500, random_state=seed)
    first = {}
    if start == "anchors":
        corners = _rows(words)[anchors(words, classes, rare)]
        share = np.stack([nnls(corners.T, row)[0] for row in words])  # words is about share @ corners
        first = {"W": corners.T.copy(), "H": share.T.copy()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an exact fit has no last step
        by_domain = model.fit_transform(words.T, **first)
    by_word = model.components_.T
    scale = by_word.sum(0)  # one factor's columns become distributions, the other takes their sums
    empty = np.full_like(by_word, 1 / len(words))
    return Topics(_rows(by_domain * scale), np.divide(by_word, scale, out=empty, where=scale > 0))


def anchors(words, classes: int, rare: float = 0.5) -> list[int]:
    """Rows of ``words`` ``(M, D)`` that are corners of all rows once each is a distribution over documents."""
    words = np.asarray(words, float)
    rest = _rows(words)
    rest[words.sum(1) < rare * words.sum(1).mean()] = 0
    found = []
    for _ in range(classes):
        length = (rest**2).sum(1)
        found.append(int(length.argmax()))
        if length.max() > 0:
            axis = rest[found[-1]] / np.sqrt(length.max())
            rest = rest - np.outer(rest @ axis, axis)
    return found


def domain_given_class(class_given_domain, sizes=None) -> np.ndarray:
    """``p(d | y)``, ``(D, K)``, from ``P(y | d)`` and the shares ``sizes`` ``(D,)`` of all examples that a domain has.

    None takes domains as equally large, which is what the published code does without saying so.
    """
    p = _distributions(class_given_domain)
    sizes = np.full(len(p), 1 / len(p)) if sizes is None else np.asarray(sizes, float)
    if sizes.shape != (len(p),) or not (sizes > 0).all():
        raise ValueError(f"expected a positive size for each of {len(p)} domains, got {sizes}")
    joint = sizes[:, None] * p
    return np.divide(joint, joint.sum(0), out=np.zeros_like(joint), where=joint.sum(0) > 0)


def class_given_x(probs, class_given_domain, sizes=None, domains=None, negative: str = "clip") -> np.ndarray:
    """``p(y | x)``, ``(n, K)``; with ``domains`` ``(n,)`` the answer ``p(y | x, d)`` adapted to where x was met.

    Step 4 of DDFA: ``p(d | x) = sum_y p(d | y) p(y | x)`` is solved for ``p(y | x)`` by the pseudo-inverse, and
    ``p(y | x, d)`` is proportional to ``p(y | x) p(d | y)``. Exact for exact inputs. An estimated ``p(d | x)`` is no
    mixture of the columns, and the solution leaves the simplex:

    - ``negative="clip"``: negative entries become 0 and rows are normalised; a row with nothing left is uniform, and
      where no class that x may have occurs in d, the domain is not used;
    - ``negative="keep"``, as published: solved as is. Only the order within a row of ``p(y | x)`` means anything;
      ``p(y | x, d)`` is divided by a sum that may be tiny or negative, which turns that order around.

    Args:
        probs: ``(n, D)`` of the domain discriminator, for domains as common as ``sizes`` say (those it trained on).
    """
    if negative not in ("clip", "keep"):
        raise ValueError(f"negative is 'clip' or 'keep', got {negative!r}")
    towards = domain_given_class(class_given_domain, sizes)
    found = _distributions(probs) @ np.linalg.pinv(towards).T
    found = _rows(found.clip(0)) if negative == "clip" else found
    if domains is None:
        return found
    adapted = found * towards[np.asarray(domains)]
    total = adapted.sum(1, keepdims=True)
    return np.divide(adapted, total, out=found.copy(), where=total != 0)


def matching(found, truth, classes: int) -> np.ndarray:
    """``(K,)``: ``matching(...)[k]`` is the true class that found class k agrees with, one to one, most in all.

    Hungarian method (Kuhn, 1955). It reads true classes, so it belongs to evaluation.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((classes, classes))
    np.add.at(table, (np.asarray(found), np.asarray(truth)), 1)
    return linear_sum_assignment(table, maximize=True)[1]


def matched_accuracy(found, truth, classes: int) -> float:
    """Share of examples that are right under the best matching of found to true classes; from about 1/K to 1."""
    return float((matching(found, truth, classes)[np.asarray(found)] == np.asarray(truth)).mean())


def proportion_error(class_given_domain, truth) -> float:
    """``sum_y |P(y | d) - truth|``, mean over domains, under the best order of the columns; from 0 to 2.

    (Published tables sum over domains: D times this. They order columns as for accuracy; here the order is the best.)
    """
    from scipy.optimize import linear_sum_assignment

    p, truth = np.asarray(class_given_domain, float), np.asarray(truth, float)
    apart = np.abs(p[:, :, None] - truth[:, None, :]).mean(0)
    return float(apart[linear_sum_assignment(apart)].sum())


def _rows(values: np.ndarray) -> np.ndarray:
    """Rows as distributions; one without anything is uniform."""
    total = values.sum(1, keepdims=True)
    return np.divide(values, total, out=np.full(values.shape, 1 / values.shape[1]), where=total > 0)


def _distributions(values) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 2 or not (values >= 0).all() or not np.allclose(values.sum(1), 1, atol=1e-3):
        raise ValueError(f"expected distributions in rows, got shape {values.shape}; logits need softmax first")
    return values
