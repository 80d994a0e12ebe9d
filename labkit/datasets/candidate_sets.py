"""Real candidate sets from a folder of the user's, and drawn ones that stand in for them.

The sets that papers on partial labels report (lost, MSRCv2, FG-NET, ...) are MATLAB files with three matrices: ``data``
(n, d), ``partial_target`` and ``target`` (K, n) of zeros and ones. They are for academic use and not part of this
package. lost: faces of a television series, the candidates are the names in the caption of the scene (Cour, Sapp,
Taskar, 2011, "Learning from partial labels", JMLR 12); MSRCv2: image regions, the candidates are the labels of the
whole image (Liu, Dietterich, 2012, "A conditional multinomial mixture model for superset label learning", NIPS).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat, whosmat
from scipy.sparse import issparse

from labkit.datasets.base import Data, check_finite
from labkit.datasets.bundled import standardise
from labkit.datasets.local import data_folder, folders
from labkit.streams import generator

ARRAYS = ("data", "partial_target", "target")
SIZES = (0.15, 0.55, 0.25, 0.05)  # of a drawn caption naming 0, 1, 2 or 3 others: 2.2 candidates on average, as in lost


def candidate_sets(which: str = "lost") -> Data:
    """Standardised features, the hidden true class as y, the given sets as ``side["candidates"]`` (n, K) booleans.

    The annotator is ``labkit.annotate.GivenCandidates``. A class that nobody has stays a class (lost has two of them).
    lost: (1122, 108), 16 classes, 2.2 candidates; MSRCv2: (1758, 48), 23 classes, 3.2 candidates.

    which: name of the file, without ``.mat``, in the folder ``LABKIT_DATA`` or below it; capitals do not matter.
    FileNotFoundError when it is not there; ValueError for matrices that do not fit one another.
    """
    found = find_candidate_sets()
    file = {name.lower(): path for name, path in found.items()}.get(which.lower())
    if file is None:
        root = data_folder()
        where = f"under {root.absolute()}" if root else "in the folder LABKIT_DATA, which is not set"
        raise FileNotFoundError(
            f"no candidate sets {which!r}: expected {which}.mat with {', '.join(ARRAYS)} {where} (found: "
            f"{', '.join(found) or 'none'}); the PALM laboratory, Southeast University, offers them. "
            "load('captioned') is a drawn stand-in"
        )
    held = loadmat(file, variable_names=ARRAYS)
    x, told, truth = (held[name].toarray() if issparse(held[name]) else np.asarray(held[name]) for name in ARRAYS)
    if x.ndim != 2 or told.shape != truth.shape or told.ndim != 2 or len(x) not in told.shape:
        raise ValueError(f"{file}: expected data (n, d), partial_target and target (K, n) or (n, K), found {x.shape}, "
                         f"{told.shape} and {truth.shape}")  # fmt: skip
    if told.shape[1] == len(x):  # as published
        told, truth = told.T, truth.T
    for name, matrix in (("partial_target", told), ("target", truth)):
        if not ((matrix == 0) | (matrix == 1)).all() or (matrix.sum(1) == 0).any():
            raise ValueError(f"{file}: {name} holds zeros and ones, at least one 1 for every example")
    if (truth.sum(1) != 1).any():
        raise ValueError(f"{file}: {int((truth.sum(1) != 1).sum())} examples have more than one true class in target")
    check_finite(file.name, torch.from_numpy(x.astype(np.float64)))
    return Data(
        file.stem, torch.from_numpy(standardise(x)), torch.from_numpy(truth.argmax(1).astype(np.int64)),
        tuple(str(k) for k in range(told.shape[1])), source=f"local: {file.name}",
        side={"candidates": torch.from_numpy(told == 1)},
    )  # fmt: skip


def find_candidate_sets() -> dict[str, Path]:
    """Name -> file, of all MATLAB files under ``LABKIT_DATA`` that hold candidate sets. Reads their headers only."""
    root = data_folder()
    files = (file for _, held in (folders(root) if root else ()) for file in held if file.suffix == ".mat")
    return {file.stem: file for file in files if _holds_sets(file)}


def captioned(n: int = 1000, classes: int = 12, separation: float = 3.0, seed: int = 0) -> Data:
    """A drawn stand-in for lost: faces x (n, 20), the names in their caption as ``side["candidates"]`` (n, classes).

    Characters differ in how often they are seen (character k in proportion to ``1 / (k + 1)``). A caption names the one
    shown and up to three others, mostly from the same story: characters k, k + 3, k + 6, ... So sets depend on the
    class, and some wrong name comes with a name much oftener than others. Features are normal around centres
    ``separation`` apart; the posterior is that of x alone, without the caption.
    """
    if not 5 <= classes <= 20 or n < 10 * classes:
        raise ValueError(f"expected from 5 to 20 classes and 10 examples of each, got {classes} and {n} in all")
    rng = generator(seed, "data")
    centres = separation / np.sqrt(2) * np.linalg.qr(rng.standard_normal((20, classes)))[0].T
    prior = 1 / np.arange(1, classes + 1)
    prior /= prior.sum()
    y = np.concatenate([np.repeat(np.arange(classes), 5), rng.choice(classes, n - 5 * classes, p=prior)])
    x = centres[y] + rng.standard_normal((n, centres.shape[1]))
    share = 5 / n + (1 - 5 * classes / n) * prior  # five of every character are always there
    logits = np.log(share) + x @ centres.T  # all centres are equally far from 0
    posterior = np.exp(logits - logits.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    story = np.arange(classes) % 3
    together = prior * np.where(story[:, None] == story, 6.0, 1.0)
    np.fill_diagonal(together, 0)
    others = rng.choice(len(SIZES), n, p=SIZES)
    times = rng.exponential(size=(n, classes)) / np.where(together > 0, together, np.nan)[y]  # the smallest are named
    named = np.nan_to_num(times, nan=np.inf).argsort(1).argsort(1) < others[:, None]
    named[np.arange(n), y] = True
    return Data(
        "captioned", torch.from_numpy(x).float(), torch.from_numpy(y), tuple(f"character {k}" for k in range(classes)),
        posterior=torch.from_numpy(posterior), side={"candidates": torch.from_numpy(named)},
    )  # fmt: skip


def _holds_sets(file: Path) -> bool:
    try:
        return {name for name, _, _ in whosmat(file)} >= set(ARRAYS)
    except Exception:  # a damaged or other kind of file: scipy has no common class for what it says then
        return False
