"""Bags of examples with class counts: at random, skewed, of neighbours, by an attribute; and noise in the counts.

An annotator sees one split at a time, so no bag straddles training, validation and test examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.counts import whole_counts
from labkit.evidence import Bags, Evidence, Labels, one_hot
from labkit.evidence.bags import pad


class _Bagging(Annotator):
    """Puts every example into one bag; ``groups`` says which."""

    def groups(self, labels: np.ndarray, features: Tensor, rng: np.random.Generator, **known: Tensor):
        """Positions of the members, an array per bag."""
        raise NotImplementedError

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Bags:
        if labels.labels.ndim != 1:
            raise TypeError(f"bags hold examples with one class each, got labels {tuple(labels.labels.shape)}")
        made = self.groups(labels.labels.numpy(), features, rng, **known)
        members, present = pad([torch.from_numpy(np.asarray(g, dtype=np.int64)) for g in made])
        classes = one_hot(labels.labels[members], labels.n_classes) * present[..., None]
        return Bags(members, classes.sum(1), present)


@dataclass(frozen=True)
class RandomBags(_Bagging):
    """Bags of examples drawn at random.

    Args:
        size: members per bag; what is left over makes a last, smaller bag.
        spread: 0 for bags of one size; above it, sizes are log-normal with this standard deviation of the log, as many
            bags as with ``spread=0`` and at least one member in each.
        count: at most so many bags, of examples drawn at random; the others lie in none. None bags them all.
    """

    size: int = 16
    spread: float = 0.0
    count: int | None = None

    def groups(self, labels, features, rng):
        n, size = len(labels), check_size(self.size, len(labels))
        if self.count is not None:
            if self.count < 1:
                raise ValueError(f"count is a number of bags from 1, got {self.count}")
            n = min(n, self.count * size)
        if self.spread < 0:
            raise ValueError(f"spread is a standard deviation from 0, got {self.spread}")
        order = rng.permutation(len(labels))[:n]
        if self.spread == 0:
            return [order[a : a + size] for a in range(0, n, size)]
        weights = rng.lognormal(0.0, self.spread, -(-n // size))
        ends = 1 + np.arange(len(weights)) + np.floor(weights.cumsum() / weights.sum() * (n - len(weights))).astype(int)
        ends[-1] = n
        return np.split(order, ends[:-1])


@dataclass(frozen=True)
class DirichletBags(_Bagging):
    """Bags of ``size`` whose class proportions differ more than by chance.

    Each bag draws proportions from a Dirichlet distribution around what is left of every class (``concentration`` is
    the sum of its parameters: small for nearly pure bags, large for bags as at random), then members of those classes.
    The last bags take what remains.
    """

    size: int = 16
    concentration: Any = 1.0

    def groups(self, labels, features, rng):
        n, size = len(labels), check_size(self.size, len(labels))
        if not self.concentration > 0:
            raise ValueError(f"concentration is a number above 0, got {self.concentration}")
        pools = [list(rng.permutation(np.flatnonzero(labels == c))) for c in range(labels.max() + 1)]
        made = []
        for first in range(0, n, size):
            wanted = min(size, n - first)
            left = np.array([len(p) for p in pools], dtype=float)
            share = rng.gamma(np.maximum(self.concentration * left / left.sum(), 1e-12))
            share = share / share.sum() if share.sum() > 0 else left / left.sum()
            bag = []
            while len(bag) < wanted:  # a class that runs out is drawn no more
                left = np.array([len(p) for p in pools], dtype=float)
                open_share = np.where(left > 0, np.maximum(share, 1e-12), 0.0)
                drawn = rng.multinomial(wanted - len(bag), open_share / open_share.sum())
                for pool, count in zip(pools, np.minimum(drawn, left).astype(int)):
                    bag += [pool.pop() for _ in range(count)]
            made.append(np.array(bag))
        return made


@dataclass(frozen=True)
class ClusteredBags(_Bagging):
    """Bags of neighbours in input space, of ``size`` members (the last ones may be smaller).

    The examples are halved again and again along the line between two of them drawn at random, until a piece is a bag.

    Args:
        size: members per bag.
        mixing: share of the members of each bag that then change places at random; 1 gives bags as at random.
    """

    size: int = 16
    mixing: Any = 0.0

    def groups(self, labels, features, rng):
        n, size = len(labels), check_size(self.size, len(labels))
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing is a share in [0, 1], got {self.mixing}")
        x = features.flatten(1).double().numpy()
        order = np.concatenate(_halves(np.arange(n), x, size, rng))
        moved = np.flatnonzero(rng.random(n) < self.mixing)
        order[moved] = order[rng.permutation(moved)]
        return [order[a : a + size] for a in range(0, n, size)]


def _halves(index: np.ndarray, x: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    if len(index) <= size:
        return [index]
    one, other = x[rng.choice(index, 2, replace=False)]
    index = index[np.argsort((x[index] * (other - one)).sum(1), kind="stable")]
    middle = -(-len(index) // size) // 2 * size  # a whole number of bags to the left
    return _halves(index[:middle], x, size, rng) + _halves(index[middle:], x, size, rng)


@dataclass(frozen=True)
class AttributeBags(_Bagging):
    """Examples that share a value of ``Data.side[name]`` (whole numbers) make a bag.

    Args:
        name: the attribute.
        size: bags larger than this are cut, at random, into bags of ``size`` (the last of a value may be smaller);
            None leaves them whole.
        count: all seeds must give the same number of bags to be trained together; where values are rare or bags are cut
            that may differ, and this keeps the largest so many bags. A share below 1 is of the bags of ``size`` that
            the examples of the split would fill; it can always be had, in a small validation split too.
    """

    name: str
    size: int | None = None
    count: int | float | None = None

    def __post_init__(self):
        if isinstance(self.count, float) and not (0 < self.count < 1 and self.size):
            raise ValueError(f"count is a number of bags, or a share of those of a size; got {self.count}, {self.size}")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.name,)

    def groups(self, labels, features, rng, **known):
        value = known[self.name].numpy()
        if value.ndim != 1 or value.dtype.kind not in "iub":
            raise ValueError(f"bags are made by one whole number per example, {self.name!r} is {value.dtype}")
        made = []
        for v in np.unique(value):
            held = rng.permutation(np.flatnonzero(value == v))
            made += [held] if self.size is None else [held[a : a + self.size] for a in range(0, len(held), self.size)]
        if self.count is None:
            return made
        count = max(1, int(self.count * (len(value) // self.size))) if isinstance(self.count, float) else self.count
        if len(made) < count:
            raise ValueError(f"{self.name!r} makes {len(made)} bags, and count asks for {count}")
        shuffled = [made[i] for i in rng.permutation(len(made))]  # among bags of one size no value goes before another
        return sorted(shuffled, key=len, reverse=True)[:count]


@dataclass(frozen=True)
class LaplaceCounts(Annotator):
    """Adds Laplace noise of scale ``1 / epsilon`` to every count: ``epsilon``-differential privacy for the presence of
    one member (adding or leaving out a record changes one count by 1; exchanging one for another changes two, for
    which the same noise gives ``2 epsilon``).

    Args:
        epsilon: the privacy budget; small is private.
        reveal: the evidence carries the noisy counts and their scale. Otherwise it carries whole counts from 0 that
            add up to the bag's size, as near as rounding gets, to be taken at their word.

    Source: Dwork, McSherry, Nissim, Smith (2006), "Calibrating noise to sensitivity in private data analysis".
    """

    epsilon: Any = 1.0
    reveal: bool = True

    takes: ClassVar[tuple[type[Evidence], ...]] = (Bags,)

    def __call__(self, labels: Bags, features: Tensor, rng: np.random.Generator) -> Bags:
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is a privacy budget above 0, got {self.epsilon}")
        bags, scale = labels, 1 / float(self.epsilon)
        noisy = bags.counts.double().numpy() + scale * rng.laplace(size=tuple(bags.counts.shape))
        if self.reveal:
            return Bags(bags.members, torch.from_numpy(noisy), bags.present, noise=scale)
        kept = torch.from_numpy(noisy).clamp_min(0)
        kept = torch.where(kept.sum(1, keepdim=True) > 0, kept, 1.0)
        return Bags(bags.members, whole_counts(kept, bags.sizes), bags.present)


def check_size(size: int, n: int) -> int:
    """A bag size between 1 and the number of examples."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size <= n:
        raise ValueError(f"a bag has a whole number of members from 1 to the {n} examples of the split, got {size!r}")
    return int(size)
