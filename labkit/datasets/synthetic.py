"""Gaussian classes whose true posterior is known exactly: the ground truth for calibration and label noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.streams import generator


@dataclass(frozen=True, eq=False)
class Mixture:
    """K Gaussian classes in D dimensions, all float64: ``x | class k ~ N(means[k], covariances[k])``.

    ValueError for shapes that disagree, priors that are no distribution and covariances that are not symmetric and
    positive definite.
    """

    means: torch.Tensor  # (K, D)
    covariances: torch.Tensor  # (K, D, D)
    priors: torch.Tensor  # (K,)

    def __post_init__(self) -> None:
        k, d = self.means.shape
        for name, shape in (("covariances", (k, d, d)), ("priors", (k,))):
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{k} classes in {d} dimensions need {name} of shape {shape}, "
                                 f"got {tuple(getattr(self, name).shape)}")
        if not (self.priors > 0).all() or abs(float(self.priors.sum()) - 1) > 1e-9:
            raise ValueError(f"priors must be positive and sum to 1, got {self.priors.tolist()}")
        symmetric = torch.allclose(self.covariances, self.covariances.mT)
        if not symmetric or not (torch.linalg.eigvalsh(self.covariances) > 0).all():
            raise ValueError("every covariance must be symmetric and positive definite")

    def sample(self, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """n draws from the stream ``(seed, "data")``: x (n, D) float32 and y (n,) int64, y drawn from the priors."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        rng = generator(seed, "data")
        y = torch.from_numpy(rng.choice(len(self.priors), size=n, p=self.priors.numpy()))
        noise = torch.from_numpy(rng.standard_normal((n, self.means.shape[1])))
        root = torch.linalg.cholesky(self.covariances)
        return (self.means[y] + torch.einsum("nij,nj->ni", root[y], noise)).float(), y

    def log_joint(self, x: torch.Tensor) -> torch.Tensor:
        """``log P(class k) + log N(x; mean_k, covariance_k)``: (n, D) -> (n, K) float64."""
        root = torch.linalg.cholesky(self.covariances)  # (K, D, D)
        away = (x.double()[:, None] - self.means).permute(1, 2, 0)  # (K, D, n)
        squared = torch.linalg.solve_triangular(root, away, upper=False).square().sum(1).T  # Mahalanobis, (n, K)
        log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return self.priors.log() - 0.5 * (squared + log_det + self.means.shape[1] * math.log(2 * math.pi))

    def posterior(self, x: torch.Tensor) -> torch.Tensor:
        """``P(class | x)``: (n, D) -> (n, K) float64, normalised in log space.

        Bishop (2006), Pattern Recognition and Machine Learning, equations 4.62 to 4.64.
        """
        return torch.softmax(self.log_joint(x), dim=1)


def gaussian_mixture(classes: int = 3, dimensions: int = 2, separation: float = 2.0, covariance="shared",
                     priors=None, means=None) -> Mixture:
    """The `Mixture` behind ``load("gaussians")``, without drawing from it.

    classes, dimensions: K >= 2 and D >= 1.
    separation: distance between the means of neighbouring classes; the standard deviation of a class is about 1. The
        means stand on a line for D = 1 and otherwise on a circle in the first two coordinates.
    covariance: "shared" (identity; linear boundaries), "per-class" (the first two coordinates have variances 2 and
        1/2 along axes turned by pi k / K; for D = 1 the variances are 1/2, 1, 2 in turn), or an array of shape
        (D, D) or (K, D, D).
    priors: K class probabilities, equal by default.
    means: an array (K, D) instead of ``separation``; it then also sets classes and dimensions.
    """
    if means is None:
        if classes < 2 or dimensions < 1 or not 0 <= separation < math.inf:
            raise ValueError(f"expected classes >= 2, dimensions >= 1 and a finite separation >= 0, got "
                             f"classes={classes}, dimensions={dimensions}, separation={separation}")
        means = _means(classes, dimensions, separation)
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2:
        raise ValueError(f"means must have shape (classes, dimensions), got {means.shape}")
    k, d = means.shape
    if isinstance(covariance, str):
        if covariance not in ("shared", "per-class"):
            raise ValueError(f"covariance must be 'shared', 'per-class' or an array, got {covariance!r}")
        covariance = np.eye(d) if covariance == "shared" else _turned(k, d)
    covariance = np.asarray(covariance, dtype=np.float64)
    if covariance.shape == (d, d):
        covariance = np.broadcast_to(covariance, (k, d, d))
    priors = np.full(k, 1 / k) if priors is None else np.asarray(priors, dtype=np.float64)
    return Mixture(*(torch.from_numpy(np.array(a)) for a in (means, covariance, priors)))


def gaussians(n: int = 2000, classes: int = 3, dimensions: int = 2, separation: float = 2.0, covariance="shared",
              priors=None, means=None, seed: int = 0) -> Data:
    """n draws from `gaussian_mixture` (see there for the options): x (n, D), y (n,) and the exact posterior (n, K).

    ``seed`` moves the draws, never the means or covariances. Features are left as drawn, so that the posterior of any
    other point is ``gaussian_mixture(...).posterior(point)``.
    """
    mixture = gaussian_mixture(classes, dimensions, separation, covariance, priors, means)
    x, y = mixture.sample(n, seed)
    return Data("gaussians", x, y, tuple(f"class {k}" for k in range(len(mixture.priors))),
                posterior=mixture.posterior(x))


def _means(classes: int, dimensions: int, separation: float) -> np.ndarray:
    means = np.zeros((classes, dimensions))
    if dimensions == 1:
        means[:, 0] = separation * (np.arange(classes) - (classes - 1) / 2)
    else:
        angle = 2 * np.pi * np.arange(classes) / classes
        radius = separation / (2 * np.sin(np.pi / classes))  # neighbours on the circle are `separation` apart
        means[:, 0], means[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
    return means


def _turned(classes: int, dimensions: int) -> np.ndarray:
    covariance = np.tile(np.eye(dimensions), (classes, 1, 1))
    for k in range(classes):
        if dimensions == 1:
            covariance[k] = 2.0 ** (k % 3 - 1)
        else:
            c, s = np.cos(np.pi * k / classes), np.sin(np.pi * k / classes)
            turn = np.array([[c, -s], [s, c]])
            covariance[k, :2, :2] = turn @ np.diag([2.0, 0.5]) @ turn.T
    return covariance
