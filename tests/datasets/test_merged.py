"""Merging classes keeps everything else in its place."""

import pytest
import torch

from labkit.datasets import Data, gaussians, merged


def data(**more):
    x = torch.arange(6.0)[:, None]
    return Data("toy", x, torch.tensor([0, 1, 2, 3, 0, 2]), ("a", "b", "c", "d"), side={"age": torch.arange(6)}, **more)


def test_classes_take_the_number_of_their_group():
    two = merged(data(), [[0, 2], [1, 3]])
    assert two.y.tolist() == [0, 1, 0, 1, 0, 0] and two.classes == ("a/c", "b/d")


def test_classes_in_no_group_are_left_out_with_all_that_is_known_of_them():
    left = merged(data(test=torch.tensor([3, 4, 5])), [[2], [0]], ["right", "left"])
    assert left.y.tolist() == [1, 0, 1, 0] and left.classes == ("right", "left")
    assert left.x[:, 0].tolist() == left.side["age"].tolist() == [0, 2, 4, 5]
    assert left.x[left.test][:, 0].tolist() == [4, 5]


def test_the_posterior_is_summed():
    full = gaussians(n=60)
    two = merged(full, [[0, 1], [2]])
    torch.testing.assert_close(two.posterior[:, 0], full.posterior[:, :2].sum(1))
    torch.testing.assert_close(merged(full, [[0], [2]]).posterior.sum(1), torch.ones(int((full.y != 1).sum())).double())


@pytest.mark.parametrize("groups", [[[0, 1]], [[0], []], [[0], [0, 1]], [[0], [4]]])
def test_groups_that_cannot_be_are_refused(groups):
    with pytest.raises(ValueError, match="group"):
        merged(data(), groups)


def test_names_must_match():
    with pytest.raises(ValueError, match="as many names"):
        merged(data(), [[0], [1]], ["one"])
