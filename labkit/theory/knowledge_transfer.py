"""Learning a table of probabilities from a teacher who tells one label, its probability, or the whole row.

Zhao, Zhu (2024), "Towards the fundamental limits of knowledge transfer over finite domains", ICLR. There are S inputs
with frequencies ``rho`` and A labels; the teacher is the table ``probs[s, a] = P(a | s)``. A training set is n draws
``s ~ rho``, ``a ~ probs[s]``. All that the learners need of it is how often each pair came, so a training set is an
``(S, A)`` table of counts and R training sets are ``(R, S, A)``. Everything is float64.

What a learner knows of the teacher, and its best rate (the paper's theorems, up to constants and logarithms):

- :func:`hard_labels`: the labels that came; ``sqrt(S A / n)``;
- :func:`naive_cross_entropy`, :func:`squared_error_logit`: also the probabilities of the labels that came;
  not consistent, and ``S A / n``;
- :func:`soft_labels`: the whole row of every input that came; ``S / n``, whatever A is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from labkit.streams import generator


@dataclass(frozen=True)
class Teacher:
    """``rho``: ``(S,)`` frequencies of the inputs. ``probs``: ``(S, A)`` probabilities of the labels, rows sum to 1."""

    rho: Tensor
    probs: Tensor

    def __post_init__(self):
        for name in ("rho", "probs"):
            value = getattr(self, name)
            if (value < 0).any() or not torch.allclose(value.sum(-1), torch.ones_like(value.sum(-1)), atol=1e-9):
                raise ValueError(f"{name} must be distributions (not negative, sum 1); it sums to {value.sum(-1)}")

    def sample(self, n: int, repeats: int, rng: np.random.Generator) -> Tensor:
        """Counts ``(repeats, S, A)`` of ``repeats`` independent training sets of n draws each."""
        joint = (self.rho[:, None] * self.probs).cpu().numpy()
        counts = rng.multinomial(n, joint.ravel() / joint.sum(), size=repeats)
        return torch.from_numpy(counts.reshape(repeats, *joint.shape)).to(self.probs)


def teacher(instance: int, inputs: int, labels: int, n: int = 0, device: str | torch.device = "cpu") -> Teacher:
    """A teacher of the paper's simulations (appendix F). All but number 0 change with the size n of the training set.

    For a *fixed* teacher with full support the error of the last two learners falls exponentially (their remark 6.1);
    a rate is about the hardest teacher for each n. Labels are counted from 1 here, as in the paper:

    - 0: half uniform, half on label ``(s mod A) + 1``; it sets the four learners apart.
    - 1: odd labels ``(1 + d) / A``, even ones ``(1 - d) / A``, ``d = sqrt(S A / n) / 4``: hard for hard labels.
    - 2: odd labels ``S / (n + 1)``, even ones 0, the last label the rest: each odd label comes about once, so a third
      of them is never seen. Hard for whoever knows the probabilities of seen labels only.
    - 3: every input but the last has frequency ``1 / (n + 1)``: a third of them is never seen. Hard for everybody. We
      let the teacher be uniform on the first half of the labels, at distance 1/2 from uniform for every even A.

    Raises:
        ValueError: an odd number of labels (1 and 3 would not be what they say), or n too small for the instance.
    """
    s, a = inputs, labels
    if s < 2 or a < 2 or (a % 2 and instance):
        raise ValueError(f"a teacher needs two inputs and an even number of labels (any for number 0), got {s} and {a}")
    rho = torch.full((s,), 1 / s, dtype=torch.float64)
    odd = torch.arange(a) % 2 == 0  # labels 1, 3, ... stand at 0, 2, ...
    if instance == 0:
        row = 0.5 * torch.eye(a, dtype=torch.float64)[(torch.arange(s) + 1) % a] + 0.5 / a
    elif instance == 1:
        d = 0.25 * (s * a / max(n, 1)) ** 0.5
        row = torch.where(odd, 1 + d, 1 - d).double() / a
    elif instance == 2:
        row = torch.where(odd, s / (n + 1), 0.0).double()
        row[-1] = 1 - row[:-1].sum()
    elif instance == 3:
        rho = torch.full((s,), 1 / (n + 1), dtype=torch.float64)
        rho[-1] = 1 - rho[:-1].sum()
        row = (torch.arange(a) < a // 2).double() * 2 / a
    else:
        raise ValueError(f"there are instances 0, 1, 2 and 3, got {instance}")
    if (row < 0).any() or (rho < 0).any():
        raise ValueError(f"instance {instance} with {s} inputs and {a} labels needs more than n = {n} draws")
    return Teacher(rho.to(device), row.expand(s, a).clone().to(device))


# ---- the learners: counts (..., S, A) and what they may know of the teacher's table, to an estimate of it ------------


def hard_labels(counts: Tensor, probs: Tensor) -> Tensor:
    """Maximum likelihood from labels alone: the share of each label (equation 3.3); an input never seen: uniform."""
    return _normalised(counts)


def naive_cross_entropy(counts: Tensor, probs: Tensor) -> Tensor:
    """The minimum of ``-sum_i probs[s_i, a_i] log p(a_i | s_i)``: ``n(s, a) probs[s, a]``, normalised (equation 4.3).

    It tends to ``probs^2 / sum probs^2`` (lemma 4.2): right only where the teacher is uniform on what it may say.
    """
    return _normalised(counts * probs)


def squared_error_logit(counts: Tensor, probs: Tensor) -> Tensor:
    """The minimum of ``sum_i (log p(a_i | s_i) - log probs[s_i, a_i])^2 / 2`` (equation 4.6), which is 0.

    The labels that came have the teacher's probability; where that leaves a choice, what remains is spread evenly
    over the labels of that input that never came.
    """
    seen = counts > 0
    known = torch.where(seen, probs, 0.0)
    unseen = (~seen).sum(-1, keepdim=True)
    return torch.where(seen, probs, (1 - known.sum(-1, keepdim=True)).clamp_min(0.0) / unseen.clamp_min(1))


def soft_labels(counts: Tensor, probs: Tensor) -> Tensor:
    """The minimum of ``sum_i KL(probs[s_i] || p(. | s_i))``: the teacher's row, for every input that came."""
    return torch.where(counts.sum(-1, keepdim=True) > 0, probs, 1 / probs.shape[-1])


LEARNERS = {
    "hard labels": hard_labels,
    "naive cross entropy": naive_cross_entropy,
    "squared error logit": squared_error_logit,
    "full soft labels": soft_labels,
}


def _normalised(weights: Tensor) -> Tensor:
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / torch.where(total > 0, total, 1.0), 1 / weights.shape[-1])


# ---- errors, simulations and rates ---------------------------------------------------------------------------------


def error(estimate: Tensor, truth: Teacher) -> Tensor:
    """``sum_s rho(s) sum_a |estimate - probs| / 2``, the total variation distance from the teacher, shape ``(...)``."""
    return 0.5 * ((estimate - truth.probs).abs().sum(-1) * truth.rho).sum(-1)


def simulate(
    instances, sizes, *, inputs: int, labels: int, seeds: int, repeats: int, device: str | torch.device = "cpu"
) -> pd.DataFrame:
    """Mean error over ``repeats`` training sets, per seed: columns instance, n, learner, seed, labels, error.

    All learners see the same training sets. A seed's numbers come from its own stream, whatever else is simulated.
    """
    rows = []
    for instance in instances:
        for n in sizes:
            truth = teacher(instance, inputs, labels, n, device)
            for seed in range(seeds):
                counts = truth.sample(n, repeats, generator(seed, "data", instance, n, inputs, labels))
                fixed = {"instance": instance, "n": n, "seed": seed, "labels": labels}
                for name, learner in LEARNERS.items():
                    mean = error(learner(counts, truth.probs), truth).mean()
                    rows.append({**fixed, "learner": name, "error": float(mean)})
    return pd.DataFrame(rows)


def exact_soft_label_error(truth: Teacher, n: int) -> float:
    """Expected error of :func:`soft_labels`: ``sum_s rho (1 - rho)^n TV(uniform, probs[s])``, without simulation."""
    distance = 0.5 * (truth.probs - 1 / truth.probs.shape[-1]).abs().sum(-1)
    return float((truth.rho * (1 - truth.rho) ** n * distance).sum())


def plateau(truth: Teacher) -> float:
    """Where :func:`naive_cross_entropy` ends: the distance of ``probs^2 / sum probs^2`` from the teacher."""
    return float(error(_normalised(truth.probs**2), truth))


def slopes(table: pd.DataFrame, x: str = "n") -> pd.Series:
    """Per seed the least-squares slope of log error against log ``x``: the exponent of a power law."""
    fit = lambda rows: np.polyfit(np.log(rows[x]), np.log(rows["error"]), 1)[0]
    return pd.Series({seed: fit(rows) for seed, rows in table.groupby("seed")})
