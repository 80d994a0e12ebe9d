"""The text model: a mean of word vectors that does not see padding or order."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.models import BagOfWords
from labkit.models.text import MeanEmbedding


def test_the_mean_is_over_words_that_are_there():
    torch.manual_seed(0)
    layer = MeanEmbedding(6, 3).double()
    x = torch.tensor([[2.0, 5.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    expected = [(2 * layer.weight[2] + layer.weight[5]) / 3, layer.weight[1], torch.zeros(3, dtype=torch.float64)]
    torch.testing.assert_close(layer(x), torch.stack(expected))
    torch.testing.assert_close(layer(x[:, [3, 2, 1, 0]]), layer(x))
    layer(x).sum().backward()
    assert (layer.weight.grad[0] == 0).all() and (layer.weight.grad[[3, 4]] == 0).all()


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_it_trains_in_a_fleet_and_alone_alike(hidden):
    data = lk.load("texts", n=200)
    options = dict(methods=lk.methods.CrossEntropy(), model=BagOfWords(221, 8, hidden), epochs=2, dtype="float64",
                   batch_size=16, compile=False, progress=False)  # fmt: skip
    together, alone = lk.fit(data, seeds=3, lanes=3, **options), lk.fit(data, seeds=[1], lanes=1, **options)
    for name, value in together.where(seed=1)[0].params.items():
        torch.testing.assert_close(value, alone[0].params[name], rtol=1e-12, atol=1e-12)


def test_images_are_refused():
    with pytest.raises(ValueError, match="rows of word ids"):
        BagOfWords(10).build((1, 8, 8), None, 2)
