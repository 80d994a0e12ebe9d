"""Random streams: every run owns one per purpose, derived from its seed.

A stream is a counter-based generator (Philox) keyed by ``(seed, purpose, counters...)``. It has no state to carry:
epoch 17 of the batch order of seed 3 is the same numbers in any fleet, on any device and after a restart. Two methods
compared at the same seed draw the same numbers (common random numbers), so their difference is paired.

Source of the idea: Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import zlib

import numpy as np

PURPOSES = ("split", "annotation", "initialisation", "order", "augmentation", "method", "data", "bootstrap")


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """The stream of ``purpose`` for ``seed``; ``counters`` (an epoch, say) select independent sub-streams.

    >>> generator(3, "order", 17).permutation(4).tolist() == generator(3, "order", 17).permutation(4).tolist()
    True
    """
    if purpose not in PURPOSES:
        raise ValueError(f"no random stream is called {purpose!r}; known purposes: {', '.join(PURPOSES)}")
    if seed < 0:
        raise ValueError(f"a seed must be a whole number from 0, got {seed}")
    # Philox has a 128-bit key and a 256-bit counter that it counts up from the low end; ours take the two high words
    if len(counters) > 2:
        counters = tuple(np.random.SeedSequence(counters).generate_state(2, np.uint64))
    key = np.array([seed, zlib.crc32(purpose.encode())], dtype=np.uint64)
    start = np.array([0, 0, *counters, *[0] * (2 - len(counters))], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=start))
