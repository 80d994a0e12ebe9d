"""Neighbours as second and third opinions: consensus of high order (HOC)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.estimate.repeated import LabelModel, label_counts


def neighbour_labels(features, labels, neighbours: int = 2, piece: int = 2048) -> Tensor:
    """``(n, 1 + neighbours)``: an example's label, then those of its nearest neighbours by cosine, nearest first.

    ``features`` ``(n, ...)`` are flattened. An example is never its own neighbour, also where another one equals it.
    """
    x = torch.as_tensor(features).flatten(1)
    x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
    labels = torch.as_tensor(labels)
    if len(x) != len(labels) or not 0 < neighbours < len(x):
        raise ValueError(f"{len(x)} examples with {len(labels)} labels cannot have {neighbours} neighbours each")
    near = []
    for a in range(0, len(x), piece):
        alike = x[a : a + piece] @ x.T
        rows = torch.arange(len(alike), device=x.device)
        alike[rows, a + rows] = -torch.inf
        near.append(alike.topk(neighbours, dim=1).indices)
    return torch.cat([labels[:, None], labels[torch.cat(near).to(labels.device)]], 1)


def clusterability(features, clean) -> float:
    """The share of examples whose two nearest neighbours have their own clean class: what consensus relies on."""
    three = neighbour_labels(features, clean)
    return float((three == three[:, :1]).all(1).double().mean())


def consensus(features, labels, n_classes: int, steps: int = 1500, rate: float = 0.1) -> LabelModel:
    """Prior and T whose first, second and third moments match the labels of an example and its two neighbours.

    If the three have one class (2-NN label clusterability) their labels are three independent noisy labels of it. Let
    c1, c2, c3 be how often labels, pairs and triples come; minimise ``|c1 - c1(pi, T)| + |c2 - c2(pi, T)| +
    |c3 - c3(pi, T)|`` (Euclidean norms) over T = row-softmax(theta) and pi = softmax(phi) by Adam from
    theta = 5 I - 1, phi = 0. The start decides which hidden class is called i: the diagonal is taken to dominate. The
    iterate with the lowest value after the fifth is returned, a copy of it: public code keeps a reference, and with it
    the last one.

    Zhu, Song, Liu (2021), "Clusterability as an alternative to anchor points when learning with noisy labels",
    algorithm 1, with published ``steps`` and ``rate``. They average counts over 50 draws of 15,000 examples; here all
    examples are counted, once.

    Args:
        features: ``(n, ...)``. labels: ``(n,)`` noisy labels.

    Returns:
        :class:`~labkit.estimate.LabelModel` (float64); ``score`` is minus the value reached.
    """
    counts = label_counts(neighbour_labels(features, labels), n_classes).numpy()
    third = counts / counts.sum()
    seen = (third.sum((1, 2)), third.sum(2), third)
    k = n_classes
    x = np.concatenate([(5 * np.eye(k) - 1).ravel(), np.zeros(k)])  # theta, then phi
    best, kept = np.inf, x.copy()
    mean, square = np.zeros_like(x), np.zeros_like(x)
    for step in range(1, steps + 1):
        value, gradient = _mismatch(x, seen, k)
        if step > 5 and value < best:
            best, kept = value, x.copy()
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        x = x - rate * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    prior, transition = _stochastic(kept, k)
    return LabelModel(torch.from_numpy(prior), torch.from_numpy(transition), torch.tensor(-best, dtype=torch.float64))


def _stochastic(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """``softmax(phi)`` and row-softmax(theta)."""
    both = np.vstack([x[: k * k].reshape(k, k), x[k * k :]])
    both = np.exp(both - both.max(1, keepdims=True))
    both /= both.sum(1, keepdims=True)
    return both[-1], both[:-1]


def _mismatch(x: np.ndarray, seen: tuple[np.ndarray, ...], k: int) -> tuple[float, np.ndarray]:
    """The sum of the three norms, and its gradient (by hand: 1500 small steps, and autograd costs ten times more)."""
    prior, t = _stochastic(x, k)
    pairs = (t[:, :, None] * t[:, None, :]).reshape(k, k * k)  # [c, (j, l)]
    weighted = (prior[:, None] * t).T  # [i, c]
    off = (prior @ t - seen[0], weighted @ t - seen[1], (weighted @ pairs).reshape(k, k, k) - seen[2])
    norms = [float(np.sqrt((o**2).sum())) for o in off]
    one, two, three = (o / max(n, 1e-15) for o, n in zip(off, norms))
    turned = (three + three.transpose(1, 0, 2) + three.transpose(2, 0, 1)).reshape(k, -1)  # any of the three places
    for_t = prior[:, None] * (one + t @ (two + two.T) + pairs @ turned.T)
    for_prior = t @ one + ((t @ two) * t).sum(1) + ((pairs @ three.reshape(k, -1).T) * t).sum(1)
    for_theta = t * (for_t - (t * for_t).sum(1, keepdims=True))
    for_phi = prior * (for_prior - prior @ for_prior)
    return sum(norms), np.concatenate([for_theta.ravel(), for_phi])
