"""EasyLLP: a label for every member of a bag that is right on average, from the bag's counts alone.

Busa-Fekete, Choi, Dick, Gentile, Muñoz Medina (2023), "Easy learning from label proportions", NeurIPS. Of two classes
in the paper; K classes are the same definition. A bag of k independent examples has class shares alpha; with the
classes' shares pi among all examples the *surrogate label* of each member is

    y~ = k (alpha - pi) + pi,   (K,), summing to 1, with E[y~ | member x] = P(class | x):

the counts are the member's own label and k - 1 strangers, of whom the mean is known and is taken away. What is left of
the strangers is noise: entries reach from -(k - 1) to k, and a loss weighted by them may be negative without bound.
Bags of alike examples (neighbours, a village) have no strangers, and there it is biased.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.evidence import one_hot
from labkit.losses.basic import cross_entropy
from labkit.names import look_up

CLIPS = ("none", "labels")


def surrogate_labels(counts, sizes, prior, debias: bool = True, clip: str = "none") -> Tensor:
    """``y~ = m - (k - 1) pi``, ``(b, K)``: the same for all members of a bag.

    Linear in the counts, so noise of mean zero in them adds no bias.

    Args:
        counts: m, ``(b, K)``. sizes: k, ``(b,)``. prior: pi, ``(K,)``.
        debias: False leaves the bag's shares ``m / k`` as they are: soft labels.
        clip: "none", or "labels": negative entries to 0, the others scaled to sum to 1 again (of two classes: clipped
            to [0, 1]). That is biased; the authors do not clip.

    Raises:
        ValueError: an unknown ``clip``.
    """
    look_up("clip", clip, dict.fromkeys(CLIPS))
    sizes = sizes.to(counts.dtype)[..., None]
    labels = counts - (sizes - 1) * prior.to(counts.dtype) if debias else counts / sizes
    if clip == "labels":
        labels = labels.clamp_min(0)
        labels = labels / labels.sum(-1, keepdim=True)
    return labels


def class_losses(logits: Tensor, base: Callable[[Tensor, Tensor], Tensor] = cross_entropy) -> Tensor:
    """``base(logits, class c)`` for every class c, ``(..., K)`` to ``(..., K)``."""
    k = logits.shape[-1]
    flat = logits.reshape(-1, k)
    if base is cross_entropy:
        return -logits.log_softmax(-1)
    each = [base(flat, one_hot(torch.tensor(c, device=flat.device), k, flat.dtype).expand_as(flat)) for c in range(k)]
    return torch.stack(each, -1).reshape(logits.shape)


def easy_llp_parts(logits, counts, prior, present=None, base=cross_entropy, debias=True, clip="none") -> Tensor:
    """What every class adds to :func:`easy_llp`, ``(b, K)``: ``y~_c`` times the members' mean loss of class c.

    In expectation it is ``P(class c)`` times the mean loss of that class's examples, so what is negative in it is noise
    (or a network that fits noise).
    """
    if present is None:
        present = torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device)
    sizes = present.sum(-1).to(logits.dtype)
    labels = surrogate_labels(counts.to(logits.dtype), sizes, prior, debias, clip)
    losses = torch.where(present[..., None], class_losses(logits, base), 0.0)
    return labels * losses.sum(-2) / sizes[..., None]


def easy_llp(logits, counts, prior, present=None, base=cross_entropy, debias=True, clip="none") -> Tensor:
    """``1/k sum_i sum_c y~_c l(z_i, c)``, ``(b,)``: the members' mean loss under the bag's surrogate label.

    The average over members is the paper's variance-reduced form. Bags of one member: the base loss itself. Unbiased
    for bags of independent examples, the true prior and ``clip="none"``. With the prior estimated from the B bags that
    are learnt from, labels shrink towards it by a share of ``1 / B``, nearly.

    Args:
        logits: ``(b, S, K)``. counts: ``(b, K)``. prior: ``(K,)``, the classes' shares among all examples.
        present: ``(b, S)`` booleans, False: padding.
        base: any loss ``(logits (n, K), target (n, K)) -> (n,)``.
        debias, clip: as in :func:`surrogate_labels`.
    """
    return easy_llp_parts(logits, counts, prior, present, base, debias, clip).sum(-1)


def easy_llp_one(logits, counts, sizes, prior, base=cross_entropy, debias=True, clip="none") -> Tensor:
    """``sum_c y~_c l(z, c)``, ``(b,)``, of one member per bag: unbiased too, with a variance that grows with the size.

    Args: ``logits`` ``(b, K)`` of the member; ``sizes`` ``(b,)`` of its bag; the others as in :func:`easy_llp`.
    """
    labels = surrogate_labels(counts.to(logits.dtype), sizes, prior, debias, clip)
    return (labels * class_losses(logits, base)).sum(-1)
