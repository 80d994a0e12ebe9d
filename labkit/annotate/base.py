"""What an annotator is, and how two are chained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from labkit.evidence import Evidence, Labels


class Annotator:
    """Turns labels into evidence: ``annotator(labels, features, rng) -> Evidence``.

    ``labels`` is :class:`~labkit.evidence.Labels` (clean, or what an earlier annotator of a chain said), ``features``
    ``(n, ...)`` the inputs, ``rng`` a NumPy generator. Subclasses are dataclasses; their number-valued fields may be a
    ``labkit.sweep``. At one seed the same uniform numbers are used whatever the rate, so a higher rate flips a
    superset of the examples and differences between rates are paired.

    ``needs`` names what else an annotator wants to know of its examples, "posterior" (the true one) or an entry of
    ``Data.side``; it is handed to the call by that name.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[type[Evidence], ...]] = (Labels,)  # what it can be handed

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Evidence:
        raise NotImplementedError

    def __rshift__(self, then: Annotator) -> Chain:
        """``first >> second``: the second annotates what the first said."""
        return Chain((*_links(self), *_links(then)))


@dataclass(frozen=True)
class Chain(Annotator):
    """Annotators one after another; each must take what the one before it returns (most take labels)."""

    links: tuple[Annotator, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for link in self.links for name in link.needs))

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Evidence:
        evidence: Evidence = labels
        for link in self.links:
            if not isinstance(evidence, link.takes):
                takes = " or ".join(form.__name__ for form in link.takes)
                raise TypeError(
                    f"{type(link).__name__} takes {takes}, but before it in the chain there are "
                    f"{type(evidence).__name__}; change the order"
                )
            evidence = link(evidence, features, rng, **{name: known[name] for name in link.needs})
        return evidence


def _links(annotator: Annotator) -> tuple[Annotator, ...]:
    return annotator.links if isinstance(annotator, Chain) else (annotator,)


def check_rate(rate: float, name: str = "rate") -> float:
    """A probability, or a ValueError that says what a rate is."""
    rate = float(rate)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"{name} is a probability in [0, 1], got {rate:g}")
    return rate
