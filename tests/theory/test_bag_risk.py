"""Simulated bags follow the closed forms (which tests/losses/test_easy_llp_losses.py enumerates); exponents."""

from __future__ import annotations

import pytest
import torch

from labkit.theory import bag_risk


def test_simulated_estimates_have_the_means_and_variances_of_the_closed_forms():
    g = torch.Generator().manual_seed(0)
    losses, labels = 2 * torch.rand(40, 3, generator=g, dtype=torch.float64), torch.randint(0, 3, (40,), generator=g)
    losses[:, 0] += 1.0  # classes that lose differently
    posterior = torch.nn.functional.one_hot(labels, 3).double()
    size, bags, repeats = 6, 100, 4000
    found = bag_risk.simulated(losses, labels, size, bags, repeats, g)
    risk = float(bag_risk.true_risk(losses, posterior))
    soft = float(bag_risk.soft_label_risk(size, losses, posterior))
    unrelated = float(losses.mean(0) @ posterior.mean(0))
    shrunk = (size - 1) / (bags * size)
    means = {"average, estimated prior": (1 - shrunk) * risk + shrunk * unrelated, "average, true prior": risk,
             "one member": (1 - shrunk) * risk + shrunk * unrelated, "soft labels": soft}  # fmt: skip
    for name, value in found.items():
        assert value.shape == (repeats,)
        assert abs(float(value.mean()) - means[name]) < 4 * float(value.std()) / repeats**0.5, name
    variance = {
        "average, true prior": bag_risk.bag_variance(size, losses, posterior),
        "average, estimated prior": bag_risk.bag_variance(size, losses, posterior, prior="estimated"),
    }
    for name, expected in variance.items():
        assert float(found[name].var()) * bags == pytest.approx(float(expected), rel=0.1), name
    assert abs(soft - risk) > 0.05 and variance["average, true prior"] > 1.5 * variance["average, estimated prior"]


def test_the_exponent_of_a_power_law_and_its_jackknife():
    sizes = torch.tensor([1.0, 4, 16, 64])
    exact, pseudo = bag_risk.growth(3 * sizes.pow(0.7).expand(5, -1), sizes)
    assert exact == pytest.approx(0.7) and pseudo.tolist() == pytest.approx([0.7] * 5)
    g = torch.Generator().manual_seed(0)
    noisy = 3 * sizes.pow(0.7) * (1 + 0.2 * torch.randn(8, 4, generator=g))
    whole, pseudo = bag_risk.growth(noisy, sizes)
    by_hand = [bag_risk.growth(torch.cat([noisy[:i], noisy[i + 1 :]]), sizes)[0] for i in range(8)]
    assert pseudo.tolist() == pytest.approx([8 * whole - 7 * v for v in by_hand])
    assert bag_risk.growth(-noisy, sizes)[1].isnan().all()
    with pytest.raises(ValueError, match=r"two sizes at least, got \(8, 4\), 3 sizes"):
        bag_risk.growth(noisy, sizes[:3])
