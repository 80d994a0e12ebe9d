"""The classical estimates: one table for all units by regression, or no table at all; and fitting one to margins."""

from __future__ import annotations

import numpy as np

from labkit.ecological.bounds import margins


def goodman(rows, columns) -> tuple[np.ndarray, np.ndarray]:
    """Ecological regression: shares ``(R, C)`` common to all units, and their standard errors ``(R, C)``.

    ``T_ic / N_i = sum_r X_ir beta_rc + error``, least squares weighted by N_i, X the rows' shares of the unit. Shares
    of a row add up to 1, but may leave [0, 1]: with groups whose behaviour depends on the unit's composition the
    estimate is biased, however many units there are. Errors are as usual for least squares (homoscedastic after
    weighting).

    Raises:
        ValueError: no more units than rows, or rows whose shares are a combination of one another.

    Source: Goodman (1953), "Ecological regressions and behavior of individuals", American Sociological Review 18.
    """
    rows, columns = margins(rows, columns)
    if len(rows) <= rows.shape[1]:
        raise ValueError(f"{rows.shape[1]} rows need more units than that, got {len(rows)}")
    n = rows.sum(1, keepdims=True)
    x, t = rows / np.sqrt(n), columns / np.sqrt(n)  # sqrt(N) X and sqrt(N) T / N
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("the rows' shares are a combination of one another, so regression cannot tell them apart")
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ t)
    variance = ((t - x @ beta) ** 2).sum(0) / (len(x) - x.shape[1])
    return beta, np.sqrt(np.diag(inverse)[:, None] * variance)


def neighbourhood(rows, columns) -> np.ndarray:
    """Everybody is like their precinct: ``beta[i, r, c] = T_ic / N_i`` for every row, ``(P, R, C)``.

    The opposite of Goodman's assumption, and as consistent with the margins as any. Source: Freedman, Klein, Sacks,
    Smyth, Everett (1991), "Ecological regression and voting rights", Evaluation Review 15.
    """
    rows, columns = margins(rows, columns)
    share = columns / columns.sum(1, keepdims=True)
    return np.repeat(share[:, None], rows.shape[1], axis=1)


def rake(beta, rows, columns, sweeps: int = 500, tolerance: float = 1e-9) -> np.ndarray:
    """Shares brought to the margins of every unit: ``beta[r, c] u_c``, normalised, so that the columns add up.

    Iterative proportional fitting: of all tables with these margins the one nearest to ``rows * beta`` in
    Kullback-Leibler divergence. It is also the step from a classifier P(party | group) to its members given the counts
    of their bag, to the order at which a saddlepoint replaces the exact sum (``labkit.counts.tilted``).

    Args:
        beta: ``(R, C)`` or ``(P, R, C)`` positive shares; what is not above 1e-6 counts as 1e-6 (regression may say
            less than nothing). sweeps, tolerance: stops when no column is off by more than this share of the members.

    Returns:
        ``(P, R, C)`` shares. Rows without members keep ``beta``, normalised, times the unit's factors.

    Source: Deming, Stephan (1940), "On a least squares adjustment of a sampled frequency table".
    """
    rows, columns = margins(rows, columns)
    shares = np.broadcast_to(np.asarray(beta, np.float64), (len(rows), rows.shape[1], columns.shape[1]))
    shares = np.maximum(shares, 1e-6)
    shares = shares / shares.sum(2, keepdims=True)
    scale = rows.sum(1)
    for _ in range(sweeps):
        sums = (rows[:, :, None] * shares).sum(1)
        if (np.abs(sums - columns) <= tolerance * scale[:, None]).all():
            break
        shares = shares * (columns / np.maximum(sums, 1e-300))[:, None]
        shares = shares / np.maximum(shares.sum(2, keepdims=True), 1e-300)
    return shares
