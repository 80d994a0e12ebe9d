"""A claim names its paper, a direction and a smallest effect that matters, before the run; ``judge`` gives the verdict.

The effect is the mean over seeds of a paired difference, signed so that the claim's direction is positive. Its 95 %
interval is compared with the margin, and both intervals (Student's and the bootstrap's) must agree:

- *supported*: the whole interval lies above the margin;
- *contradicted*: the whole interval lies below it (the effect that was claimed to matter is not there);
- *inconclusive*: the interval holds the margin;
- *underpowered*: fewer finished pairs than ``minimum_runs``, whatever the numbers say.
"""

from __future__ import annotations

import html
import json
import platform
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

MIMETYPE = "application/vnd.labkit.verdict+json"
VERDICTS = ("supported", "contradicted", "inconclusive", "underpowered")


@dataclass(frozen=True)
class Claim:
    """What a paper says, in a form that can fail.

    Args:
        id: short unique name. paper: a key of data/papers.csv. says: one sentence.
        better, than: the two sides compared: a method's name, or settings such as
            ``{"method": "smoothing", "smoothing": 0.1}``. Not needed when ``judge`` is given effects directly.
        metric: a name in ``labkit.metrics.METRICS``; whether more is better is known from it. Where effects are given
            directly it only says what they are of.
        margin: smallest effect that matters, in the metric's units, not negative; claimed is an effect above it.
        at: "last", "selected" or "oracle". temperature: compare after temperature scaling (fitted on validation data).
        minimum_runs: pairs below which the verdict is "underpowered".
    """

    id: str
    paper: str
    says: str
    metric: str = "accuracy"
    margin: float = 0.0
    better: Any = None
    than: Any = None
    at: str = "last"
    split: str = "test"
    temperature: bool = False
    minimum_runs: int = 10

    def __post_init__(self):
        if self.better is not None:
            from labkit.metrics import metric

            if metric(self.metric).higher_is_better is None:  # effects given to judge may be of anything
                raise ValueError(f"neither more nor less {self.metric} is better; give judge signed effects instead")
        if not self.margin >= 0:
            raise ValueError(f"a margin is the smallest effect that matters and not negative, got {self.margin}")
        if self.minimum_runs < 2:
            raise ValueError(f"an interval needs at least 2 runs, got minimum_runs = {self.minimum_runs}")


@dataclass(frozen=True)
class Verdict:
    """The answer: effect, intervals, number of paired runs, one word."""

    claim: Claim
    verdict: str
    effect: float
    low: float
    high: float
    boot_low: float
    boot_high: float
    runs: int
    dropped: int  # pairs left out because a run diverged
    dataset: str = ""
    device: str = ""
    seconds: float | None = None
    versions: str = ""
    effects: tuple[float, ...] = field(default=(), repr=False)

    def record(self) -> dict:
        """Plain values for the ledger; numbers that are not finite become None."""
        held = asdict(self)
        claim = held.pop("claim")
        flat = {"claim": claim["id"], "paper": claim["paper"], "says": claim["says"], **held}
        flat.update({k: claim[k] for k in ("metric", "margin", "at", "minimum_runs")})
        plain = lambda v: None if isinstance(v, float) and not np.isfinite(v) else v
        return {k: [plain(e) for e in v] if isinstance(v, tuple) else plain(v) for k, v in flat.items()}

    def __str__(self) -> str:
        return (
            f"{self.verdict}: {self.claim.says}\n  effect {self.effect:+.4f} [{self.low:+.4f}, {self.high:+.4f}] "
            f"({self.claim.metric}, margin {self.claim.margin:g}, {self.runs} paired runs)"
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {MIMETYPE: json.loads(json.dumps(self.record())), "text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        colour = {"supported": "#2e7d32", "contradicted": "#c62828", "inconclusive": "#8a6d00"}.get(
            self.verdict, "#666"
        )
        lost = f"; {self.dropped} pairs lost to divergence" if self.dropped else ""
        return (
            f'<div style="border-left:6px solid {colour};padding:.4em .9em;margin:.6em 0">'
            f'<b style="color:{colour}">{self.verdict}</b> &nbsp; {html.escape(self.claim.says)}<br>'
            f"effect <b>{self.effect:+.4f}</b>, 95 % interval [{self.low:+.4f}, {self.high:+.4f}] "
            f"(bootstrap [{self.boot_low:+.4f}, {self.boot_high:+.4f}]), {html.escape(self.claim.metric)}, "
            f"smallest effect that matters {self.claim.margin:g}, {self.runs} paired runs{lost} "
            f"<small>· {html.escape(self.claim.paper)}</small></div>"
        )


def judge(runs, claim: Claim, effects=None, *, dataset: str = "") -> Verdict:
    """Compare paired runs and say what holds.

    Args:
        runs: :class:`labkit.Runs` that hold both sides of the claim (or, with ``effects``, any runs the effects come
            from: they give data set, device and seconds; None is allowed).
        effects: per-seed differences, already signed so that the claim's direction is positive: a sequence or a Series
            over seeds (an interaction, a difference of differences). Then ``better`` and ``than`` are not looked at.

    Raises:
        ValueError: the two sides share no seed, or a side names more than one run per seed.
    """
    if effects is None:
        effects = paired_difference(runs, claim)
    values = np.asarray(effects, float)
    if values.ndim != 1:
        raise ValueError(f"effects are one number per seed, got shape {values.shape}")
    finite = values[np.isfinite(values)]
    low, high = student_interval(finite)
    boot_low, boot_high = bootstrap_interval(finite)
    verdict = decide(min(low, boot_low), max(high, boot_high), claim.margin, len(finite), claim.minimum_runs)
    about = {} if runs is None else _about(runs)
    return Verdict(
        claim, verdict, float(finite.mean()) if len(finite) else float("nan"), low, high, boot_low, boot_high,
        len(finite), len(values) - len(finite), versions=versions(), effects=tuple(map(float, values)),
        **{**about, **({"dataset": dataset} if dataset else {})},
    )  # fmt: skip


def decide(low: float, high: float, margin: float, runs: int, minimum_runs: int) -> str:
    """The word for an interval; see the head of this module."""
    if runs < minimum_runs:
        return "underpowered"
    if low > margin:
        return "supported"
    return "contradicted" if high < margin else "inconclusive"


def paired_difference(runs, claim: Claim) -> pd.Series:
    """Per seed: better minus than (the other way round where less is better), so that positive favours the claim."""
    from labkit.metrics import metric

    sides = []
    for side in (claim.better, claim.than):
        if side is None:
            raise ValueError(f"claim {claim.id!r} names no two sides; give better and than, or effects to judge")
        chosen = runs.where(**side) if isinstance(side, dict) else runs[side]
        if len({run.seed for run in chosen}) < len(chosen):
            raise ValueError(
                f"{side!r} names several runs per seed in claim {claim.id!r}; name swept values too, of "
                f"{[c for c in chosen.settings.columns if c not in ('method', 'seed')]}"
            )
        measured = chosen.measure(claim.metric, claim.at, claim.split, claim.temperature)
        sides.append(measured.set_index("seed")["value"])
    difference = (sides[0] - sides[1]).loc[lambda s: s.index.isin(sides[0].index) & s.index.isin(sides[1].index)]
    if difference.empty:
        raise ValueError(f"the two sides of claim {claim.id!r} share no seed, so nothing is paired")
    return difference if metric(claim.metric).higher_is_better else -difference


def student_interval(values, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of ``values`` under Student's t; NaN below two finite values."""
    from scipy import stats

    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap_interval(values, confidence: float = 0.95, resamples: int = 9999) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean (Efron, 1987), from a fixed stream."""
    from scipy import stats

    from labkit.streams import generator

    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:  # nothing varies; the acceleration is 0 / 0
        return float(values[0]), float(values[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate data, dealt with here: where BCa is undefined, plain percentiles
        for method in ("BCa", "percentile"):
            low, high = stats.bootstrap(
                (values,), np.mean, confidence_level=confidence, n_resamples=resamples, method=method,
                rng=generator(0, "bootstrap"),
            ).confidence_interval  # fmt: skip
            if np.isfinite([low, high]).all():
                break
    return float(low), float(high)


def versions() -> str:
    """What the numbers were made with, on one line."""
    from importlib.metadata import version

    return f"labkit {version('labkit')}, torch {version('torch')}, python {platform.python_version()}"


def _about(runs) -> dict:
    return {
        "dataset": runs.context.data.name,
        "device": ", ".join(sorted({run.device for run in runs})),
        "seconds": round(sum(run.seconds for run in runs), 3),
    }
