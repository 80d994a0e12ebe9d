from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.sparse import csc_matrix

import labkit as lk
import labkit.datasets as datasets
from labkit.annotate import GivenCandidates
from labkit.datasets.candidate_sets import find_candidate_sets
from labkit.evidence import Candidates, Labels

X = np.arange(15.0).reshape(5, 3) ** 2
TRUTH = np.eye(4)[[0, 2, 2, 1, 0]]
TOLD = np.maximum(TRUTH, np.eye(4)[[1, 2, 0, 3, 3]])


def put(folder, name="lost.mat", x=X, told=TOLD.T, truth=TRUTH.T, wrap=csc_matrix):
    savemat(folder / name, {"data": x, "partial_target": wrap(told), "target": wrap(truth)})


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("wrap", [csc_matrix, np.asarray, lambda m: np.asarray(m, dtype=np.uint8)])
def test_sets_are_read_either_way_round_and_sparse_or_not(data_root, wrap, turned):
    told, truth = (m if turned else m.T for m in (TOLD, TRUTH))
    put(data_root, told=told, truth=truth, wrap=wrap)
    data = datasets.load("candidate_sets")
    assert data.name == "lost" and data.n_classes == 4 and data.y.tolist() == [0, 2, 2, 1, 0]  # nobody has class 3
    np.testing.assert_array_equal(data.side["candidates"], TOLD == 1)
    np.testing.assert_allclose(data.x, (X - X.mean(0)) / X.std(0), rtol=1e-5, atol=1e-6)


def test_a_set_is_known_by_what_it_holds_and_asked_for_by_its_name(data_root):
    assert datasets.available()["candidate_sets"].startswith("absent")
    (data_root / "below").mkdir()
    put(data_root / "below", "MSRCv2.mat")
    savemat(data_root / "lost.mat", {"data": X})  # another kind of file
    (data_root / "cut.mat").write_bytes(b"cut")
    assert list(find_candidate_sets()) == ["MSRCv2"]
    assert datasets.available()["candidate_sets"] == "LABKIT_DATA"
    assert datasets.load("candidate_sets", which="msrcV2").name == "MSRCv2"
    with pytest.raises(FileNotFoundError, match=r"no candidate sets 'lost'.*\(found: MSRCv2\)"):
        datasets.load("candidate_sets")


@pytest.mark.parametrize(
    "wrong, says",
    [
        (dict(x=X[:3]), r"found \(3, 3\), \(4, 5\)"),
        (dict(told=TOLD.T * 2), "partial_target holds zeros and ones"),
        (dict(told=TOLD.T * [1, 1, 0, 1, 1]), "partial_target holds .* at least one 1"),
        (dict(truth=TOLD.T), "4 examples have more than one true class"),
        (dict(x=np.where(X == 4, np.nan, X)), "lost.mat"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(data_root, wrong, says):
    put(data_root, **wrong)
    with pytest.raises(ValueError, match=says):
        datasets.load("candidate_sets")


def test_without_a_folder_the_stand_in_is_named():
    with pytest.raises(FileNotFoundError, match=r"LABKIT_DATA, which is not set.*load\('captioned'\)"):
        datasets.load("candidate_sets", which="FG-NET")


def test_the_published_sets(real_data):
    for which, n, d, k, size in (("lost", 1122, 108, 16, 2.23), ("MSRCv2", 1758, 48, 23, 3.16)):
        if which not in find_candidate_sets():
            pytest.skip(f"{which}.mat is not in LABKIT_DATA")
        data = datasets.load("candidate_sets", which=which)
        sets = data.side["candidates"]
        assert data.x.shape == (n, d) and data.n_classes == k
        assert float(sets.sum(1).double().mean()) == pytest.approx(size, abs=0.005)
        assert sets[torch.arange(n), data.y].all()


def test_drawn_captions_hold_the_truth_and_prefer_the_same_story():
    data = datasets.load("captioned", n=4000)
    sets, y = data.side["candidates"], data.y
    assert data.x.shape == (4000, 20) and data.n_classes == 12 and sets[torch.arange(4000), y].all()
    assert torch.equal(data.x, datasets.load("captioned", n=4000).x)
    shares = sets.sum(1).bincount(minlength=5)[1:] / 4000
    torch.testing.assert_close(shares, torch.tensor([0.15, 0.55, 0.25, 0.05]), atol=0.03, rtol=0)
    counts = y.bincount()
    assert counts[0] > 3 * counts[5] > 3 * counts[11] > 0
    others = sets.double().clone()
    others[torch.arange(4000), y] = 0
    with_first = others[y == 0].mean(0)
    assert (with_first[[3, 6, 9]] > 1.5 * with_first[[1, 2, 4]].mean()).all()
    # the posterior is right: as sure as it is often right
    sure, said = data.posterior.max(1)
    assert float((said == y).double().mean()) == pytest.approx(float(sure.mean()), abs=0.02)
    torch.testing.assert_close(data.posterior.mean(0), counts / 4000, atol=0.01, rtol=0, check_dtype=False)
    assert 0.6 < float(sure.mean()) < 0.95
    with pytest.raises(ValueError, match="from 5 to 20 classes"):
        datasets.load("captioned", n=300, classes=4)


def test_given_candidates_are_the_sets_of_the_examples():
    sets = torch.tensor([[1, 1, 0], [0, 1, 0]]).bool()
    given = GivenCandidates()(Labels([0, 1], 3), torch.zeros(2, 1), np.random.default_rng(0), candidates=sets)
    assert type(given) is Candidates and torch.equal(given.mask, sets) and GivenCandidates("mine").needs == ("mine",)
    for wrong, says in ((sets[:, :2], r"shape \(2, 3\), got \(2, 2\)"), (sets & False, "2 candidate sets are empty")):
        with pytest.raises(ValueError, match=says):
            GivenCandidates()(Labels([0, 1], 3), torch.zeros(2, 1), np.random.default_rng(0), candidates=wrong)


def test_a_fleet_learns_from_given_sets():
    data = datasets.load("captioned", n=300)
    runs = lk.fit(data, GivenCandidates(), methods=lk.methods.EvidenceLikelihood(), seeds=2, epochs=10,
                  batch_size=16, progress=False, compile=False)  # fmt: skip
    chance = float((data.y == 0).double().mean())
    assert (runs.measure("accuracy")["value"] > chance + 0.1).all()
