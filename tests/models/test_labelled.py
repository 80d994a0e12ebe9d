from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.fleet.step import Net
from labkit.models import MLP, WithLabelHead, consult, initialised


@pytest.mark.parametrize("outputs", [1, 0])
def test_the_head_sees_features_and_label_and_leaves_the_network_alone(outputs):
    data = lk.load("digits").subset(50)
    plain, model = (initialised(a, data, 3) for a in (MLP((6,)), WithLabelHead(MLP((6,)), outputs, (5,))))
    assert torch.equal(plain(data.x), model(data.x))
    net = Net(model, dict(model.named_parameters()))
    features, labels = net.features(data.x), data.y
    answer = consult(net, features, labels)
    assert answer.shape == (50, outputs or 10)
    first, last = model.label_head
    for i in (0, 7):
        seen = torch.cat([features[i], torch.nn.functional.one_hot(labels[i], 10).float()])
        by_hand = last.weight @ (first.weight @ seen + first.bias).clamp(min=0) + last.bias
        torch.testing.assert_close(answer[i], by_hand)
    assert not torch.equal(answer, consult(net, features, (labels + 1) % 10))


def test_what_it_refuses():
    data = lk.load("digits").subset(50)
    model = initialised(MLP((6,)), data)
    with pytest.raises(TypeError, match=r"model=WithLabelHead\(base\)"):
        consult(Net(model, dict(model.named_parameters())), torch.zeros(2, 6), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="got -1"):
        initialised(WithLabelHead(outputs=-1), data)
