"""Networks that answer in every pixel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from labkit.models import Patches, PatchNet


def test_patches_are_the_squares_around_each_pixel():
    x = torch.randn(2, 3, 6, 5)
    found = Patches(3)(x)
    torch.testing.assert_close(found, F.unfold(x, 3, padding=1).mT)
    assert found.shape == (2, 30, 27)
    torch.testing.assert_close(Patches(1)(x), x.flatten(2).mT)


def test_it_is_a_convolutional_network():
    net = PatchNet(5, (6, 4)).build((1, 9, 8), None, 3).double()
    x = torch.randn(2, 1, 9, 8, dtype=torch.float64)
    first, second = net.body[2], net.body[3]
    z = F.conv2d(x, first.weight.view(6, 1, 5, 5), first.bias, padding=2).relu()
    z = F.conv2d(z, second.weight[..., None, None], second.bias).relu()
    torch.testing.assert_close(net.body(x), z.flatten(2).mT)
    z = F.conv2d(z, net.head.weight[..., None, None], net.head.bias)
    torch.testing.assert_close(net(x), z.flatten(2).mT)
    assert net(x).shape == (2, 72, 3)


def test_colour_and_flat_pictures():
    net = PatchNet(3).build((3 * 36,), (3, 6, 6), 2)
    assert net(torch.randn(4, 108)).shape == (4, 36, 2)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="size is odd"):
        PatchNet(4)
    with pytest.raises(ValueError, match="needs images"):
        PatchNet().build((64,), None, 2)
