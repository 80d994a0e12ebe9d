"""Does an example look like the others that carry its label?"""

from __future__ import annotations

import numpy as np

from labkit.detect.base import check_labels, per_example


def unit(features) -> np.ndarray:
    """Rows of length 1 (a row of zeros stays zero)."""
    features = np.asarray(features, dtype=np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def prototype_score(labels, features, leave_one_out: bool = True) -> np.ndarray:
    """``(n,)`` score ``(1 - cos) / 2``: distance in angle from the mean feature of the given class.

    Features ``(n, d)`` are normalised first. ``leave_one_out`` takes the example itself out of its class's mean, which
    matters in small classes; the only example of a class has nothing to resemble and scores 1/2.
    """
    labels = check_labels(labels)
    f = unit(per_example(features, labels, "features").reshape(len(labels), -1))
    sums = np.zeros((labels.max() + 1, f.shape[1]))
    np.add.at(sums, labels, f)
    others = sums[labels] - f if leave_one_out else sums[labels]
    alone = np.bincount(labels)[labels] == 1
    cosine = np.where(alone & leave_one_out, 0.0, (unit(others) * f).sum(1))
    return (1 - cosine) / 2


def prototype_cleaner(labels, features, noisy, confident: float = 0.8, strength: float = 1.0) -> np.ndarray:
    """``(n,)`` P(wrong) from a clean-or-wrong classifier per class, taught by a mixture model's confident verdicts.

    In the spirit of Huang, Chen, Feng, Wu (2022), "Class prototype-based cleaner for label noise learning",
    arXiv:2212.10766: the class-agnostic loss mixture divides the examples, then for each class k a prototype c_k and an
    offset b_k are trained by binary cross entropy so that ``sigma(<f, c_k> + b_k)`` is the probability that label k is
    right. Reduced: one such step, a ridge penalty, no second view and no semi-supervised training after it. (The
    authors' code was not seen.)

    Args:
        features: ``(n, d)``, normalised here. noisy: ``(n,)`` P(wrong) from `labkit.mixtures` or elsewhere.
        confident: examples with P(wrong) above this or below 1 minus it are learned from. strength: inverse ridge
            penalty (scikit-learn's C).

    A class without confident examples of both kinds keeps the mixture's word.
    """
    from sklearn.linear_model import LogisticRegression

    labels = check_labels(labels)
    f = 10 * unit(per_example(features, labels, "features").reshape(len(labels), -1))  # cosines over a temperature
    noisy = per_example(noisy, labels, "noisy")
    if not ((noisy >= 0) & (noisy <= 1)).all():
        raise ValueError("noisy is a probability per example; it holds values outside [0, 1]")
    if not 0.5 <= confident < 1:
        raise ValueError(f"confident is a probability in [0.5, 1), got {confident!r}")
    wrong, sure, score = noisy > 0.5, np.maximum(noisy, 1 - noisy) > confident, noisy.copy()
    for k in np.unique(labels):
        mine = labels == k
        teach = mine & sure
        if len(np.unique(wrong[teach])) == 2:
            model = LogisticRegression(C=strength, max_iter=200).fit(f[teach], wrong[teach])
            score[mine] = model.predict_proba(f[mine])[:, 1]
    return score


__all__ = ["prototype_cleaner", "prototype_score", "unit"]
