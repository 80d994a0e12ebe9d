"""Each method at its best, with nothing but the evidence it was given: settings chosen on imperfect validation data."""

from __future__ import annotations

import pandas as pd

from labkit.fleet.runs import Runs


def tuned(runs: Runs, metric: str = "accuracy", split: str = "test") -> pd.DataFrame:
    """Per seed the one run of a sweep that agrees best with the validation evidence it was *given*, noise and all.

    Agreement is that of the evidence (``Evidence.agreement``) at the last epoch: the mean likelihood of the predicted
    class for pointwise evidence (for labels, how often they are predicted), the log-likelihood of the counts for bags.
    Of equals the earlier setting is taken. Clean labels choose nothing; they only measure the chosen.

    Args:
        runs: of any number of settings, one run per setting and seed.
        metric, split: what to measure of the chosen run, as in :meth:`labkit.Runs.measure`.

    Returns:
        One row per seed: the settings, ``agreement``, ``value``. Give ``tuned(a)["value"]`` (indexed by seed) to
        ``judge`` as one side of a difference.

    Raises:
        LookupError: runs without validation data.
    """
    if any("validation/agreement" not in run.curves for run in runs):
        raise LookupError(
            "settings are chosen by agreement with validation evidence; these runs have none"
        )
    agreement = [run.curves["validation/agreement"][-1] for run in runs]
    table = runs.measure(metric, split=split).assign(agreement=agreement)
    best = table.sort_values("agreement", ascending=False, kind="stable").groupby("seed").head(1)
    return best.set_index("seed").sort_index()


__all__ = ["tuned"]
