"""What a network's last features look like: scatter within and between classes, and the three-class picture.

Everywhere: ``features (..., n, d)`` of any floating type, any leading run axes or none; results are float64. A run with
a NaN or infinite number gives NaN and leaves the others as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .over_runs import check_labels, check_rows, describe, mean, over_runs, spread, total


class Scatter(NamedTuple):
    """``ratio = within / between``, each of shape (...); within + between is the mean squared distance to the mean."""

    ratio: Tensor
    within: Tensor
    between: Tensor


@torch.no_grad()
def within_between(features: Tensor, labels: Tensor, classes: int) -> Scatter:
    """Scatter within the classes against scatter between them.

    within  = (1/n) sum_i |x_i - m_{y_i}|^2           the mean squared distance to the mean of the own class
    between = sum_c (n_c / n) |m_c - m|^2             the class means' mean squared distance to the global mean, by size

    These are the traces of the within- and between-class covariance (Fisher's discriminant); their ratio goes to 0 when
    classes collapse to points, which label smoothing encourages (Mueller, Kornblith, Hinton (2019), "When does label
    smoothing help?", figure 1). labels (n,) or (..., n) in 0..classes-1; a class without examples has no part in it.
    With only one class present ``between`` is 0 and the ratio infinite (NaN if ``within`` is 0 too).
    Raises TypeError or ValueError for inputs of other types or shapes and for labels outside 0..classes-1.
    """
    check_rows("features", features, "d")
    labels = check_labels(labels, features, classes)

    def scatter(x: Tensor, y: Tensor) -> Scatter:
        runs, n, d = x.shape
        count = x.new_zeros(runs, classes).scatter_add_(1, y, torch.ones_like(y, dtype=x.dtype))
        each = y.unsqueeze(-1).expand(x.shape)
        means = x.new_zeros(runs, classes, d).scatter_add_(1, each, x) / count.clamp(min=1).unsqueeze(-1)
        share = count / n
        centre = total((share.unsqueeze(-1) * means).transpose(1, 2)).unsqueeze(1)
        within = mean(total((x - means.gather(1, each)).square()))
        between = total(share * total((means - centre).square()))
        return Scatter(within / between, within, between)

    return Scatter(*over_runs(scatter, tuple(features.shape[:-2]), features, labels))


@torch.no_grad()
def template_projection(features: Tensor, weights: Tensor, bias: Tensor, three_classes: Sequence[int],
                        fit: Tensor | None = None) -> Tensor:
    """The penultimate-layer picture: features in the plane of three classes' templates. Shape (..., n, 2).

    The template of class k is row k of the last layer with bias k appended, (w_k, b_k); a feature x becomes (x, 1), so
    that their inner product is the logit. Project on an orthonormal basis (QR) of the three templates and from there to
    the first two principal components of ``fit`` (training features, say, of the same three classes; the features
    themselves by default). The picture of other data with the same ``fit`` lies in the same axes. A sign of a principal
    component is arbitrary: here the first template lies to the right of the templates' mean and the second above it.

    features (..., n, d), weights (..., K, d), bias (..., K), fit (..., m, d); the run axes are those of the features,
    and the others broadcast over them. Pass features of the three classes only: the picture says nothing about others.
    Mueller, Kornblith, Hinton (2019), "When does label smoothing help?", section 2, with the bias and the two principal
    components after Chandrasegaran, Tran, Zhao, Cheung (2022), "Revisiting label smoothing and knowledge distillation
    compatibility: what was missing?".
    Raises ValueError unless three different classes of 0..K-1 are given, d is at least 2 and the shapes fit.
    """
    fit = features if fit is None else fit
    for name, rows in (("features", features), ("weights", weights), ("fit", fit)):
        check_rows(name, rows, "d")
    lead, d, K = tuple(features.shape[:-2]), features.shape[-1], weights.shape[-2]
    chosen = [int(k) for k in three_classes]
    if len(chosen) != 3 or len(set(chosen)) != 3 or not all(0 <= k < K for k in chosen):
        raise ValueError(f"three_classes must be three different classes of 0..{K - 1}, got {list(three_classes)}")
    if d < 2:
        raise ValueError(f"three templates span a space only if features have at least 2 numbers, got d = {d}")
    if not isinstance(bias, Tensor):
        raise TypeError(f"bias must be a tensor (..., K), got {describe(bias)}; for a layer without one give zeros")
    templates = spread("weights", weights, (*lead, K, d), 2)[..., chosen, :]
    offsets = spread("bias", bias, (*lead, K))[..., chosen]  # of the chosen classes, as the rows are
    fit = spread("fit", fit, (*lead, fit.shape[-2], d), 2)
    return over_runs(_plane, lead, features, templates, offsets, fit)


def _plane(x: Tensor, w: Tensor, b: Tensor, fit: Tensor) -> Tensor:
    """x (runs, n, d), w (runs, 3, d), b (runs, 3), fit (runs, m, d) -> (runs, n, 2)."""
    templates = torch.cat([w, b.unsqueeze(-1)], -1).transpose(1, 2)  # (runs, d + 1, 3)
    basis, corners = torch.linalg.qr(templates)  # corners (runs, 3, 3): a column is a template in the basis

    def coordinates(rows: Tensor) -> Tensor:
        return rows @ basis[:, :-1] + basis[:, -1:]  # (rows, 1) @ basis

    cloud = coordinates(fit)
    middle = cloud.mean(1, keepdim=True)
    covariance = (cloud - middle).transpose(1, 2) @ (cloud - middle)  # times m, which turns no axis
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(-1)[..., :2]  # largest variance first
    seen = (corners - corners.mean(-1, keepdim=True)).transpose(1, 2) @ axes  # (runs, template, axis)
    sign = torch.where(seen.diagonal(dim1=1, dim2=2) < 0, -1.0, 1.0).unsqueeze(1)
    return (coordinates(x) - middle) @ axes * sign
