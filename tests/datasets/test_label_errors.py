from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

import labkit.datasets as datasets
from labkit.datasets import label_errors as module
from labkit.datasets.download import sha256

GIVEN = np.array([3, 1, 2, 0, 3, 1], dtype=np.uint8)


def answers(ids, given=GIVEN):
    votes = [{"given": 5 - i, "guessed": i, "neither": 0} for i in range(len(ids))]
    return [
        {"id": i, "given_original_label": int(given[i]), "our_guessed_label": 0, "mturk": v} for i, v in zip(ids, votes)
    ]


@pytest.fixture
def made_up(data_root, monkeypatch):
    """A set of six labels, four of them suspects, beside a file that belongs to other labels."""
    known = {"mnist": (sha256(GIVEN), 6, 4, 2), "cifar10": (sha256(GIVEN[::-1]), 6, 4, 2)}
    monkeypatch.setattr(module, "LABEL_ERRORS", known)
    folder = data_root / "somewhere"
    folder.mkdir()
    np.savez(folder / "b.npz", given_label=GIVEN, cv_predicted_label=GIVEN, cv_predicted_prob=np.full((6, 4), 0.25))
    (folder / "a.json.gz").write_bytes(gzip.compress(json.dumps(answers([0, 1, 2, 3], GIVEN[::-1])).encode()))
    (folder / "b.json").write_text(json.dumps(answers([5, 0, 3, 4])))
    return folder


def test_a_set_is_found_by_its_labels_and_its_answers_by_theirs(made_up):
    held = datasets.load_label_errors("mnist")
    np.testing.assert_array_equal(held.given, GIVEN)
    np.testing.assert_array_equal(held.reviewed, [5, 0, 3, 4])
    np.testing.assert_array_equal(held.votes, [[5, 0, 0], [4, 1, 0], [3, 2, 0], [2, 3, 0]])
    np.testing.assert_array_equal(held.wrong, [False, False, False, True])
    assert held.choices == ("given", "guessed", "neither") and held.probs.shape == (6, 4)
    assert module.find_label_errors() == ["mnist"] and "1 of them wrong" in repr(held)


def test_what_is_missing_is_said(made_up, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no label errors of cifar10: .*cleanlab/label-errors"):
        datasets.load_label_errors("cifar10")
    (made_up / "b.json").write_text(json.dumps(answers([5, 0, 3])))
    with pytest.raises(ValueError, match="holds 4 answers"):
        datasets.load_label_errors("mnist")
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        datasets.load_label_errors("minst")
    monkeypatch.delenv("LABKIT_DATA")
    with pytest.raises(FileNotFoundError, match="which is not set"):
        datasets.load_label_errors("mnist")
    assert module.find_label_errors() == []


@pytest.mark.parametrize("name", list(module.LABEL_ERRORS))
def test_the_published_sets(real_data, name):
    held = datasets.load_label_errors(name)
    _, n, suspects, wrong = module.LABEL_ERRORS[name]
    assert (len(held.given), len(held.votes), int(held.wrong.sum())) == (n, suspects, wrong)
    assert (held.probs is None) == (name == "cifar100") and (held.reviewed is None) == (name == "imdb")
    if held.probs is not None:
        np.testing.assert_array_equal(held.probs.argmax(1), held.predicted)
    if held.reviewed is not None:
        assert (held.predicted[held.reviewed] != held.given[held.reviewed]).mean() > 0.85
