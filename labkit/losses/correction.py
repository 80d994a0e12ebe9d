"""Losses that undo a transition matrix: backward correction, importance reweighting, the gradient of T-revision.

``transition`` is ``(K, K)``, row c holds P(given label | class c), so the given label has probability ``(T^t p)_y``.
Forward correction is :func:`labkit.losses.evidence_nll` with the likelihood ``T[:, y]``. Logits are ``(n, K)``, labels
``(n,)``, values are in nats, one per example.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy


def backward_targets(transition: Tensor) -> Tensor:
    """``(K, K)`` weights of :func:`backward`: row y is the target of an example told y, here the inverse of T.

    Raises:
        ValueError: a matrix that has no inverse: different classes then give the same noisy labels.
    """
    inverse, failed = torch.linalg.inv_ex(transition)
    if failed.any():
        raise ValueError(
            f"backward correction needs the inverse of the transition matrix, and this one has rank "
            f"{int(torch.linalg.matrix_rank(transition))} of {len(transition)}; forward correction needs none"
        )
    return inverse


def backward(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """``sum_k (T^-1)[y, k] CE_k``: its mean over the noise, ``sum_j T[i, j] backward(j)``, is ``CE_i`` exactly.

    Patrini, Rozza, Menon, Nock, Qu (2017), "Making deep neural networks robust to label noise", theorem 1. For K = 2 it
    is the loss of Natarajan, Dhillon, Ravikumar, Tewari (2013), "Learning with noisy labels", lemma 1. It is negative
    and without a lower bound wherever a row of the inverse has a negative entry, which any noise brings; its variance
    grows with the square of those entries.

    Args:
        targets: ``(K, K)``, :func:`backward_targets` of the transition matrix (computed once, not every step).
    """
    return cross_entropy(logits, targets[labels].to(logits.dtype))


def importance(logits: Tensor, labels: Tensor, transition: Tensor) -> Tensor:
    """``beta = p_y / (T^t p)_y``, ``(n,)``: how much likelier the label is as a class than as a given label.

    At most ``1 / T[y, y]`` (without bound where that is 0), and computed from logits: as a ratio of probabilities it is
    0/0 where the prediction is sure of a class that is never called y. Differentiable in logits and in the matrix,
    whose entries may also be zero or a little negative (T-revision does not project) while ``(T^t p)_y`` is positive.
    """
    column = transition.mT[labels].to(logits.dtype)  # P(y | class k), per example
    own = logits.gather(-1, labels[..., None])[..., 0]
    # the largest logit that counts is the scale: exp(z - scale) then neither overflows nor vanishes altogether
    scale = torch.where(column != 0, logits, -torch.inf).amax(-1).detach()
    # entries of weight 0 may lie far above; held at 60 they add 0 and not 0 times infinity
    mixed = ((logits - scale[..., None]).clamp(max=60.0).exp() * column).sum(-1)
    return (own - scale - mixed.log()).exp()


def reweighting(logits: Tensor, labels: Tensor, transition: Tensor) -> Tensor:
    """``sg(beta) CE_y``: cross entropy with the weight :func:`importance`, held constant.

    Liu, Tao (2016), "Classification with noisy labels by importance reweighting", in the form for K classes of Xia,
    Liu, Wang, Han, Gong, Niu, Sugiyama (2019), equation 5.
    """
    return importance(logits, labels, transition).detach() * cross_entropy(logits, labels)


def revision(logits: Tensor, labels: Tensor, transition: Tensor) -> Tensor:
    """``beta CE_y`` with the gradient through the weight too: in the logits, and in the transition matrix.

    Xia, Liu, Wang, Han, Gong, Niu, Sugiyama (2019), "Are anchor points really indispensable in label-noise
    learning?", section 3: ``transition`` is then the estimate plus a slack that is learned.
    """
    return importance(logits, labels, transition) * cross_entropy(logits, labels)
