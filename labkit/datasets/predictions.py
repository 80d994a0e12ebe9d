"""Predictions that somebody recorded: probabilities and labels of a test set, without inputs or weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.datasets.archive import read_npz, sniff_npz
from labkit.datasets.cifar_h import find_votes, read_votes
from labkit.datasets.local import data_folder, folders
from labkit.streams import generator


@dataclass(frozen=True)
class Predictions:
    """n answers of one network, with the labels, and with human votes where the same examples were judged."""

    name: str
    log_p: Tensor  # (n, K) float64 log probabilities: logits that are normalised
    labels: Tensor  # (n,) int64
    votes: Tensor | None = None  # (n, K) int64, how many people named the class

    def __repr__(self) -> str:
        accuracy = (self.log_p.argmax(-1) == self.labels).double().mean()
        judged = "" if self.votes is None else f", {self.votes.sum(-1).double().mean():.0f} votes each"
        return f"Predictions {self.name}: {len(self.labels):,} × {self.log_p.shape[1]}, accuracy {accuracy:.3f}{judged}"


def load_predictions() -> list[Predictions]:
    """All recorded predictions under ``LABKIT_DATA``, the least accurate first.

    Any npz with ``predictions`` ``(n, K)``, rows that sum to 1, and ``ground_truth`` ``(n,)``; named after the file.
    Human votes are those of CIFAR-10H, if they are there and their labels are these. FileNotFoundError where there are
    none; ValueError for rows that are no distributions or labels out of range.
    """
    root = data_folder()
    files = [
        file for _, held in (folders(root) if root else ()) for file in held
        if (sniff_npz(file) or {}).keys() >= {"predictions", "ground_truth"}
    ]  # fmt: skip
    if not files:
        raise FileNotFoundError(
            "no recorded predictions: expected npz files with predictions (n, K) and ground_truth (n,) "
            f"{f'under {root.absolute()}' if root else 'in the folder LABKIT_DATA, which is not set'}; the repository "
            "EFS-OpenSource/calibration-framework has some (examples/classification/records/cifar10). "
            "drawn_predictions() needs no file"
        )
    found = [_read(file) for file in sorted(files)]
    if find_votes() is not None:
        votes, truth = read_votes()
        found = [Predictions(f.name, f.log_p, f.labels, votes) if torch.equal(f.labels, truth) else f for f in found]
    return sorted(found, key=lambda f: float((f.log_p.argmax(-1) == f.labels).double().mean()))


def _read(file) -> Predictions:
    arrays = read_npz(file, only=["predictions", "ground_truth"])
    p, labels = arrays["predictions"].astype(np.float64), arrays["ground_truth"].astype(np.int64)
    if p.ndim != 2 or labels.shape != p.shape[:1]:
        raise ValueError(f"{file}: expected predictions (n, K) and ground_truth (n,), got {p.shape} and {labels.shape}")
    if not np.isfinite(p).all() or (p < 0).any() or np.abs(p.sum(1) - 1).max() > 1e-3:
        raise ValueError(f"{file}: predictions are probabilities whose rows sum to 1; worst row sums to "
                         f"{p.sum(1)[np.abs(p.sum(1) - 1).argmax()]:.4g}")  # fmt: skip
    if labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(f"{file}: labels from 0 to {p.shape[1] - 1} expected, got {labels.min()} to {labels.max()}")
    tiny = np.finfo(np.float32).tiny  # a probability that was rounded to 0 was not 0
    log_p = torch.from_numpy(np.log(np.maximum(p, tiny))).log_softmax(-1)
    return Predictions(file.stem, log_p, torch.from_numpy(labels))


def drawn_predictions(n: int = 10_000, classes: int = 10, seed: int = 0) -> list[Predictions]:
    """A stand-in without files: a modest network that knows its limits and a good one that is far too sure.

    Logits g of the truth are normal with standard deviation 6; labels and 50 votes an example come from softmax(g). The
    modest network sees ``g`` through noise of sd 4 and shrinks it by the factor 0.27, which is about right; the good
    one sees it through noise of sd 0.7 and doubles it.
    """
    rng = generator(seed, "data", 10_000)
    g = 6 * rng.standard_normal((n, classes))
    p = torch.from_numpy(g).softmax(-1)
    labels = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))[:, 0]
    votes = torch.from_numpy(rng.multinomial(50, p.numpy() / p.numpy().sum(1, keepdims=True)))
    modest = 0.27 * (g + 4 * rng.standard_normal(g.shape))
    good = 2 * (g + 0.7 * rng.standard_normal(g.shape))
    named = {"modest": modest, "good but too sure": good}
    return [Predictions(k, torch.from_numpy(z).log_softmax(-1), labels, votes) for k, z in named.items()]


__all__ = ["Predictions", "drawn_predictions", "load_predictions"]
