"""`Data`: features with clean labels, checked once; how they are split, made smaller and shown."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from labkit.streams import generator


class Split(NamedTuple):
    """Index tensors (int64) into one `Data`: disjoint, and together every example."""

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """n examples with their CLEAN labels; imperfect labels are made from them by an annotator.

    Raises TypeError for a wrong dtype and ValueError for shapes that disagree, NaN or infinite features (how many, and
    where the first is), class indices outside ``0 .. K-1`` and index lists that do not fit.
    """

    name: str
    x: torch.Tensor  # (n, ...) float32, standardised
    y: torch.Tensor  # (n,) int64, clean class indices; (n, P) where each of P places in an example has a class
    classes: tuple[str, ...]  # K names
    test: torch.Tensor | None = None  # (m,) int64, the official test set; None: each seed draws its own
    posterior: torch.Tensor | None = None  # (*y.shape, K) float64, the true P(class | x) where it is known
    image_shape: tuple[int, ...] | None = None  # (H, W) or (C, H, W) if one row of x is an image
    pixel_mean: tuple[float, ...] = (0.0,)  # x = (pixel - mean) / std, one value or one per channel; pixels in [0, 1]
    pixel_std: tuple[float, ...] = (1.0,)
    source: str = ""  # where the numbers came from, when that matters to a reader
    side: Mapping[str, torch.Tensor] = field(default_factory=dict)  # (n, ...): what else is known of an example
    # (its environment, the time to the next event). Methods see it in their batches and annotators may ask for it, so
    # it holds nothing that evidence is meant to hide

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        self._check_tensors()
        self._check_labels()
        self._check_test()
        self._check_posterior()
        self._check_side()
        if self.image_shape is not None and math.prod(self.image_shape) != math.prod(self.shape):
            raise ValueError(f"{self.name}: image_shape {self.image_shape} holds {math.prod(self.image_shape)} values, "
                             f"an example of shape {self.shape} has {math.prod(self.shape)}")

    @property
    def n(self) -> int:
        """Number of examples, the official test set included."""
        return len(self.y)

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.x.shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a SHA-256 over all that runs learn from: changes when any value or index changes.

        That is x, y, test, side and posterior: an annotator may draw its labels from the last two.
        """
        digest = hashlib.sha256()
        held = {**self.side, **({} if self.posterior is None else {"posterior": self.posterior})}
        for name in sorted(held):
            digest.update(name.encode())
        for tensor in (self.x, self.y, self.test, *(held[name] for name in sorted(held))):
            if tensor is None:
                digest.update(b"none")
            else:
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        test = f", official test set of {len(self.test):,}" if self.test is not None else ""
        posterior = ", true posterior known" if self.posterior is not None else ""
        source = f" ({self.source})" if self.source else ""
        return f"Data {self.name}: {self.n:,} × {self.shape}, {self.n_classes} classes{test}{posterior}{source}"

    def split(self, seed: int, validation: float = 0.1, test: float = 0.2) -> Split:
        """Train, validation and test indices, stratified by class, from the stream ``(seed, "split")``.

        Examples with a class in each of many places are not stratified.

        Without an official test set ``validation`` and ``test`` are fractions of all examples. With one, test is that
        set for every seed, the argument ``test`` is not used and ``validation`` is a fraction of the other examples.
        The sizes, of every class too, depend on the data only: all seeds give equal sizes, so runs can be stacked.
        Every class keeps an example for training. ``validation=0`` asks for an empty validation set; otherwise a
        split that would be empty is a ValueError. Train and validation come in random order.
        """
        for name, fraction in (("validation", validation), ("test", test)):
            if not 0 <= fraction < 1:
                raise ValueError(f"{name} must be a fraction from 0 up to 1, got {fraction}")
        rng = generator(seed, "split")
        pool = self._pool()
        size = len(pool)
        if self.test is None:
            chosen = self._draw(pool, _size("test", test, size), rng, spare=1)
            test_index, pool = pool[chosen], pool[~chosen]
        else:
            test_index = self.test.cpu().numpy()
        count = _size("validation", validation, size) if validation else 0
        chosen = self._draw(pool, count, rng, spare=1)
        train = rng.permutation(pool[~chosen])
        return Split(*(torch.from_numpy(i.copy()) for i in (train, rng.permutation(pool[chosen]), test_index)))

    def subset(self, n: int, seed: int = 0, test: int | None = None) -> Data:
        """A smaller `Data` for short profiles: ``n`` stratified examples, at least one of every class.

        With an official test set the ``n`` come from the other examples, and ``test`` examples of the test set are
        kept (all of them by default). Order is kept; the test set comes last. ValueError when there are too few.
        """
        if test is not None and self.test is None:
            raise ValueError(f"{self.name} has no official test set to take test={test} from; leave `test` out")
        rng = generator(seed, "data")
        pool = self._pool()
        keep = [pool[self._draw(pool, n, rng, least=1)]]
        if self.test is not None:
            official = np.sort(self.test.cpu().numpy())
            keep.append(official if test is None else official[self._draw(official, test, rng, least=1)])
        index = torch.from_numpy(np.concatenate(keep))
        return replace(
            self, x=self.x[index], y=self.y[index],
            test=None if self.test is None else torch.arange(len(keep[0]), len(index)),
            posterior=None if self.posterior is None else self.posterior[index],
            side={name: value[index] for name, value in self.side.items()},
            source=f"{self.source}{'; ' if self.source else ''}subset of {len(index):,} from {self.n:,}",
        )

    def shortened(self, n: int) -> Data:
        """:meth:`subset` of ``n``, with as many of an official test set or all it has; 0 is the whole set."""
        if n == 0:
            return self
        return self.subset(n, test=None if self.test is None else min(n, len(self.test)))

    def image(self, i: int) -> np.ndarray:
        """Example ``i`` as matplotlib shows it: (H, W) or (H, W, 3), values in [0, 1], the scaling undone."""
        if self.image_shape is None:
            raise ValueError(f"{self.name} has no image_shape: its examples are not images")
        pixels = self.x[i].detach().cpu().double().numpy().reshape(self.image_shape)
        mean, std = (np.asarray(v).reshape(-1, *[1] * (pixels.ndim - 1)) for v in (self.pixel_mean, self.pixel_std))
        pixels = np.clip(pixels * std + mean, 0.0, 1.0)
        return pixels if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1).squeeze()

    def _pool(self) -> np.ndarray:
        """Indices that are not in the official test set."""
        inside = np.ones(self.n, dtype=bool)
        if self.test is not None:
            inside[self.test.cpu().numpy()] = False
        return np.flatnonzero(inside)

    def _draw(self, pool: np.ndarray, total: int, rng: np.random.Generator, *, least: int = 0, spare: int = 0):
        """A mask over ``pool`` with ``total`` True, stratified; each class gives >= ``least`` and keeps ``spare``."""
        labels = self.y.cpu().numpy()[pool] if self.y.ndim == 1 else np.zeros(len(pool), dtype=np.int64)
        counts = np.bincount(labels, minlength=self.n_classes)
        sizes = allocate(counts, total, np.minimum(counts, least), np.maximum(counts - spare, 0))
        mask = np.zeros(len(pool), dtype=bool)
        for k, size in enumerate(sizes):
            mask[rng.permutation(np.flatnonzero(labels == k))[:size]] = True
        return mask

    def _check_tensors(self) -> None:
        for name, dtype in (("x", torch.float32), ("y", torch.int64), ("test", torch.int64),
                            ("posterior", torch.float64)):
            value = getattr(self, name)
            if value is None and name in ("test", "posterior"):
                continue
            if not isinstance(value, torch.Tensor) or value.dtype != dtype:
                came = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
                raise TypeError(f"{self.name}: {name} must be a {dtype} tensor, got {came}; "
                                f"use torch.as_tensor({name}, dtype={dtype})")
        if self.y.ndim not in (1, 2) or self.x.ndim < 2 or len(self.x) != len(self.y) or self.x.numel() == 0 \
                or self.y.numel() == 0:
            raise ValueError(f"{self.name}: expected x of shape (n, ...) and y of shape (n,) or (n, P) with n > 0, got "
                             f"{tuple(self.x.shape)} and {tuple(self.y.shape)}")
        check_finite(self.name, self.x)

    def _check_labels(self) -> None:
        if self.n_classes < 2:
            raise ValueError(f"{self.name}: expected at least two class names, got {self.classes}")
        wrong = ((self.y < 0) | (self.y >= self.n_classes)).nonzero()
        if len(wrong):
            first = wrong[0].tolist()
            raise ValueError(f"{self.name}: {len(wrong)} labels are outside 0 .. {self.n_classes - 1} for "
                             f"{self.n_classes} classes, the first at y{first} = {int(self.y[tuple(first)])}; "
                             "drop unlabelled examples, or name all classes")

    def _check_test(self) -> None:
        if self.test is None:
            return
        index = self.test
        if index.ndim != 1 or not 0 < len(index) < self.n or len(index.unique()) != len(index) \
                or index.min() < 0 or index.max() >= self.n:
            raise ValueError(f"{self.name}: test must list different examples among 0 .. {self.n - 1}, at least one "
                             f"and not all of them, got {len(index)} indices of shape {tuple(index.shape)}")

    def _check_posterior(self) -> None:
        p = self.posterior
        if p is None:
            return
        shape = (*self.y.shape, self.n_classes)
        if p.shape != shape or not (p >= 0).all() or not ((p.sum(-1) - 1).abs() < 1e-9).all():
            raise ValueError(f"{self.name}: posterior must be {shape} probabilities with rows that sum to 1, "
                             f"got shape {tuple(p.shape)}")

    def _check_side(self) -> None:
        for name, value in self.side.items():
            if name == "posterior" or not isinstance(value, torch.Tensor) or len(value) != self.n:
                came = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(f"{self.name}: side[{name!r}] must be a tensor with a row for each of the {self.n} "
                                 f"examples (and not be called posterior), got {came}")
            if value.is_floating_point():
                check_finite(f"{self.name}, side[{name!r}]", value)


def check_finite(name: str, x: torch.Tensor) -> None:
    """ValueError that counts the NaN and infinite entries of ``x`` and shows the first."""
    if torch.isfinite(x.sum(dtype=torch.float64)):
        return  # a finite sum has finite terms: the usual case needs no mask as large as x
    bad = ~torch.isfinite(x)
    if bad.any():
        first = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}: {int(bad.sum())} of {x.numel()} features are NaN or infinite, the first at "
                         f"x{first} = {x[tuple(first)].item()}; remove or impute them before loading")


def allocate(counts: np.ndarray, total: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """``total`` shared out among classes in proportion to ``counts``, each share a whole number in [low, high].

    Largest remainder: start from the rounded-down shares, then give (or take) one at a time where the share is the
    furthest from exact. The result depends on the counts only, never on a seed. ValueError when it cannot be done.

    >>> allocate(np.array([50, 30, 20]), 10, np.zeros(3, int), np.array([50, 30, 20])).tolist()
    [5, 3, 2]
    """
    if total != int(total) or not low.sum() <= total <= high.sum():
        raise ValueError(f"cannot take {total} examples from classes of {counts.tolist()} examples: between "
                         f"{low.sum()} and {high.sum()} are possible when every class has its part")
    share = counts * (total / max(counts.sum(), 1))
    size = np.clip(np.floor(share).astype(np.int64), low, high)
    while (missing := int(total) - size.sum()) != 0:
        step = 1 if missing > 0 else -1
        free = size < high if step > 0 else size > low
        size[np.argmax(np.where(free, step * (share - size), -np.inf))] += step
    return size


def _size(name: str, fraction: float, n: int) -> int:
    size = int(n * fraction + 0.5)
    if size == 0:
        raise ValueError(f"the {name} split would be empty: {name}={fraction} of {n} examples; ask for a larger "
                         f"fraction{' (or for 0: no validation set)' if name == 'validation' else ''}")
    return size
