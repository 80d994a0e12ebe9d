"""How likely the class counts of a bag are, and what they say about each member.

Members of a bag are independent given their inputs, member i has class k with probability ``p[i, k]``, and all that is
known is how many members have each class. With ``log_p`` ``(..., S, K)``, ``counts`` ``(..., K)`` and ``present``
``(..., S)`` (False where a smaller bag is padded):

* two classes: the Poisson-binomial distribution, exactly, as a tree of products, O(S^2) in O(log S) steps;
* more classes: exactly, over the lattice of counts (few classes) or over the subsets of places (small bags), while
  that takes at most ``EXACT_LIMIT`` numbers per bag; beyond that by a saddlepoint approximation.

Everything is in log space and stays finite for logits of 1e4. The posterior of a member is the derivative of the log
likelihood by ``log_p``: no second table is needed.

Sources: Shukla, Zeng, Ahmed, Van den Broeck (2023), "A unified approach to count-based weakly supervised learning";
Baručić, Kybic (2022), "Fast learning from label proportions with small bags"; Daniels (1954), "Saddlepoint
approximations in statistics".
"""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor
from torch.nn.functional import pad

NEVER = -1e30  # the log of an impossible event: finite, so that its derivative is a number
EXACT_LIMIT = 2**18  # numbers that an exact table of one bag may take


def count_log_likelihood(log_p: Tensor, counts: Tensor, present: Tensor | None = None, method: str = "auto") -> Tensor:
    """``log P(counts)``, in nats.

    Args:
        log_p: ``(..., S, K)`` log probabilities of the members' classes. counts: ``(..., K)`` whole numbers that add up
            to the number of members. present: ``(..., S)`` booleans, None: nobody is padding.
        method: "exact", "saddlepoint", or "auto": exact where its table has at most ``EXACT_LIMIT`` numbers.

    Returns:
        ``(...)``.
    """
    log_p, counts, present = _prepared(log_p, counts, present)
    size, k = log_p.shape[-2:]
    if _exact(method, size, k):
        if k == 2:
            return _tree(log_p, counts[..., 1], present)
        if _subset_size(size) <= _lattice_size(size, k):
            return _over_subsets(log_p, counts, present)
        table = _lattice(log_p, present)
        return _entry(table, counts[..., :-1])
    return _saddlepoint(log_p, counts, present)


def count_posterior(log_p: Tensor, counts: Tensor, present: Tensor | None = None, method: str = "auto") -> Tensor:
    """P(member i has class k | counts), ``(..., S, K)``; rows of padding are 0. Arguments as above; no gradient.

    That of the saddlepoint adds up to 1 per member and to the counts per class, but may lie a few hundredths outside
    [0, 1] in small bags.
    """

    def total(log_p):
        return count_log_likelihood(log_p, counts, present, method).sum()

    return torch.func.grad(total)(log_p.detach())


def noisy_count_log_likelihood(log_p: Tensor, counts: Tensor, scale, present: Tensor | None = None) -> Tensor:
    """Log density of counts to each of which independent Laplace noise of ``scale`` was added, in nats.

    Sums over the true counts: exact for two classes, and for more while the lattice has ``EXACT_LIMIT`` numbers.

    Raises:
        ValueError: a lattice larger than that.
    """
    log_p, counts, present = _prepared(log_p, counts, present)
    size, k = log_p.shape[-2:]
    if k > 2 and _lattice_size(size, k) > EXACT_LIMIT:
        raise ValueError(
            f"noisy counts of {k} classes in bags of {size} need a table of {_lattice_size(size, k):.1e} numbers per "
            f"bag, and {EXACT_LIMIT} is the limit; use smaller bags or fewer classes"
        )
    table = _distribution(log_p[..., 1], log_p[..., 0], present) if k == 2 else _lattice(log_p, present)
    true = _grid(size, k, counts)  # (states, K - 1)
    last = present.sum(-1)[..., None] - true.sum(-1)  # (..., states)
    apart = (counts[..., None, :-1] - true).abs().sum(-1) + (counts[..., None, -1] - last).abs()
    possible = torch.where(last >= 0, table.flatten(-(k - 1)), NEVER)
    scale = torch.as_tensor(scale, dtype=log_p.dtype, device=log_p.device)
    return (possible - apart / scale).logsumexp(-1) - k * torch.log(2 * scale)


def tilted(log_p: Tensor, counts: Tensor, present: Tensor | None = None, rounds: int = 25) -> Tensor:
    """Members' distributions ``p[i, k] exp(t_k)``, normalised, with ``t`` such that they add up to ``counts``.

    ``(..., S, K)``: the product distribution nearest to ``p`` (in Kullback-Leibler divergence) that has the counts as
    its mean. The exact posterior tends to it as bags grow; it is also the entropic transport plan of weight 1.
    """
    log_p, counts, present = _prepared(log_p, counts, present)
    q = (log_p + _tilt(log_p, counts, present, rounds)[..., None, :]).softmax(-1)
    return q * present[..., None]


def whole_counts(shares: Tensor, sizes: Tensor) -> Tensor:
    """Whole numbers ``(..., K)`` nearest to ``shares * sizes`` that add up to ``sizes`` ``(...)``.

    Largest remainders: round down, then one more for the classes that lost most. (0.29 * 100 is 28.999... in floating
    point: cutting it off gives 28, and counts for which no assignment exists.) ``shares`` need not be normalised.
    """
    exact = shares / shares.sum(-1, keepdim=True) * sizes[..., None]
    down = (exact + 1e-4).floor()
    rank = (exact - down).argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return down + (rank < (sizes - down.sum(-1))[..., None]).to(down.dtype)


def _prepared(log_p: Tensor, counts: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    if log_p.shape[-1] != counts.shape[-1]:
        raise ValueError(f"log_p has {log_p.shape[-1]} classes and counts have {counts.shape[-1]}")
    if present is None:
        present = torch.ones_like(log_p[..., 0], dtype=torch.bool)
    return log_p.clamp_min(NEVER), counts.to(log_p.dtype), present


def _exact(method: str, size: int, k: int) -> bool:
    if method not in ("auto", "exact", "saddlepoint"):
        raise ValueError(f"method is 'auto', 'exact' or 'saddlepoint', got {method!r}")
    numbers = 0 if k == 2 else min(_lattice_size(size, k), _subset_size(size))
    if method == "exact" and numbers > 64 * EXACT_LIMIT:
        raise ValueError(f"exact counts of {k} classes in bags of {size} need {numbers:.1e} numbers per bag; 'auto'")
    return method == "exact" or (method == "auto" and numbers <= EXACT_LIMIT)


def _lattice_size(size: int, k: int) -> int:
    return size * k * (size + 1) ** (k - 1)


def _subset_size(size: int) -> int:
    return size * 2**size


# ---- two classes: a tree of products -------------------------------------------------------------------------------


def _leaves(log_no: Tensor, log_yes: Tensor, present: Tensor) -> Tensor:
    """Log distributions of each member's own count, ``(..., 2^d, 2)``; padding counts 0 for certain."""
    table = torch.stack([torch.where(present, log_no, 0.0), torch.where(present, log_yes, NEVER)], -1)
    more = (1 << (table.shape[-2] - 1).bit_length()) - table.shape[-2]
    if more:
        nobody = torch.stack([torch.zeros_like(table[..., :1, 0]), torch.full_like(table[..., :1, 1], NEVER)], -1)
        table = torch.cat([table, nobody.expand(*table.shape[:-2], more, 2)], -2)
    return table


def _log_convolve(a: Tensor, b: Tensor) -> Tensor:
    """Log distribution of the sum of two counts, ``(..., L)`` and ``(..., M)`` -> ``(..., L + M - 1)``."""
    rows, columns = a.shape[-1], b.shape[-1]
    both = a[..., :, None] + b[..., None, :]
    # row i moves i places to the right: pad the rows, read them as one line, cut that into rows one shorter
    line = pad(both, (0, rows), value=NEVER).flatten(-2)[..., : rows * (rows + columns - 1)]
    return line.unflatten(-1, (rows, rows + columns - 1)).logsumexp(-2)


def _distribution(log_no: Tensor, log_yes: Tensor, present: Tensor) -> Tensor:
    """Log probabilities of every count of "yes", ``(..., S + 1)``."""
    table = _leaves(log_no, log_yes, present)
    while table.shape[-2] > 1:
        table = _log_convolve(table[..., 0::2, :], table[..., 1::2, :])
    return table[..., 0, : log_no.shape[-1] + 1]


def _tree(log_p: Tensor, count: Tensor, present: Tensor) -> Tensor:
    """Two classes: the log probability of one count; the last product is needed at one place only."""
    table = _leaves(log_p[..., 0], log_p[..., 1], present)
    while table.shape[-2] > 2:
        table = _log_convolve(table[..., 0::2, :], table[..., 1::2, :])
    if table.shape[-2] == 1:
        return table[..., 0, :].gather(-1, count.long()[..., None])[..., 0]
    first, second = table[..., 0, :], table[..., 1, :]
    rest = count.long()[..., None] - torch.arange(first.shape[-1], device=count.device)
    possible = (rest >= 0) & (rest < second.shape[-1])
    other = second.gather(-1, rest.clamp(0, second.shape[-1] - 1))
    return (first + torch.where(possible, other, NEVER)).logsumexp(-1)


# ---- more classes: exact -------------------------------------------------------------------------------------------


def _lattice(log_p: Tensor, present: Tensor) -> Tensor:
    """Log probabilities of all counts of the first K - 1 classes, ``(..., S + 1, ..., S + 1)``, member by member."""
    size, k = log_p.shape[-2:]
    start = torch.full((size + 1,) * (k - 1), NEVER, dtype=log_p.dtype, device=log_p.device)
    start = torch.where(_grid(size, k, log_p).sum(-1).unflatten(0, start.shape) == 0, 0.0, start)
    table = start.expand(*log_p.shape[:-2], *start.shape)
    own = lambda value: value[(..., *[None] * (k - 1))]
    for i in range(size):
        grown = [table + own(log_p[..., i, -1])]
        for axis in range(k - 1):  # one more of class `axis`: everything moves one place along its axis
            moved = table.narrow(axis - (k - 1), 0, size)
            before = [0, 0] * (k - 2 - axis) + [1, 0]
            grown.append(pad(moved, before, value=NEVER) + own(log_p[..., i, axis]))
        table = torch.where(own(present[..., i]), torch.stack(grown).logsumexp(0), table)
    return table


def _grid(size: int, k: int, like: Tensor) -> Tensor:
    """The counts of the first K - 1 classes at each place of the flattened lattice, ``(states, K - 1)``."""
    line = torch.arange(size + 1, dtype=like.dtype, device=like.device)
    return torch.cartesian_prod(*[line] * (k - 1)).view(-1, k - 1)


def _entry(table: Tensor, place: Tensor) -> Tensor:
    """The value of a lattice at counts ``(..., K - 1)``."""
    width, dims = table.shape[-1], place.shape[-1]
    step = width ** torch.arange(dims - 1, -1, -1, device=place.device)
    return table.flatten(-dims).gather(-1, (place.long() * step).sum(-1, keepdim=True))[..., 0]


@functools.cache
def _subsets(size: int) -> list[tuple[list, list]]:
    """For subsets of each number of places: which subset they come from without each place, and which place that is."""
    levels, before = [], {(): 0}
    for n in range(1, size + 1):
        now = list(itertools.combinations(range(size), n))
        levels.append(([[before[s[:j] + s[j + 1 :]] for j in range(n)] for s in now], [list(s) for s in now]))
        before = {s: i for i, s in enumerate(now)}
    return levels


def _over_subsets(log_p: Tensor, counts: Tensor, present: Tensor) -> Tensor:
    """Small bags, any number of classes: write the counts as a list of S classes; sum over who takes which place.

    (The permanent of the members' probabilities of the listed classes, over the number of orders of equal classes.)
    """
    size = log_p.shape[-2]
    upto = counts.cumsum(-1)[..., None, :]
    place = torch.arange(size, device=log_p.device, dtype=log_p.dtype)[:, None]
    wanted = (upto <= place).sum(-1)  # (..., S) the class of every place; K: a place for padding
    nobody = torch.where(present, NEVER, 0.0).to(log_p.dtype)[..., None]
    choices = torch.cat([torch.where(present[..., None], log_p, NEVER), nobody], -1)  # (..., S, K + 1)
    takes = choices.gather(-1, wanted[..., None, :].expand(*choices.shape[:-1], size))  # (..., member, place)
    table = torch.zeros_like(log_p[..., 0, :1])
    for i, (origin, taken) in enumerate(_subsets(size)):
        origin = torch.tensor(origin, device=log_p.device)
        taken = torch.tensor(taken, device=log_p.device)
        table = (table[..., origin] + takes[..., i, :][..., taken]).logsumexp(-1)
    orders = torch.lgamma(counts + 1).sum(-1) + torch.lgamma((~present).sum(-1).to(log_p.dtype) + 1)
    return table[..., 0] - orders


# ---- more classes: saddlepoint -------------------------------------------------------------------------------------


def _tilt(log_p: Tensor, counts: Tensor, present: Tensor, rounds: int = 16) -> Tensor:
    """``t`` ``(..., K)`` that maximises ``t . counts - sum_i log sum_k p[i, k] exp(t_k)``, by damped Newton steps.

    A class that nobody has gets ``NEVER``. A step that does not improve is not made, and the next is shorter.
    """
    return _tilt_in_one(log_p.detach(), counts, present, rounds)


@torch.library.custom_op("labkit::tilt", mutates_args=())
def _tilt_in_one(log_p: Tensor, counts: Tensor, present: Tensor, rounds: int) -> Tensor:
    """The search of :func:`_tilt` as one operator: recording a step would otherwise take seconds for its many parts.

    A bag that has arrived stays where it is, so it does not matter who else is searched for; on a CPU the search ends
    when all have arrived.
    """
    has = counts > 0
    here = present[..., None].to(log_p.dtype)

    def at(t):
        """The value at ``t``, the tilted members, and how far they are from the counts: with one exponential."""
        z = log_p + torch.where(has, t, NEVER)[..., None, :]
        top = z.amax(-1, keepdim=True)
        e = (z - top).exp()
        total = e.sum(-1, keepdim=True)
        q = e / total * here
        return (t * counts).sum(-1) - ((total.log() + top) * here).sum((-2, -1)), q, counts - q.sum(-2)

    t = torch.zeros_like(counts)
    damping = torch.full_like(counts[..., 0], 0.01)
    best, q, slope = at(t)
    identity = torch.eye(counts.shape[-1], dtype=log_p.dtype, device=log_p.device)
    digits = torch.finfo(log_p.dtype).eps
    for _ in range(rounds):
        arrived = slope.abs().amax(-1) <= 2 * digits * counts.sum(-1)
        if log_p.device.type == "cpu" and bool(arrived.all()):
            break
        to = t + _newton(_spread(q) + damping[..., None, None] * identity, slope, counts)
        tried, q_there, slope_there = at(to)
        # near the top values differ by their rounding only; there the smaller slope tells which point is nearer
        rounding = 8 * digits * (1 + best.abs())
        flatter = slope_there.square().sum(-1) < slope.square().sum(-1)
        better = ((tried >= best + rounding) | ((tried >= best - rounding) & flatter)) & ~arrived
        best = torch.where(better, tried, best)
        damping = torch.where(better, damping / 5, damping * 10).clamp(10 * digits, 1e6)
        moved = better[..., None]
        t, slope, q = (
            torch.where(moved, to, t),
            torch.where(moved, slope_there, slope),
            torch.where(moved[..., None], q_there, q),
        )
    return torch.where(has, t, NEVER)


@_tilt_in_one.register_fake
def _(log_p, counts, present, rounds):
    return torch.empty_like(counts)


@_tilt_in_one.register_vmap
def _(info, axes, log_p, counts, present, rounds):
    stacked = [
        t.expand(info.batch_size, *t.shape) if axis is None else t.movedim(axis, 0)
        for t, axis in zip((log_p, counts, present), axes)
    ]
    return _tilt_in_one(*stacked, rounds), 0


def _newton(curvature: Tensor, slope: Tensor, counts: Tensor) -> Tensor:
    """The step ``curvature^-1 slope``, where ``t`` may be moved as a whole and absent classes do not matter.

    Both would leave the matrix singular. A step that is no number all the same is not taken, so nothing is checked.
    """
    return torch.linalg.solve_ex(curvature + _whole(slope, counts), slope[..., None])[0][..., 0]


def _whole(slope: Tensor, counts: Tensor) -> Tensor:
    """What makes a curvature regular: 1 where ``t`` moves as a whole, and for every absent class."""
    has = (counts > 0).to(slope.dtype)
    return has[..., :, None] * has[..., None, :] + torch.diag_embed(1 - has)


def _spread(q: Tensor) -> Tensor:
    """Covariance of the counts of independent members, ``(..., K, K)``."""
    return torch.diag_embed(q.sum(-2)) - q.mT @ q


def _conditional_variances(covariance: Tensor) -> Tensor:
    """Variance of each count given those before it, ``(..., K)``."""
    found = []
    for j in range(covariance.shape[-1]):
        column = covariance[..., j]
        found.append(column[..., j].clamp_min(0))
        scaled = column / column[..., j : j + 1].clamp_min(1e-6)
        covariance = covariance - column[..., :, None] * scaled[..., None, :]
    return torch.stack(found, -1)


def _saddlepoint(log_p: Tensor, counts: Tensor, present: Tensor) -> Tensor:
    """Tilt the members until the counts are what is expected; the chance of exactly that then depends on the spread.

    For one count of variance v that chance is taken as exp(-v) I_0(v) (1 where nothing varies, 1 / sqrt(2 pi v) where
    much does), for several as the product over conditional variances. What this leaves is corrected by its error for
    equal members, where the answer is multinomial, in the measure that the members vary like equal ones.
    """
    t = _tilt(log_p, counts, present)
    here = present.to(log_p.dtype)
    t_free = torch.where(counts > 0, t, 0.0)
    bound = ((log_p + t[..., None, :]).logsumexp(-1) * here).sum(-1) - (t_free * counts).sum(-1)
    total = counts.sum(-1, keepdim=True)
    equal = torch.diag_embed(counts) - counts[..., :, None] * counts[..., None, :] / total[..., None]
    log_share = torch.where(counts > 0, (counts / total).log(), 0.0)
    multinomial = torch.lgamma(total[..., 0] + 1) - torch.lgamma(counts + 1).sum(-1) + (counts * log_share).sum(-1)
    left = multinomial - torch.special.i0e(_conditional_variances(equal)).log().sum(-1)
    spread = _spread(_tilted_by(log_p, counts, present, t))
    chance = torch.special.i0e(_conditional_variances(spread)).log().sum(-1)
    trace = lambda c: c.diagonal(dim1=-2, dim2=-1).sum(-1)
    likeness = trace(spread) / trace(equal).clamp_min(1e-6)
    return bound + chance + likeness.clamp(0, 1) * left


def _tilted_by(log_p: Tensor, counts: Tensor, present: Tensor, t: Tensor) -> Tensor:
    """The members tilted by ``t``, with the derivative of the solution in ``log_p``: that of one more Newton step."""
    here = present[..., None].to(log_p.dtype)
    q = (log_p + t[..., None, :]).softmax(-1) * here
    identity = torch.eye(counts.shape[-1], dtype=log_p.dtype, device=log_p.device)
    slope = counts - q.sum(-2)
    # the inverse, though a solve would do: the derivative of that checks for errors, and a step that checks is not kept
    inverse = torch.linalg.inv_ex(_spread(q).detach() + 1e-6 * identity + _whole(slope, counts))[0]
    step = (inverse @ slope[..., None])[..., 0]
    step = torch.where(counts > 0, step - step.detach(), 0.0)
    return (log_p + (t + step)[..., None, :]).softmax(-1) * here


__all__ = [
    "EXACT_LIMIT",
    "count_log_likelihood",
    "count_posterior",
    "noisy_count_log_likelihood",
    "tilted",
    "whole_counts",
]
