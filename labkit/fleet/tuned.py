"""Each method at its best, with nothing but the evidence it was given: settings chosen on imperfect validation data."""

from __future__ import annotations

import pandas as pd
import torch

from labkit.evidence import one_hot
from labkit.fleet.runs import Runs


def tuned(runs: Runs, metric: str = "accuracy", split: str = "test") -> pd.DataFrame:
    """Per seed the one run of a sweep that agrees best with the validation evidence it was *given*, noise and all.

    Agreement is the mean likelihood of the predicted class at the last epoch: for labels, how often they are
    predicted. Of equals the earlier setting is taken. Clean labels choose nothing; they only measure the chosen.

    Args:
        runs: of any number of settings, one run per setting and seed.
        metric, split: what to measure of the chosen run, as in :meth:`labkit.Runs.measure`.

    Returns:
        One row per seed: the settings, ``agreement``, ``value``. Give ``tuned(a)["value"]`` (indexed by seed) to
        ``judge`` as one side of a difference.

    Raises:
        LookupError: validation evidence that is not pointwise.
    """
    said = one_hot(runs.logits("validation").argmax(-1), runs.context.data.n_classes)
    likelihood = []
    for run in runs:
        if "labels" in run.given:
            likelihood.append(one_hot(run.given["labels"], said.shape[-1]))
        elif "likelihood" in run.given:
            likelihood.append(run.given["likelihood"].to(said))
        else:
            raise LookupError(
                "settings are chosen by agreement with pointwise validation evidence; these runs have none"
            )
    agreement = (said * torch.stack(likelihood)).sum(-1).double().flatten(1).mean(1)
    table = runs.measure(metric, split=split).assign(agreement=agreement.numpy())
    best = table.sort_values("agreement", ascending=False, kind="stable").groupby("seed").head(1)
    return best.set_index("seed").sort_index()


__all__ = ["tuned"]
