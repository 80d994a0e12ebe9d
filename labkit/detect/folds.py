"""A cross-validation of a fleet: what k networks per seed say of every label, seen and unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from labkit.annotate import Annotator
from labkit.annotate.placed import ByPlace
from labkit.datasets import Data
from labkit.detect.aum import area_under_margin
from labkit.streams import generator


@dataclass(frozen=True)
class CrossFit:
    """R runs (settings of the annotator, then seeds), n examples, K classes; the same ``folds`` networks for all.

    Attributes:
        settings: a row per run: seed, and what was swept ("annotator.inner.rate").
        given: (R, n) what the annotator said. wrong: (R, n) where that is not the truth; for evaluation only.
        probs: (R, n, K) of the one network that did not train on the example.
        area: (R, n) score of `area_under_margin`, mean over the networks that did train on it.
        loss: (R, n) mean over the same networks and all epochs of the cross entropy against the given label, nats.
    """

    settings: pd.DataFrame
    given: np.ndarray
    wrong: np.ndarray
    probs: np.ndarray
    area: np.ndarray
    loss: np.ndarray

    def where(self, **values) -> CrossFit:
        """The runs with these settings, as in ``Runs.where``. LookupError if there are none."""
        keep = np.ones(len(self.settings), bool)
        for name, value in values.items():
            keep &= np.isclose(self.settings[name].astype(float), value)
        if not keep.any():
            raise LookupError(f"no run has {values}; there are\n{self.settings.drop_duplicates().to_string()}")
        arrays = (getattr(self, name)[keep] for name in ("given", "wrong", "probs", "area", "loss"))
        return CrossFit(self.settings[keep].reset_index(drop=True), *arrays)


def cross_fit(data: Data, annotator: Annotator, *, seeds: int, epochs: int, folds: int = 5, **options) -> CrossFit:
    """Train watched networks, ``folds`` per run, each on all but one fold of ``data`` (an official test set is not kept
    apart). Further ``options`` are those of ``labkit.fit`` (model, optimiser, device, ...).

    At one seed an example is told the same label in every fold (`labkit.annotate.ByPlace`). Numbers of the annotator
    may be a ``labkit.sweep``. Small networks are expected: up to 64 runs train stacked, unless ``lanes`` is given.
    """
    from labkit.fleet import fit
    from labkit.methods import Watched

    if not 2 <= folds <= data.n or seeds < 1:
        raise ValueError(f"expected 2 to {data.n} folds and at least one seed, got folds={folds}, seeds={seeds}")
    data = replace(data, side={**data.side, "place": torch.arange(data.n)}, test=None)
    fold = generator(0, "split").permutation(data.n) % folds
    options = {"lanes": 64, **options}
    for f in range(folds):
        test = torch.from_numpy(np.flatnonzero(fold == f))
        runs = fit(
            replace(data, test=test), ByPlace(annotator, data.n), methods=Watched(epochs=epochs), seeds=seeds,
            epochs=epochs, validation=0, evaluate_every=epochs, **options,
        )  # fmt: skip
        if f == 0:
            given = np.full((len(runs), data.n), -1)
            probs = np.full((len(runs), data.n, data.n_classes), np.nan)
            area, loss = (np.full((folds, len(runs), data.n), np.nan) for _ in range(2))
        row, seen = np.arange(len(runs))[:, None], runs.index("train").numpy()
        given[row, seen] = runs.told("train")
        probs[:, test] = runs.logits().double().softmax(-1).numpy()
        loss[f, row, seen] = runs.kept("losses").double().nanmean(1).numpy()
        area[f, row, seen] = np.stack([area_under_margin(m) for m in runs.kept("margins")])
    return CrossFit(
        runs.settings.drop(columns="method"), given, given != data.y.numpy(), probs, np.nanmean(area, 0),
        np.nanmean(loss, 0),
    )  # fmt: skip


__all__ = ["CrossFit", "cross_fit"]
