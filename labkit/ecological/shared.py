"""One table of shares for all units, by maximum likelihood: the mean-field likelihood, and the exact one.

Given ``beta``, the columns of a unit are sums over its rows of independent multinomial draws. The *exact* likelihood
sums over all tables with these margins. The *mean-field* one lets every member draw their row too, at random: then the
columns are one multinomial draw with ``theta_c = sum_r X_r beta_rc``. Its mean is right, its variance
``N theta (1 - theta)`` is too large: the exact one is ``sum_r G_r beta_r (1 - beta_r)``.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

from labkit.ecological.bounds import margins
from labkit.ecological.regression import goodman

TABLE_LIMIT = 2**22  # tables of one unit that the exact sum may go through


def mean_field_log_likelihood(beta, rows, columns) -> np.ndarray:
    """Log of the multinomial probability of the columns ``(P,)``, in nats, with all its constants.

    beta: ``(R, C)`` or ``(P, R, C)`` shares, rows adding up to 1.
    """
    rows, columns = margins(rows, columns)
    theta = np.einsum("ir,irc->ic", rows, _per_unit(beta, rows)) / rows.sum(1, keepdims=True)
    constant = gammaln(rows.sum(1) + 1) - gammaln(columns + 1).sum(1)
    return constant + xlogy(columns, theta).sum(1)


def mean_field_fit(rows, columns, steps: int = 10_000, tolerance: float = 1e-9) -> np.ndarray:
    """Shares ``(R, C)`` that maximise the sum of `mean_field_log_likelihood`, by expectation and maximisation.

    E: of the T_c members of column c, the part ``X_r beta_rc / theta_c`` is in row r. M: shares of these. Stops when no
    share moves by more than ``tolerance``. The likelihood is concave in beta, so this is the global maximum.
    """
    rows, columns = margins(rows, columns)
    beta = np.tile(columns.sum(0) / columns.sum(), (rows.shape[1], 1))
    beta = 0.5 * beta + 0.5 * _inside(rows, columns)
    for _ in range(steps):
        theta = rows @ beta
        ratio = np.divide(columns, theta, out=np.zeros_like(columns), where=theta > 0)
        new = beta * (rows.T @ ratio)
        new = new / np.maximum(new.sum(1, keepdims=True), 1e-300)
        done = np.abs(new - beta).max() <= tolerance
        beta = new
        if done:
            break
    return beta


def exact_log_likelihood(beta, rows, columns) -> np.ndarray:
    """``log P(columns)`` of every unit ``(P,)`` under independent rows, in nats; two columns only.

    beta: ``(R,)`` or ``(P, R)``: share of the *first* column. The sum runs over the first column's members in all rows
    but the largest. It equals ``labkit.counts.count_log_likelihood`` of a bag whose members' prediction depends on
    their row alone.

    Raises:
        ValueError: more than two columns, or a unit with more than ``TABLE_LIMIT`` tables.
    """
    rows, columns = _two(rows, columns)
    beta = np.broadcast_to(np.asarray(beta, np.float64), rows.shape)
    return np.array([_tables(b, g, t[0])[1] for b, g, t in zip(beta, rows, columns)])


def exact_fit(rows, columns, steps: int = 500, tolerance: float = 1e-7) -> np.ndarray:
    """Share of the first column in every row, ``(R,)``, that maximises the exact likelihood of two columns, by EM.

    E: expected members of each cell, summed over all tables with these margins. M: their shares.
    """
    rows, columns = _two(rows, columns)
    beta = mean_field_fit(rows, columns)[:, 0].clip(1e-6, 1 - 1e-6)
    for _ in range(steps):
        new = sum(_tables(beta, g, t[0])[0] for g, t in zip(rows, columns)) / np.maximum(rows.sum(0), 1)
        done = np.abs(new - beta).max() <= tolerance
        beta = new.clip(1e-12, 1 - 1e-12)
        if done:
            break
    return beta


def _tables(beta: np.ndarray, sizes: np.ndarray, total: float) -> tuple[np.ndarray, float]:
    """Expected members of the first column in each row ``(R,)`` and the log probability of ``total``."""
    sizes, total = sizes.astype(int), int(total)
    largest = int(sizes.argmax())
    small = [r for r in range(len(sizes)) if r != largest]
    count = np.prod([min(sizes[r], total) + 1.0 for r in small])
    if count > TABLE_LIMIT:
        raise ValueError(
            f"a unit of {sizes.tolist()} members has {count:.1e} tables and {TABLE_LIMIT} is the limit; "
            "use the mean-field likelihood, or fewer rows"
        )
    inside = np.stack(np.meshgrid(*[np.arange(min(sizes[r], total) + 1) for r in small], indexing="ij"), -1)
    inside = inside.reshape(-1, len(small))
    last = total - inside.sum(1)
    possible = (last >= 0) & (last <= sizes[largest])
    inside, last = inside[possible], last[possible]
    filled = np.insert(inside, largest, last, axis=1)
    log = _log_binomial(filled, sizes, beta).sum(1)
    whole = logsumexp(log)
    return np.exp(log - whole) @ filled, float(whole)


def _log_binomial(k, n, p) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, p) + xlogy(n - k, 1 - p)


def _two(rows, columns) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = margins(rows, columns)
    if columns.shape[1] != 2:
        raise ValueError(f"the exact likelihood is for two columns, got {columns.shape[1]}; merge some")
    return rows, columns


def _per_unit(beta, rows: np.ndarray) -> np.ndarray:
    beta = np.asarray(beta, np.float64)
    return np.broadcast_to(beta, (len(rows), *beta.shape[-2:]))


def _inside(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Goodman's shares, brought strictly inside the simplex: EM never leaves an edge it starts on."""
    try:
        beta = np.clip(goodman(rows, columns)[0], 0.01, None)
    except ValueError:
        beta = np.ones((rows.shape[1], columns.shape[1]))
    return beta / beta.sum(1, keepdims=True)
