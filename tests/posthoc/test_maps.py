"""Recalibration maps fitted by likelihood: known optima, nesting, imperfect evidence by enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from labkit.annotate import uniform_complement
from labkit.evidence import Bags, Candidates, Complementary, Labels
from labkit.posthoc import (
    DirichletCalibration,
    MatrixScaling,
    TemperatureScaling,
    VectorScaling,
    fit_temperature,
)
from labkit.posthoc.maps import evidence_loss

MAPS = [TemperatureScaling(), VectorScaling(), MatrixScaling(), DirichletCalibration()]


def sample(n=2000, k=3, seed=0, scale=2.5):
    """Logits that are ``scale`` times too large, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k))
    p = torch.from_numpy(z).softmax(-1).numpy()
    labels = torch.tensor([rng.choice(k, p=row) for row in p])
    return torch.from_numpy(scale * z), labels


def nll(log_p, labels):
    return -log_p.gather(1, labels[:, None]).mean().item()


def test_the_temperature_is_that_of_the_solver_for_many_runs():
    z, labels = sample()
    fitted = TemperatureScaling().fit(z, labels)
    assert fitted.coef_.item() == pytest.approx(1 / fit_temperature(z, labels).item(), rel=1e-5)
    assert fitted.coef_.item() == pytest.approx(1 / 2.5, rel=0.1)


def test_matrix_scaling_is_multinomial_logistic_regression():
    z, labels = sample(600)
    ours = MatrixScaling().fit(z, labels)(z)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(z.numpy(), labels.numpy())
    np.testing.assert_allclose(ours.exp(), peer.predict_proba(z.numpy()), atol=2e-4)


def test_the_larger_map_never_fits_worse():
    z, labels = sample(300, 4, scale=0.5)
    loss = [nll(m.fit(z, labels)(z), labels) for m in MAPS[:3]]
    assert loss[0] >= loss[1] >= loss[2] and loss[0] > loss[2] + 1e-3


def test_a_heavy_penalty_leaves_dirichlet_calibration_a_diagonal():
    z, labels = sample(400)
    fitted = DirichletCalibration(off_diagonal=1e4).fit(z, labels)
    matrix, offset = fitted.coef_[:9].view(3, 3), fitted.coef_[9:]
    assert (matrix - matrix.diag().diag()).abs().max() < 1e-3 and offset.abs().max() < 1e-3
    log_p = z.log_softmax(-1)  # of log probabilities both are the same family
    free = nll(DirichletCalibration(off_diagonal=0.0).fit(log_p, labels)(log_p), labels)
    assert free == pytest.approx(nll(MatrixScaling().fit(log_p, labels)(log_p), labels), abs=1e-5)


@pytest.mark.parametrize("fit", MAPS, ids=lambda m: type(m).__name__)
def test_answers_are_log_probabilities_and_labels_may_be_said_in_three_ways(fit):
    z, labels = sample(200)
    log_p = fit.fit(z, labels)(z)
    assert log_p.shape == z.shape and log_p.dtype == torch.float64
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(200).double())
    for same in (Labels(labels, 3), torch.nn.functional.one_hot(labels).double()):
        torch.testing.assert_close(fit.fit(z, same)(z), log_p, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(fit.fit(z.float(), labels)(z), log_p, atol=1e-3, rtol=1e-3)


def test_noisy_labels_complementary_labels_candidates_and_bags_find_the_temperature():
    z, labels = sample(20_000)
    rng = np.random.default_rng(1)
    noise = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]], dtype=torch.float64)
    said = torch.tensor([rng.choice(3, p=noise[c].numpy()) for c in labels])
    denied = (labels + torch.from_numpy(rng.integers(1, 3, len(labels)))) % 3
    mask = torch.from_numpy(rng.random((len(labels), 3)) < 0.4)
    mask[torch.arange(len(labels)), labels] = True
    order = z[:, 0].argsort()  # bags of neighbours: proportions that differ
    members = order.view(-1, 4)
    counts = torch.nn.functional.one_hot(labels[members], 3).sum(1)
    for evidence in (
        Labels(said, 3, noise),
        Complementary(denied, 3, uniform_complement(3)),
        Candidates(mask),
        Bags(members, counts),
    ):
        assert TemperatureScaling().fit(z, evidence).coef_.item() == pytest.approx(0.4, rel=0.15)
    naive = TemperatureScaling().fit(z, said).coef_.item()
    assert naive < 0.25  # noise taken at its word asks for too little confidence


def test_bags_of_one_are_labels():
    z, labels = sample(50)
    bags = Bags(torch.arange(50)[:, None], torch.nn.functional.one_hot(labels))
    torch.testing.assert_close(
        evidence_loss(z.log_softmax(-1), bags), torch.tensor(nll(z.log_softmax(-1), labels)).double()
    )
    torch.testing.assert_close(
        TemperatureScaling().fit(z, bags).coef_, TemperatureScaling().fit(z, labels).coef_, rtol=1e-5, atol=1e-6
    )


def test_the_mean_over_all_bags_points_at_the_truth():
    """Over every labelling of a bag, weighted by its true probability, the loss is least at the true scale."""
    z = torch.tensor([[1.0, -0.5], [0.3, 0.8], [-1.2, 0.1]]).double()
    every = torch.tensor(list(itertools.product((0, 1), repeat=3)))
    weight = z.softmax(-1)[torch.arange(3), every].prod(-1)

    def loss(scale):
        per = [
            evidence_loss(
                (scale * z).log_softmax(-1), Bags(torch.arange(3)[None], torch.bincount(row, minlength=2)[None])
            )
            for row in every
        ]
        return (weight * torch.stack(per)).sum()

    assert loss(1.0) < loss(0.8) and loss(1.0) < loss(1.25)


@pytest.mark.parametrize(
    ("logits", "evidence", "message"),
    [
        (torch.zeros(2, 5, 3), torch.zeros(5).long(), "one run"),
        (torch.full((5, 3), float("nan")), torch.zeros(5).long(), "NaN"),
        (torch.zeros(5, 3), torch.zeros(5, 2), "does not fit"),
        (torch.zeros(5, 3), torch.zeros(5, 3), "above 0"),
        (torch.zeros(5, 3), Bags(torch.arange(6)[:, None], torch.eye(3)[torch.zeros(6).long()]), "do not fit"),
    ],
)
def test_what_it_refuses(logits, evidence, message):
    with pytest.raises(ValueError, match=message):
        TemperatureScaling().fit(logits, evidence)


def test_a_map_must_be_fitted_first():
    with pytest.raises(ValueError, match="not fitted"):
        VectorScaling()(torch.zeros(2, 3))
