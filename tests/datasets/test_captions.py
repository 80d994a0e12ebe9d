from __future__ import annotations

import pytest
import torch

import labkit.datasets as datasets


def test_captions_are_noisy_prompts_beside_their_image():
    data = datasets.load("captions", n=3000, concepts=5, flip=0.2)
    prompts = torch.tensor(datasets.caption_prompts(5))
    said = data.x[:, 20:]
    assert data.shape == (32,) and data.n_classes == 5 and torch.equal(data.side["concept"], data.y)
    assert (said.abs() == 1).all()
    assert abs(float((said != prompts[data.y]).double().mean()) - 0.2) < 0.01


def test_prompts_and_means_are_nested_and_all_different():
    eight, forty = datasets.caption_prompts(8), datasets.caption_prompts(40)
    assert forty[:8] == eight and len(set(forty)) == 40
    few, many = (datasets.load("captions", n=20_000, concepts=k) for k in (2, 4))
    for k in range(2):
        torch.testing.assert_close(few.x[few.y == k].mean(0), many.x[many.y == k].mean(0), atol=0.1, rtol=0)


def test_real_images():
    data, digits = datasets.load("captions", images="digits", concepts=10), datasets.load("digits")
    assert data.n == 1797 and data.shape == (76,)
    value = {tuple(row.tolist()): int(c) for row, c in zip(digits.x, digits.y)}
    assert all(value[tuple(row[:64].tolist())] == int(y) for row, y in zip(data.x[:200], data.y[:200]))


def test_bad_options():
    for bad in (dict(concepts=1), dict(flip=0.7), dict(images="cars"), dict(images="digits", concepts=11),
                dict(concepts=3000)):
        with pytest.raises(ValueError):
            datasets.load("captions", **bad)
    one, two, again = (datasets.load("captions", n=50, seed=s) for s in (0, 1, 0))
    assert one.fingerprint == again.fingerprint != two.fingerprint
