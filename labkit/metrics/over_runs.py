"""What every metric shares: checks on its inputs, runs in chunks, diverged runs, sums that do not depend on the batch.

A metric is written for finite float64 ``logits (runs, n, K)`` and ``labels (runs, n)``. ``over_runs`` gives it the
public contract: any leading run axes or none, any floating type, NaN for a run that holds a number that is not finite,
and bounded memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .memo import forget

# glibc gives freed memory back at once, and taking it again costs more than what a metric computes in it, until a block
# of this size has been freed; from then on it keeps twice as much (mallopt(3), dynamic threshold)
torch.empty(31 << 20, dtype=torch.uint8)

CHUNK = 1 << 17  # numbers of the largest input per chunk: 1 MiB in float64, which a core's own cache holds


def describe(value: object) -> str:
    """``a tensor of shape (3, 4) and torch.float32`` or the name of another type, for error messages."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
    return f"a {type(value).__name__}"


def check_rows(name: str, rows: object, last: str = "K") -> None:
    """Raise unless ``rows`` is a floating-point tensor (..., n, ``last``) with at least one example and one column."""
    if not isinstance(rows, Tensor) or not rows.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor (..., n, {last}), got {describe(rows)}; "
                        "turn arrays into tensors with torch.as_tensor(array, dtype=torch.float32)")
    if rows.dim() < 2 or 0 in rows.shape[-2:]:
        raise ValueError(f"{name} must have shape (..., n, {last}) with n and {last} at least 1, got {describe(rows)}")


def spread(name: str, tensor: Tensor, shape: tuple[int, ...], fixed: int = 1) -> Tensor:
    """``tensor`` broadcast to ``shape``, no copy; the last ``fixed`` axes must agree, run axes may be 1 or missing."""
    have = tuple(tensor.shape)
    matches = [h == s or (h == 1 and i >= fixed) for i, (h, s) in enumerate(zip(have[::-1], shape[::-1]))]
    if not fixed <= len(have) <= len(shape) or not all(matches):
        raise ValueError(f"{name}: got shape {have}, expected {shape} or fewer leading run axes, or 1 in their place; "
                         "check that it belongs to the same examples and runs")
    return tensor.expand(shape)


def check_labels(labels: object, rows: Tensor, classes: int) -> Tensor:
    """``labels`` (n,) or (..., n) as int64 on the device of ``rows``, broadcast to (..., n); raise unless in range."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool or labels.dim() == 0:
        raise TypeError(f"labels must be an integer tensor (n,) or (..., n), got {describe(labels)}; "
                        "class indices, not one-hot rows or probabilities")
    labels = labels.to(rows.device, torch.long)
    if labels.numel():
        low, high = (int(end) for end in labels.aminmax())
        if low < 0 or high >= classes:
            raise ValueError(f"labels must lie in 0..{classes - 1} for {classes} classes, got {low}..{high}; "
                             "leave out examples that have no label")
    return spread("labels", labels, tuple(rows.shape[:-1]))


def total(values: Tensor, axis: int = -1) -> Tensor:
    """Sum over an axis in an order that depends on its length alone, not on how many sums are made at once.

    torch picks its order of additions by the size of the whole tensor and its threads, so a run alone and the same run
    among others can differ in the last bit. numpy's pairwise sum takes row by row; where it cannot be asked (a gradient
    is wanted, another device) the second half is added to the first until one entry is left. Both make a rounding error
    that grows with log n only.
    """
    if values.device.type == "cpu" and not values.requires_grad:
        return torch.as_tensor(np.add.reduce(values.movedim(axis, -1).contiguous().numpy(), -1))
    while (n := values.shape[axis]) > 1:
        half = (n + 1) // 2
        first = values.narrow(axis, 0, half).clone()
        first.narrow(axis, 0, n - half).add_(values.narrow(axis, half, n - half))
        values = first
    return values.select(axis, 0)


def over_classes(values: Tensor) -> Tensor:
    """Sum ``(..., n)`` over the classes of ``(..., K, n)``, one after another: as ``total``, the same in any batch."""
    if values.device.type == "cpu" and not values.requires_grad:
        return torch.from_numpy(np.add.reduce(values.numpy(), -2))
    result = values.select(-2, 0).clone()
    for k in range(1, values.shape[-2]):
        result += values.select(-2, k)
    return result


def mean(values: Tensor) -> Tensor:
    """Mean over the last axis; see ``total``."""
    return total(values) / values.shape[-1]


def over_runs(function: Callable, lead: tuple[int, ...], *inputs: Tensor):
    """``function`` on chunks of runs.

    Each input has shape ``lead + rest``. ``function`` receives them as ``(runs, rest)``, floating ones in float64, and
    returns one tensor ``(runs, rest)`` or a tuple of such. A run in which any floating input is NaN or infinite is
    computed on zeros and answered with NaN, so it neither stops the others nor changes them.
    """
    runs = math.prod(lead)
    flat = [x.reshape(runs, *x.shape[len(lead):]) for x in inputs]
    step = max(1, CHUNK // max(math.prod(x.shape[1:]) for x in flat))
    chunks = [[x[start:start + step] for x in flat] for start in range(0, max(runs, 1), step)]
    parts = [_on_finite(function, chunk) for chunk in chunks]
    columns = zip(*(results for results, _ in parts))
    joined = tuple(torch.cat(column).reshape(lead + column[0].shape[1:]) for column in columns)
    return joined[0] if parts[0][1] else joined


def _on_finite(function: Callable, chunk: list[Tensor]) -> tuple[list[Tensor], bool]:
    """The results of one chunk, NaN for runs that diverged, and whether ``function`` gave a tensor and no tuple."""
    finite = torch.ones(chunk[0].shape[0], dtype=torch.bool, device=chunk[0].device)
    for x in chunk:
        if x.is_floating_point() and x[:1].numel():
            x = x.flatten(1)  # either end shows a NaN, and both are found many times quicker than by isfinite
            finite &= x.amin(1).isfinite() & x.amax(1).isfinite()
    chunk = [_in_double(x) if x.is_floating_point() else x for x in chunk]
    diverged = not finite.all()
    kept = lambda x, other: x.where(finite.reshape(-1, *[1] * (x.dim() - 1)), other)
    if diverged:
        chunk = [kept(x, 0.0) if x.is_floating_point() else x for x in chunk]
    try:
        results = function(*chunk)
    finally:
        forget()
    single = isinstance(results, Tensor)
    results = [r.double() for r in ((results,) if single else results)]
    return [kept(r, math.nan) for r in results] if diverged else results, single


def _in_double(x: Tensor) -> Tensor:
    """``(runs, n, K)`` is laid out class by class on the way, which is how ``by_class`` wants it."""
    if x.dim() != 3:
        return x.double()
    return torch.empty(x.mT.shape, dtype=torch.double, device=x.device).copy_(x.mT).mT


def per_run(function: Callable) -> Callable:
    """Decorator: a formula in ``logits (runs, n, K)``, ``labels (runs, n)`` and options becomes a public metric."""

    @functools.wraps(function)
    @torch.no_grad()
    def metric(logits: Tensor, labels: Tensor, *options, **named_options) -> Tensor:
        check_rows("logits", logits)
        labels, lead = check_labels(labels, logits, logits.shape[-1]), tuple(logits.shape[:-2])
        return over_runs(lambda z, y: function(z, y, *options, **named_options), lead, logits, labels)

    metric.formula = function
    return metric
