"""Each method at its best, with nothing but the evidence it was given: settings chosen on imperfect validation data."""

from __future__ import annotations

import pandas as pd

from labkit.fleet.runs import Runs


def tuned(
    runs: Runs, metric: str = "accuracy", split: str = "test", by: str = "agreement", temperature: bool = False
) -> pd.DataFrame:
    """Per seed the one run of a sweep that agrees best with the validation evidence it was *given*, noise and all.

    Agreement is that of the evidence (``Evidence.agreement``) at the last epoch: the mean likelihood of the predicted
    class for pointwise evidence (for labels, how often they are predicted), the log-likelihood of the counts for bags.
    Agreement does not see how sure a network is; where that matters choose ``by="nll"``. Of equals the earlier setting
    is taken. Clean labels choose nothing; they only measure the chosen.

    Args:
        runs: of any number of settings, one run per setting and seed.
        metric, split, temperature: what to measure of the chosen run, as in :meth:`labkit.Runs.measure`.
        by: "agreement", or a metric, such as "nll", against the labels that were given for validation (after the
            temperature, if asked for).

    Returns:
        One row per seed: the settings, ``agreement`` (or the metric that chose), ``value``. Give ``tuned(a)["value"]``
        (indexed by seed) to ``judge`` as one side of a difference.

    Raises:
        LookupError: runs without validation data. ValueError: ``by`` is a metric of which neither more nor less is
            better.
    """
    score, ascending = _agreement(runs) if by == "agreement" else _measured(runs, by, temperature)
    table = runs.settings.reset_index(drop=True).assign(**{by: score})
    best = table.sort_values(by, ascending=ascending, kind="stable").groupby("seed").head(1).sort_values("seed")
    chosen = Runs([runs[i] for i in best.index], runs.context)  # only they are measured
    measured = chosen.measure(metric, split=split, temperature=temperature)
    return measured.assign(**{by: best[by].to_numpy()}).set_index("seed")


def _agreement(runs: Runs) -> tuple[list[float], bool]:
    if any("validation/agreement" not in run.curves for run in runs):
        raise LookupError("settings are chosen by agreement with validation evidence; these runs have none")
    return [run.curves["validation/agreement"][-1] for run in runs], False


def _measured(runs: Runs, by: str, temperature: bool) -> tuple[list[float], bool]:
    from labkit.metrics import metric

    found = metric(by)
    if found.higher_is_better is None:
        raise ValueError(f"neither more nor less {by} is better; choose by agreement, or by nll")
    logits = runs.logits("validation")
    if temperature:
        logits = logits / runs.temperatures().view(-1, *[1] * (logits.ndim - 1))
    return found(logits.flatten(1, -2), runs.told("validation").flatten(1)).tolist(), not found.higher_is_better


__all__ = ["tuned"]
