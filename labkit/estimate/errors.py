"""How far an estimated matrix is from the true one."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def matrix_error(estimate, truth, permute: bool = False) -> Tensor:
    """``sum |T - T*| / sum |T*|``, from 0 to 2, ``(...,)`` for estimates ``(..., K, K)`` of one truth ``(K, K)``.

    The measure of Xia, Liu, Wang, Han, Gong, Niu, Sugiyama (2019), "Are anchor points really indispensable in
    label-noise learning?".

    Args:
        permute: hidden classes of the estimate have no names: take the order of its *rows* that fits best (columns
            are given labels and keep theirs).
    """
    estimate, truth = torch.as_tensor(estimate).double(), torch.as_tensor(truth).double()
    if truth.ndim != 2 or estimate.shape[-2:] != truth.shape:
        raise ValueError(f"estimates (..., {tuple(truth.shape)}) of one matrix, got {tuple(estimate.shape)}")
    distance = (estimate[..., :, None, :] - truth[..., None, :, :]).abs().sum(-1)  # row i as row j of the truth
    if not permute:
        return distance.diagonal(dim1=-2, dim2=-1).sum(-1) / truth.abs().sum()
    best = [float(d[linear_sum_assignment(d)].sum()) for d in distance.reshape(-1, *truth.shape).numpy()]
    return torch.tensor(best, dtype=torch.float64).reshape(distance.shape[:-2]) / truth.abs().sum()
