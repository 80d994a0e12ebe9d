"""What features learned on one task are worth on another: a linear probe."""

from __future__ import annotations

import torch
from torch import Tensor

from .over_runs import check_labels, check_rows


@torch.no_grad()
def linear_probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor,
                 penalty: float = 1.0) -> float:
    """Test accuracy, in [0, 1], of multinomial logistic regression on fixed features.

    ``features (n, d)`` with ``labels (n,)`` fit the probe, ``test_features (m, d)`` with ``test_labels (m,)`` grade it.
    Features are standardised by the mean and deviation of the first; a feature that does not vary there is left at 0.
    The fit minimises ``sum_i CE_i + penalty / 2 |W|^2`` (scikit-learn's, lbfgs), biases free.

    Kornblith, Chen, Lee, Norouzi (2021), "Why do better losses lead to less transferable features?", compare losses by
    this accuracy.
    Raises ValueError or TypeError for shapes or types that do not fit, a penalty not above 0, or a single class.
    """
    from sklearn.linear_model import LogisticRegression

    check_rows("features", features, "d")
    check_rows("test_features", test_features, "d")
    if not penalty > 0:
        raise ValueError(f"penalty must be above 0 (without it separable features have no finite fit), got {penalty}")
    if features.dim() != 2 or test_features.dim() != 2 or features.shape[1] != test_features.shape[1]:
        raise ValueError(f"a probe takes one run's features, (n, d) and (m, d), got {tuple(features.shape)} and "
                         f"{tuple(test_features.shape)}")
    classes = int(max(labels.max(), test_labels.max())) + 1
    labels, test_labels = check_labels(labels, features, classes), check_labels(test_labels, test_features, classes)
    if len(labels.unique()) < 2:
        raise ValueError(f"a probe tells classes apart, but all {len(labels)} training labels are {int(labels[0])}")
    centre, spread = features.double().mean(0), features.double().std(0, correction=0)
    scale = torch.where(spread > 1e-9 * (1 + centre.abs()), 1 / spread, 0.0)
    ready = lambda rows: ((rows.double() - centre) * scale).cpu().numpy()
    probe = LogisticRegression(C=1 / penalty, max_iter=1000).fit(ready(features), labels.cpu().numpy())
    return float((probe.predict(ready(test_features)) == test_labels.cpu().numpy()).mean())
