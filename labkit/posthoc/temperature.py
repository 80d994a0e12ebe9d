"""Temperature scaling: one number per run that divides the logits, fitted on validation data only.

Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks", eq. 9: q = softmax(z / T), with T > 0
minimising the negative log-likelihood. T changes no prediction, only its confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.metrics.over_runs import check_labels, check_rows, describe, mean, over_runs, spread, total

LOWEST, HIGHEST = 1e-2, 1e2  # temperatures are searched between these; see at_bounds
GRID = [10 ** (2 - i / 4) for i in range(17)]  # 1/T from 100 down to 0.01, four to a decade
GRID[0], GRID[-1] = 1 / LOWEST, 1 / HIGHEST

Slope = Callable[[Tensor], tuple[Tensor, Tensor]]  # beta (runs,) -> first and second derivative of the loss, (runs,)


@torch.no_grad()
def fit_temperature(logits: Tensor, targets: Tensor) -> Tensor:
    """The temperature T of each run that minimises the loss of softmax(logits / T). Shape (...), float64.

    **Fit on validation data only**, never on the data that is reported on: the calibration error after scaling is
    otherwise too good.

    logits   (..., n, K)
    targets  class labels, integer, (n,) or (..., n): loss = -log p_y; or the likelihood P(evidence | class) of any
             evidence, floating-point or boolean, (n, K) or (..., n, K), from 0: loss = -log sum_c p_c L_c. A boolean
             matrix is a candidate set per example; a constant row says nothing. (For a soft label this is the loss of
             evidence, not the cross-entropy with the soft label.)

    With beta = 1/T the label loss is convex in beta and optimal where mean z_y = mean E_p[z]; Newton's method on that
    condition, kept inside a bracket, finds it to a relative 1e-10. The loss of other evidence need not be convex: the
    best of 17 temperatures is refined, to the same precision. A run's T is the same whatever runs it is fitted with.

    T is kept within [0.01, 100]: if the right class (or set) always has the largest logit the loss has no minimum and
    T = 0.01; if the logits point away from the labels T = 100. ``at_bounds`` tells; report it. Where the loss does not
    depend on T (constant logits, evidence that says nothing) T = 1. A run with a NaN or infinite logit gives NaN.
    Raises TypeError for other types, ValueError for shapes that do not fit, labels outside 0..K-1, and likelihoods that
    are negative, not finite, or 0 for every class.
    """
    check_rows("logits", logits)
    lead = tuple(logits.shape[:-2])
    if isinstance(targets, Tensor) and (targets.is_floating_point() or targets.dtype == torch.bool):
        likelihood = _check_likelihood(targets.to(logits.device), logits)
        return over_runs(_fit_likelihood, lead, logits, likelihood)
    return over_runs(_fit_labels, lead, logits, check_labels(targets, logits, logits.shape[-1]))


@torch.no_grad()
def fit_temperature_to_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """The temperature T of each run with the lowest mean of -sum_k t_k log softmax(logits / T)_k. Shape (...), float64.

    For targets that are not a likelihood: soft labels; a candidate set read as "each of these a little", see
    :func:`labkit.posthoc.literal_targets`; rows that are one-hot on average, see
    :func:`labkit.posthoc.unbiased_targets`. One-hot rows: the same as :func:`fit_temperature` with the labels.

    logits   (..., n, K)
    targets  floating-point (n, K) or (..., n, K); rows sum to 1, entries may lie outside [0, 1]

    Convex in 1/T, optimal where the mean of sum_k t_k z_k is the mean of E_p[z]; found as in :func:`fit_temperature`,
    with its bounds. Raises TypeError or ValueError for targets of another type or shape, not finite, or with rows that
    do not sum to 1 within 1e-4.
    """
    check_rows("logits", logits)
    check_rows("targets", targets)
    if not bool(((targets.double().sum(-1) - 1).abs() <= 1e-4).all()):  # NaN fails too
        raise ValueError("targets have rows that sum to 1; a likelihood, which need not, belongs in fit_temperature")
    spread_out = spread("targets", targets.to(logits.device), tuple(logits.shape), 2)
    return over_runs(_fit_targets, tuple(logits.shape[:-2]), logits, spread_out)


def apply_temperature(logits: Tensor, temperature: Tensor | float) -> Tensor:
    """logits / T, shape (..., n, K), for T of shape (...), one axis less each, or one number for all runs.

    In float64, so that rounding makes no two different logits of a smaller type equal and no prediction changes.
    Raises ValueError for a T that is not above 0 (NaN, of a diverged run, passes and gives NaN) or of another shape.
    """
    check_rows("logits", logits)
    T = torch.as_tensor(temperature, dtype=torch.float64, device=logits.device)
    if bool((T <= 0).any()):
        raise ValueError(f"a temperature must be above 0, got {T[T <= 0].min().item()}; its logarithm, perhaps?")
    return logits.double() / spread("temperature", T, tuple(logits.shape[:-2]), 0)[..., None, None]


def at_bounds(temperature: Tensor) -> Tensor:
    """Whether T is the lowest or highest temperature tried, so not an optimum but a cap. Boolean, shape (...)."""
    return (temperature <= LOWEST) | (temperature >= HIGHEST)


def _check_likelihood(likelihood: Tensor, logits: Tensor) -> Tensor:
    """The likelihood as float64 with a largest entry of 1 in every row, broadcast to the shape of the logits."""
    if likelihood.dim() < 2:
        raise ValueError("targets must be integer labels (n,) or (..., n), or a likelihood matrix (n, K) or "
                         f"(..., n, K), got {describe(likelihood)}")
    likelihood = likelihood.double()
    if not bool((likelihood.isfinite() & (likelihood >= 0)).all()):
        raise ValueError("a likelihood must be finite and not negative; give probabilities, not their logarithms")
    best = likelihood.amax(-1, keepdim=True)
    if bool((best == 0).any()):
        raise ValueError(f"the evidence of {int((best == 0).sum())} examples excludes every class (a row of zeros in "
                         "the likelihood); leave these examples out")
    return spread("targets", likelihood / best, tuple(logits.shape), 2)


def _softmax(x: Tensor) -> Tensor:
    """Softmax over the classes of (runs, K, n). The library's, over a middle axis, rounds by the run's place."""
    e = (x - x.amax(1, keepdim=True)).exp_()
    return e.div_(total(e, 1).unsqueeze(1))


def _fit_labels(z: Tensor, y: Tensor) -> Tensor:
    return _fit_centred(z - z.gather(-1, y.unsqueeze(-1)))  # the label's own term is exactly 0: no cancellation


def _fit_targets(z: Tensor, t: Tensor) -> Tensor:
    d = z - z.amax(-1, keepdim=True)
    return _fit_centred(d - total(t * d).unsqueeze(-1))


def _fit_centred(d: Tensor) -> Tensor:
    """From logits less the (mean) logit of the target, (runs, n, K)."""
    d = d.transpose(1, 2).contiguous()  # (runs, K, n): sums over few classes are fast down columns

    def slope(beta: Tensor) -> tuple[Tensor, Tensor]:
        weighted = _softmax(beta[:, None, None] * d).mul_(d)
        first = total(weighted, 1)  # E_p[z] - E_t[z]
        return mean(first), mean(total(weighted.mul_(d), 1) - first * first)

    ones = torch.ones_like(d[:, 0, 0])
    beta = _root(slope, ones, ones / HIGHEST, ones / LOWEST)
    return 1 / beta.where((d != 0).flatten(1).any(1), 1.0)


def _fit_likelihood(z: Tensor, likelihood: Tensor) -> Tensor:
    z, likelihood = z.transpose(1, 2).contiguous(), likelihood.transpose(1, 2).contiguous()  # (runs, K, n), as above
    d = z - z.amax(1, keepdim=True)
    inside = d.where(likelihood > 0, -math.inf)
    outside = 1 - likelihood  # the largest likelihood of an example is 1

    def loss(beta: float) -> Tensor:
        p, p_inside = _softmax(beta * d), _softmax(beta * inside)
        missing = total(p * outside, 1)  # 1 - sum_c p_c L_c, precise where it is small
        log_mass = p.amax(1).log() - p_inside.amax(1).log() + beta * inside.amax(1)  # log of sum_{L_c > 0} p_c
        log_evidence = log_mass + total(p_inside * likelihood, 1).log()  # precise where large, never -infinity
        return -mean(torch.where(missing < 0.5, (-missing.clamp(max=0.5)).log1p(), log_evidence))

    def slope(beta: Tensor) -> tuple[Tensor, Tensor]:
        beta = beta[:, None, None]
        p = _softmax(beta * d)
        posterior = _softmax(beta * inside).mul_(likelihood)
        posterior /= total(posterior, 1).unsqueeze(1)
        centred = d - total(posterior * d, 1).unsqueeze(1)
        first = total(p * outside * centred, 1)  # E_p[z] - E_posterior[z], free of cancellation
        return mean(first), mean(total((p - posterior) * centred * centred, 1) - first * first)

    losses = torch.stack([loss(beta) for beta in GRID])
    best = losses.argmin(0)  # the first of equal losses: the largest beta
    grid = torch.tensor(GRID, dtype=z.dtype, device=z.device)
    beta = _root(slope, grid[best], grid[(best + 1).clamp(max=len(GRID) - 1)], grid[(best - 1).clamp(min=0)])
    matters = ((d != 0).any(1) & (likelihood != 1).any(1)).any(1)
    return 1 / beta.where(matters, 1.0)


def _root(slope: Slope, beta: Tensor, low: Tensor, high: Tensor, tolerance: float = 1e-11, limit: int = 200) -> Tensor:
    """Where the slope turns from negative to positive in [low, high], for each run, starting from ``beta``.

    Newton's step where it stays inside the bracket and is at most half the last move, else the geometric middle of the
    bracket. A run stops when its move is below ``tolerance`` relative to beta; stopping is its own affair, so other
    runs in the batch do not change it. Only exactly rounded operations act on beta, for the same reason.
    """
    capped_high = (high >= 1 / LOWEST) & (slope(high)[0] <= 0)
    capped_low = (low <= 1 / HIGHEST) & (slope(low)[0] >= 0) & ~capped_high
    beta = beta.where(~capped_high, high).where(~capped_low, low)
    done = capped_high | capped_low
    move = high / low - 1
    for _ in range(limit):
        if bool(done.all()):
            break
        first, second = slope(beta)
        low, high = torch.where(first <= 0, beta, low), torch.where(first > 0, beta, high)
        newton = beta - first / second
        safe = (newton >= low) & (newton <= high) & ((newton / beta - 1).abs() <= move / 2)
        after = torch.where(safe, newton, (low * high).sqrt())
        move = torch.where(done, move, (after / beta - 1).abs())
        beta = torch.where(done, beta, after)
        done = done | (move <= tolerance)
    return beta
