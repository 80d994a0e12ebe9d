"""LLPFC: the number of a bag is a noisy label of its members, and noisy labels can be corrected forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from labkit.evidence import Bags
from labkit.losses import evidence_nll
from labkit.methods.base import Batch, Method, Start
from labkit.methods.proportions import nearest_counts, per_instance


@dataclass(kw_only=True)
class LLPFC(Method):
    """Forward correction: groups of K bags, each member labelled with its bag's place i in the group.

    ``T[i, c] = P(bag i | class c)`` follows from the shares ``G[i, c]`` of the group and the clean class prior s:
    ``a = argmin |G^T a - s|^2`` over the simplex, ``s' = G^T a``, ``T[i, c] = G[i, c] a_i / s'_c``. The loss of a
    member is ``-log sum_c p_c T[i, c]`` (:func:`labkit.losses.evidence_nll`), with weight a_i over the size of bag i.
    Where s' = s this is ``-log sum_c p_c G[i, c] / s_c`` less log a_i: a group only decides the weights, and every
    member is a draw of its own from the bag's shares; that they must add up is not used.

    Source: Zhang, Wang, Scott (2022), "Learning from label proportions by learning with label noise", section 4.
    Their code transposes G twice and so minimises |G a - s|^2: a T for another class prior. Published: groups anew
    every 20 of 200 epochs. Here all groupings are made before training, the weights of a grouping have mean 1 over the
    members it uses (there they are renormalised in every batch; a batch of few whole bags would lose them), and s is
    that of all members. What is left over when bags are grouped waits for the next grouping.

    Args:
        groupings: how many groupings, each for an equal share of training.

    Raises:
        ValueError: fewer bags than classes.
    """

    groupings: int = 10

    accepts = (Bags,)

    def __post_init__(self):
        if isinstance(self.groupings, bool) or not isinstance(self.groupings, int) or self.groupings < 1:
            raise ValueError(f"groupings is a whole number from 1, got {self.groupings!r}")

    def setup(self, start: Start):
        k, bags = start.n_classes, len(start.evidence)
        if bags < k:
            raise ValueError(f"a group is one bag per class; there are {bags} bags for {k} classes")
        counts, sizes = nearest_counts(start.evidence.counts), start.evidence.sizes.cpu().double().numpy()
        shares = (counts / counts.sum(-1, keepdim=True)).cpu().double().numpy()
        prior = sizes @ shares / sizes.sum()
        likelihood, weight = np.ones((self.groupings, bags, k)), np.zeros((self.groupings, bags))
        for row in range(self.groupings):
            groups = start.rng.permutation(bags)[: bags // k * k].reshape(-1, k)
            for group in groups:
                a = group_prior(shares[group], prior)
                transition = group_transition(shares[group], a)
                used = a > 0  # a bag without weight has no loss; its likelihood 0 would have no logarithm
                likelihood[row, group[used]] = transition[used]
                weight[row, group] = a / sizes[group] / (a / sizes[group]).sum()
            members = sizes[groups.flatten()].sum()
            weight[row] *= members / (weight[row] * sizes).sum()
        to = lambda array: torch.from_numpy(array).to(counts)
        return {"likelihood": to(likelihood), "weight": to(weight)}

    def objective(self, net, batch: Batch):
        evidence = batch.evidence
        now = (batch.progress * self.groupings).floor().long().clamp(max=self.groupings - 1)[None]
        likelihood, weight = (
            batch.state[name].index_select(0, now)[0][batch.index] for name in ("likelihood", "weight")
        )
        z = evidence.grouped(net(batch.x))
        per_member = evidence_nll(z, likelihood[:, None, :].expand_as(z))
        return per_instance(weight * (per_member * evidence.present).sum(-1), evidence).mean(), {}


def group_prior(shares: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """``a`` on the simplex with ``shares^T a`` nearest to ``prior``: ``(bags, K)``, ``(K,)`` -> ``(bags,)``.

    The point of smallest norm among the mixtures of ``shares - prior``. Non-negative least squares finds it, up to
    scale, as the u with ``(shares - prior)^T u`` near 0 and the sum of u near 1: at the best scale of u = s a that
    costs d / (1 + d), which grows with d = |shares^T a - prior|^2.
    """
    from scipy.optimize import nnls

    apart = np.vstack([(shares - prior).T, np.ones(len(shares))])
    u, _ = nnls(apart, np.append(np.zeros(len(prior)), 1.0))
    return u / u.sum()


def group_transition(shares: np.ndarray, a: np.ndarray) -> np.ndarray:
    """``T[i, c] = shares[i, c] a_i / sum_j shares[j, c] a_j``: columns are P(bag | class); ``(bags, K)``.

    A class that no weighted bag has is as likely in every bag as any example: its column is ``a``.
    """
    joint = shares * a[:, None]
    seen = joint.sum(0)
    return np.where(seen > 0, joint / np.where(seen > 0, seen, 1.0), a[:, None])


__all__ = ["LLPFC", "group_prior", "group_transition"]
