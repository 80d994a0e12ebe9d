"""Every unit its own table, the tables alike: the multinomial-Dirichlet model, by Metropolis within Gibbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.special import gammaln

from labkit.ecological.bounds import margins
from labkit.ecological.regression import rake

TINY = 1e-12  # no share is drawn below it
TARGET = 0.44  # acceptance that is best for a step in one dimension (Gelman, Roberts, Gilks, 1996)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Draws from the posterior. Where a row has no members in a unit, its shares are no part of the model: NaN."""

    alpha: np.ndarray  # (chains, draws, R, C)
    beta: np.ndarray  # (chains, draws, P, R, C) float32
    rows: np.ndarray  # (P, R)
    acceptance: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # per kind of step: the 1 and 99 % quantiles over steps

    @property
    def mean(self) -> np.ndarray:
        """Posterior means of the shares, ``(P, R, C)``."""
        return self.beta.mean((0, 1), dtype=np.float64)

    def interval(self, probability: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Central intervals of the shares, two arrays ``(P, R, C)``."""
        half = (1 - probability) / 2
        flat = self.beta.reshape(-1, *self.beta.shape[2:])
        low, high = np.quantile(flat, [half, 1 - half], axis=0)
        return low, high

    @property
    def totals(self) -> np.ndarray:
        """Draws of the shares over all units, weighted by members: ``(chains, draws, R, C)``."""
        weights = self.rows / np.maximum(self.rows.sum(0), 1)
        return np.einsum("kdprc,pr->kdrc", np.nan_to_num(self.beta), weights)


def multinomial_dirichlet(rows, columns, **options) -> Hierarchy:
    """Sample the model of Rosen, Jiang, King, Tanner for one set of units.

    ``T_i ~ Multinomial(N_i, theta_i)``, ``theta_ic = sum_r X_ir beta_irc``, ``beta_ir ~ Dirichlet(alpha_r)``,
    ``alpha_rc ~ Gamma(shape, rate)``. Members' rows count as drawn at random (the mean-field likelihood of
    `labkit.ecological.shared`).

    All units and chains step at once. A sweep has three kinds of step: two shares of a row against one another (eiPack
    has this one, against the last column); two shares of *two* rows so that ``theta`` stays as it is, a move along the
    tomography line, on which the posterior is long and narrow; and ``alpha``, one by one and a row's together. Shares
    step in the logit of the place between the ends that they can reach, alpha in its log. Step lengths, one per unit
    and step, are tuned in the warm-up to an acceptance of 0.44 and then fixed. Chains begin far apart: with tables
    drawn evenly over the simplex and raked to the margins.

    Args:
        rows: ``(P, R)`` members. columns: ``(P, C)``, with the same totals.
        options: ``rng`` (a generator), ``chains`` (4), ``draws`` kept per chain (500), one every ``thin`` (2) sweeps
            after ``warmup`` (500) sweeps; ``shape``, ``rate`` of the prior of alpha (4 and 2, the defaults of eiPack).

    Source: Rosen, Jiang, King, Tanner (2001), "Bayesian and frequentist inference for ecological inference: the R x C
    case", Statistica Neerlandica 55; Lau, Moore, Kellermann (2007), eiPack.
    """
    (found,) = several([(rows, columns)], **options)
    return found


def several(
    margins_of: Sequence[tuple],
    *,
    rng: np.random.Generator,
    chains: int = 4,
    draws: int = 500,
    warmup: int = 500,
    thin: int = 2,
    shape: float = 4.0,
    rate: float = 2.0,
) -> list[Hierarchy]:
    """`multinomial_dirichlet` for several sets ``(rows, columns)`` of equal shapes, each on its own, in one pass.

    ``acceptance`` is that of all of them.
    """
    if min(chains, draws, thin) < 1 or warmup < 0 or not shape > 0 or not rate > 0:
        raise ValueError(
            f"expected chains, draws and thin from 1, warmup from 0 and a positive shape and rate, got "
            f"{chains}, {draws}, {thin}, {warmup}, {shape}, {rate}"
        )
    checked = [margins(*pair) for pair in margins_of]
    if len({(rows.shape, columns.shape) for rows, columns in checked}) != 1:
        raise ValueError(
            f"sets are of equal shapes, got {[rows.shape + columns.shape[1:] for rows, columns in checked]}"
        )
    rows, columns = (np.repeat(np.stack(side), chains, 0) for side in zip(*checked))  # (sets x chains, P, R or C)
    (k, p, r), c = rows.shape, columns.shape[2]
    begin = np.stack([rake(rng.dirichlet(np.ones(c), (p, r)), g, t, sweeps=20) for g, t in zip(rows, columns)])
    begin = np.maximum(begin, 1e-3)
    begin = np.moveaxis(begin / begin.sum(-1, keepdims=True), (0, 1), (2, 3))  # (R, C, sets x chains, P)
    state = Chains(rows, columns, begin, rng.gamma(shape, 1 / rate, (r, c, k)), shape, rate, rng)
    for t in range(warmup):
        state.sweep(tune=(t + 2) ** -0.6)
    state.forget_acceptance()
    alpha, beta = np.empty((draws, r, c, k)), np.empty((draws, r, c, k, p), np.float32)
    for t in range(draws):
        for _ in range(thin):
            state.sweep()
        alpha[t], beta[t] = state.alpha, state.beta
    alpha, beta = alpha.transpose(3, 0, 1, 2), beta.transpose(3, 0, 4, 1, 2)
    np.copyto(beta, np.nan, where=(rows == 0)[:, None, :, :, None])
    own = [slice(i * chains, (i + 1) * chains) for i in range(len(checked))]
    return [Hierarchy(alpha[i], beta[i], g, state.acceptance()) for i, (g, _) in zip(own, checked)]


class Chains:
    """The state of all chains: ``beta`` (R, C, chains, P) and ``alpha`` (R, C, chains). ``rows`` (P, R) and ``columns``
    (P, C), or each with an axis of chains before where every chain has data of its own."""

    def __init__(self, rows, columns, beta, alpha, shape: float, rate: float, rng: np.random.Generator):
        self.rng, self.shape, self.rate = rng, shape, rate
        self.beta, self.alpha = np.array(beta), np.array(alpha)
        rows, columns = (side if side.ndim == 3 else side[None] for side in (rows, columns))
        each = np.ones((self.beta.shape[2], 1))
        self.x = np.moveaxis(rows / rows.sum(2, keepdims=True), 2, 0) * each  # (R, chains, P)
        self.counts = np.ascontiguousarray(np.moveaxis(columns, 2, 0))  # (C, 1 or chains, P)
        self.active = self.x > 0
        self.log_beta = np.log(self.beta)
        self._refresh()
        n_rows, n_columns = self.beta.shape[:2]
        pairs = list(combinations(range(n_columns), 2))
        self.within = [(r, *pair) for r in range(n_rows) for pair in pairs]
        self.along = [(*two, *pair) for two in combinations(range(n_rows), 2) for pair in pairs]
        self.size = self.active.sum(2)[..., None]  # (R, chains, 1): units that have members in the row
        spread = each / np.sqrt(rows.sum(2))
        self.step = {key: np.minimum(2 * spread / np.maximum(self.x[key[0]], 1e-3), 1.0) for key in self.within}
        self.step |= {key: np.full_like(spread, 0.5) for key in self.along}  # of the logit of a place
        self.alpha_step = np.full((n_columns + 1, n_rows, len(each)), 0.3)  # every column alone, then all together
        self.sweeps = 0
        self.forget_acceptance()

    def sweep(self, tune: float = 0.0) -> None:
        """One pass over all steps; ``tune``: how far the step lengths move towards the target acceptance."""
        for key in (*self.within, *self.along):
            accepted = (self._within if len(key) == 3 else self._along)(*key)
            if tune:
                self.step[key] *= np.exp(tune * (accepted - TARGET))
            self.seen[key] = self.seen.get(key, 0) + accepted
        for column in range(len(self.alpha_step)):
            accepted = self._alpha_step(column)
            if tune:
                self.alpha_step[column] *= np.exp(tune * (accepted - TARGET))
            self.seen_alpha[column] += accepted
        self.sweeps += 1
        if self.sweeps % 50 == 0:
            self._refresh()  # sums of many small steps drift

    def log_kernel(self) -> np.ndarray:
        """Log posterior up to a constant, ``(chains,)``."""
        likelihood = (self.counts * self.log_theta).sum((0, 2))
        prior = ((self.alpha[..., None] - 1) * self.log_beta * self.active[:, None]).sum((0, 1, 3))
        constant = (self.size[..., 0] * (gammaln(self.alpha.sum(1)) - gammaln(self.alpha).sum(1))).sum(0)
        hyper = ((self.shape - 1) * np.log(self.alpha) - self.rate * self.alpha).sum((0, 1))
        return likelihood + prior + constant + hyper

    def _within(self, r: int, c: int, d: int) -> np.ndarray:
        """Share goes from column d of row r to column c; theta moves with it."""
        own, other = self.beta[r, c], self.beta[r, d]
        to, jacobian = self._between(own, other, (r, c, d))
        changes = [(r, c, (own + other) * to), (r, d, (own + other) * (1 - to))]
        moved = self.x[r] * (changes[0][2] - own)
        return self._propose(changes, jacobian, self.active[r], {c: moved, d: -moved})

    def _along(self, r: int, s: int, c: int, d: int) -> np.ndarray:
        """What row r gains in column c and loses in d, row s gives back: theta stays."""
        both = self.active[r] & self.active[s]
        one, other = (np.where(both, self.x[i], 1.0) for i in (r, s))
        down = np.minimum(one * self.beta[r, c], other * self.beta[s, d])  # how far members can go either way
        up = np.minimum(one * self.beta[r, d], other * self.beta[s, c])
        to, jacobian = self._between(down, up, (r, s, c, d))
        by = (down + up) * to - down
        changes = [(r, c, self.beta[r, c] + by / one), (r, d, self.beta[r, d] - by / one),
                   (s, c, self.beta[s, c] - by / other), (s, d, self.beta[s, d] + by / other)]  # fmt: skip
        return self._propose(changes, jacobian, both, {})

    def _between(self, down: np.ndarray, up: np.ndarray, key: tuple) -> tuple[np.ndarray, np.ndarray]:
        """A new place in (0, 1) on a stretch of which ``down`` lies behind and ``up`` ahead, by a step of its logit;
        and the log of the ratio of densities that makes that step fair."""
        step = self.step[key] * self.rng.standard_normal(down.shape)
        place = down / (down + up)
        to = 1 / (1 + np.maximum(up / down, 1e-300) * np.exp(-step))
        return to, np.log(np.maximum(to * (1 - to), 1e-300) / (place * (1 - place)))

    def _propose(self, changes, jacobian, allowed, moves) -> np.ndarray:
        """Metropolis for new shares ``(row, column, value)`` that move theta by ``moves``; accepted where True."""
        new = [value for *_, value in changes]
        allowed = allowed & np.logical_and.reduce([value > TINY for value in new])
        gain = jacobian.copy()
        logs = []
        for (r, c, _), value in zip(changes, new):
            logs.append(np.log(np.where(allowed, value, 1.0)))
            gain += (self.alpha[r, c, :, None] - 1) * (logs[-1] - self.log_beta[r, c])
        theta = {c: np.where(allowed, self.theta[c] + by, 1.0) for c, by in moves.items()}
        log_theta = {c: np.log(np.maximum(value, TINY)) for c, value in theta.items()}
        for c, value in log_theta.items():
            gain += self.counts[c] * (value - self.log_theta[c])
        accepted = allowed & (gain > -self.rng.standard_exponential(gain.shape))
        for (r, c, _), value, log in zip(changes, new, logs):
            np.copyto(self.beta[r, c], value, where=accepted)
            np.copyto(self.log_beta[r, c], log, where=accepted)
        for c, value in theta.items():
            np.copyto(self.theta[c], value, where=accepted)
            np.copyto(self.log_theta[c], log_theta[c], where=accepted)
        return accepted

    def _alpha_step(self, column: int) -> np.ndarray:
        """A step of log alpha for every row: of one column, or (``column`` = C) of all together."""
        if column == 0:
            self.log_sums = (self.log_beta * self.active[:, None]).sum(3)  # (R, C, chains)
        factor = np.exp(self.alpha_step[column] * self.rng.standard_normal((len(self.beta), self.beta.shape[2])))
        proposal = self.alpha.copy()
        proposal[:, slice(None) if column == self.alpha.shape[1] else slice(column, column + 1)] *= factor[:, None]
        gain = self._alpha_log(proposal) - self._alpha_log(self.alpha)
        accepted = gain > -self.rng.standard_exponential(gain.shape)
        np.copyto(self.alpha, proposal, where=accepted[:, None])
        return accepted

    def _alpha_log(self, alpha: np.ndarray) -> np.ndarray:
        """Log conditional density of log alpha, ``(R, chains)``."""
        tables = self.size[..., 0] * (gammaln(alpha.sum(1)) - gammaln(alpha).sum(1)) + (alpha * self.log_sums).sum(1)
        return tables + (self.shape * np.log(alpha) - self.rate * alpha).sum(1)

    def _refresh(self) -> None:
        self.beta /= self.beta.sum(1, keepdims=True)
        self.log_beta = np.log(self.beta)
        self.theta = np.einsum("rkp,rckp->ckp", self.x, self.beta)
        self.log_theta = np.log(np.maximum(self.theta, TINY))

    def forget_acceptance(self) -> None:
        self.seen, self.seen_alpha, self.sweeps = {}, np.zeros(self.alpha_step.shape), 0

    def acceptance(self) -> dict[str, tuple[float, float]]:
        """1 and 99 % quantiles of the acceptance of each kind of step, over units where the step exists."""
        held = {"within a row": [], "along the line": [], "alpha": list(self.seen_alpha.ravel())}
        for key, total in self.seen.items():
            exists = self.active[key[0]] & (self.active[key[1]] if len(key) == 4 else True)
            held["within a row" if len(key) == 3 else "along the line"].extend(total[exists])
        ends = {kind: np.quantile(v, (0.01, 0.99)) / self.sweeps for kind, v in held.items() if len(v)}
        return {kind: (float(low), float(high)) for kind, (low, high) in ends.items()}
