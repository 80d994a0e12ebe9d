"""The results of a fleet: tidy tables, logits, weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import Module

from labkit.fleet.step import nets
from labkit.models import initialised

ANSWERS = ("last", "selected", "oracle")


@dataclass
class Run:
    """One finished run.

    Attributes:
        curves: name ("test/accuracy") -> values at ``epochs``. logits: "last/test" -> ``(n, K)``.
        answers: "last", "selected", "oracle" -> epoch. index: split -> positions in the data set.
        given: what the annotator said of the validation split: "labels" ``(n,)``, or "likelihood" ``(n, K)``; empty for
            evidence that is not pointwise. Labels of the training split are "train/labels".
        kept: what the method remembered and keeps (``Method.keeps``), name -> tensor.
        diverged: epoch in which the loss stopped being a number, 0 if it never did. seconds: this run's share.
    """

    key: str
    method: str
    seed: int
    values: dict[str, float]
    epochs: list[int]
    curves: dict[str, list[float]]
    answers: dict[str, int]
    diverged: int
    seconds: float
    device: str
    params: dict[str, Tensor] = field(repr=False, default_factory=dict)
    logits: dict[str, Tensor] = field(repr=False, default_factory=dict)
    index: dict[str, Tensor] = field(repr=False, default_factory=dict)
    given: dict[str, Tensor] = field(repr=False, default_factory=dict)
    kept: dict[str, Tensor] = field(repr=False, default_factory=dict)

    _TENSORS = ("params", "logits", "index", "given", "kept")

    def to_flat(self) -> tuple[dict, dict[str, Tensor]]:
        """Plain values, and tensors by "kind:name"."""
        meta = {k: v for k, v in vars(self).items() if k not in self._TENSORS}
        return meta, {f"{kind}:{k}": t for kind in self._TENSORS for k, t in getattr(self, kind).items()}

    @classmethod
    def from_flat(cls, meta: dict, tensors: dict[str, Tensor]) -> Run:
        kinds: dict[str, dict] = {kind: {} for kind in cls._TENSORS}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(":")
            kinds[kind][rest] = tensor
        return cls(**meta, **kinds)


@dataclass
class Context:
    """What the runs share: data, architecture, methods by name (to predict again)."""

    data: object
    architecture: object
    methods: dict
    dtype: torch.dtype


class Runs(Sequence):
    """Runs of one or more methods over seeds and swept values.

    ``runs.table`` holds every epoch, ``runs.summary()`` the last, selected and oracle answers with intervals,
    ``runs.measure("ece")`` any metric per run, ``runs["focal"]`` one method, ``runs.where(smoothing=0.1)`` a part.
    """

    def __init__(self, runs: Sequence[Run], context: Context):
        self.runs, self.context = list(runs), context

    # ---- choosing --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __getitem__(self, which) -> Runs | Run:
        """``runs["focal"]`` the runs of a method; ``runs[3]`` one run; ``runs[2:5]`` a slice."""
        if isinstance(which, str):
            return self.where(method=which)
        return Runs(self.runs[which], self.context) if isinstance(which, slice) else self.runs[which]

    def where(self, **values) -> Runs:
        """The runs with these settings: ``where(method="focal", seed=3)``, ``where(**{"optimiser.lr": 0.1})``.

        Raises:
            LookupError: no such column, or no such run (which values there are is said).
        """
        table = self.settings
        keep = np.ones(len(self), bool)
        for name, value in values.items():
            if name not in table:
                from labkit.names import nearest

                raise LookupError(f"runs have no setting {name!r}; {nearest(name, table.columns)}")
            column = table[name]
            hit = np.isclose(column.astype(float), value) if isinstance(value, float) else (column == value).to_numpy()
            if not hit.any():
                raise LookupError(f"no run has {name} = {value!r}; there are {sorted(set(column.dropna()))}")
            keep &= hit
        if not keep.any():
            raise LookupError(f"no run has all of {values}")
        return Runs([run for run, k in zip(self.runs, keep) if k], self.context)

    def one(self, **values) -> Runs:
        """Like ``where``, for exactly one run."""
        found = self.where(**values)
        if len(found) != 1:
            raise LookupError(f"{len(found)} runs have {values}; name more settings, of {list(self.settings.columns)}")
        return found

    def by_setting(self) -> list[tuple[dict, Runs]]:
        """``(swept values, runs over seeds)`` per distinct setting; a method's name is a value if there are several."""
        several = len({run.method for run in self}) > 1
        groups: dict[tuple, list[Run]] = {}
        for run in self:
            groups.setdefault((run.method, tuple(run.values.items())), []).append(run)
        return [
            ({**({"method": method} if several else {}), **dict(values)}, Runs(members, self.context))
            for (method, values), members in groups.items()
        ]

    # ---- tables ----------------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        return [run.key for run in self]

    @cached_property
    def settings(self) -> pd.DataFrame:
        """One row per run: method, seed, swept values."""
        return pd.DataFrame([{"method": r.method, "seed": r.seed, **r.values} for r in self])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Tidy: method, seed, swept values, epoch, split, metric, value, for every evaluated epoch."""
        frames = []
        for run in self:
            for name, values in run.curves.items():
                split, metric = name.split("/")
                fixed = {"method": run.method, "seed": run.seed, **run.values}
                frames.append(
                    pd.DataFrame({**fixed, "epoch": run.epochs, "split": split, "metric": metric, "value": values})
                )
        return pd.concat(frames, ignore_index=True)

    def measure(
        self, metric: str | Sequence[str], at: str = "last", split: str = "test", temperature: bool = False
    ) -> pd.DataFrame:
        """``metric`` of every run on clean labels: settings, ``at``, ``epoch``, ``split``, ``metric``, ``value``.

        A diverged run has the value NaN.

        Args:
            metric: a name in :data:`labkit.metrics.METRICS`, or several, whose rows then follow one another (what they
                share is computed once). at: "last", "selected" or "oracle".
            temperature: first divide the logits by the temperature fitted on the run's validation split, with the
                labels (or other evidence) that the annotator gave there, clean or not.
        """
        from labkit.metrics import measure

        logits = self.logits(split, at)
        if temperature:
            logits = logits / self.temperatures(at).view(-1, *[1] * (logits.ndim - 1))
        names = [metric] if isinstance(metric, str) else list(metric)
        rows = self.settings.assign(at=at, epoch=[r.answers.get(at) for r in self], split=split)
        parts = []
        for name, values in measure(names, logits.flatten(1, -2), self.labels(split).flatten(1)).items():
            values[torch.tensor([run.diverged > 0 for run in self])] = torch.nan  # what it last predicted is no result
            parts.append(rows.assign(metric=f"{name} after temperature" if temperature else name, value=values.numpy()))
        return pd.concat(parts, ignore_index=True)

    def summary(self, metric: str = "accuracy", confidence: float = 0.95) -> pd.DataFrame:
        """Per method and setting: mean and Student interval over seeds, for the last, selected and oracle epoch."""
        from labkit.claims import student_interval

        rows = []
        for values, group in self.by_setting():
            for at in [a for a in ANSWERS if all(f"{a}/test" in r.logits for r in group)]:
                value = group.measure(metric, at)["value"].to_numpy()
                low, high = student_interval(value, confidence)
                rows.append(
                    {"method": group[0].method, **values, "at": at, "metric": metric, "mean": np.nanmean(value),
                     "low": low, "high": high, "runs": int(np.isfinite(value).sum()),
                     "diverged": sum(r.diverged > 0 for r in group)}
                )  # fmt: skip
        return pd.DataFrame(rows)

    # ---- tensors ---------------------------------------------------------------------------------------------

    def logits(self, split: str = "test", at: str = "last") -> Tensor:
        """``(runs, n, K)`` logits on "validation" or "test" at the "last", "selected" or "oracle" epoch.

        ``(runs, n, P, K)`` where examples have P places; metrics then count places as examples.
        """
        name = f"{at}/{split}"
        missing = [run for run in self if name not in run.logits]
        if missing:
            have = sorted(set.intersection(*(set(r.logits) for r in self)))
            raise LookupError(f"{len(missing)} runs hold no logits {name!r}; all hold {have}")
        return torch.stack([run.logits[name] for run in self])

    def labels(self, split: str = "test") -> Tensor:
        """``(runs, n)`` clean labels of a split: for evaluation only."""
        return torch.stack([self.context.data.y[run.index[split]] for run in self])

    def index(self, value, *range_) -> Tensor | int:
        """``runs.index("train")``: ``(runs, n)`` positions of a split in the data set. (Of a run: its place.)"""
        if isinstance(value, str):
            return torch.stack([run.index[value] for run in self])
        return super().index(value, *range_)

    def told(self, split: str = "train") -> Tensor:
        """``(runs, n)`` labels that the annotator gave on "train" or "validation", wrong ones and all."""
        name = {"train": "train/labels", "validation": "labels"}.get(split, split)
        if any(name not in run.given for run in self):
            raise LookupError(f"not every run was given labels on {split!r} (other evidence, or no such split)")
        return torch.stack([run.given[name] for run in self])

    def kept(self, name: str) -> Tensor:
        """``(runs, ...)`` what the method remembered of its training (``Method.keeps``). Entries per training example
        are in the order of ``index("train")`` and ``told("train")``."""
        missing = [run for run in self if name not in run.kept]
        if missing:
            raise LookupError(f"{missing[0].method!r} keeps {sorted(missing[0].kept) or 'nothing'}, not {name!r}")
        return torch.stack([run.kept[name] for run in self])

    def temperatures(self, at: str = "last") -> Tensor:
        """``(runs,)`` temperatures fitted on each run's validation split with the evidence given there, never on test
        data and never with clean labels that the annotator did not hand out."""
        from labkit.posthoc import fit_temperature

        for kind in ("labels", "likelihood"):
            if all(kind in run.given for run in self):
                given = torch.stack([run.given[kind] for run in self])
                given = given.flatten(1) if kind == "labels" else given.flatten(1, -2)
                return fit_temperature(self.logits("validation", at).flatten(1, -2), given)
        raise LookupError("a temperature needs validation data with pointwise evidence of one form for all runs")

    def weights(self) -> dict[str, Tensor]:
        """Stacked final weights, name -> ``(runs, ...)``; runs must be of one method."""
        return {k: torch.stack([run.params[k] for run in self]) for k in self[0].params}

    @torch.no_grad()
    def predict(self, x: Tensor, features: bool = False) -> Tensor:
        """Logits ``(runs, n, K)`` (or penultimate features) of the final weights on inputs ``x`` ``(n, ...)``."""
        return torch.stack([self._forward(run, x, features) for run in self])

    def predict_one(self, x: Tensor) -> Tensor:
        """Logits ``(n, K)`` of a single run."""
        (only,) = self.runs
        return self._forward(only, x, False)

    def network(self, device=None, dtype: torch.dtype | None = None) -> tuple[Module, dict[str, Tensor]]:
        """Module and final weights of a single run, for ``torch.func.functional_call(module, weights, (x,))``."""
        (only,) = self.runs
        dtype = dtype or self.context.dtype
        module = initialised(self.context.architecture, self.context.data).to(device, dtype)
        return module, {k: p.to(device, dtype) for k, p in only.params.items()}

    @torch.no_grad()
    def _forward(self, run: Run, x: Tensor, features: bool, piece: int = 4096) -> Tensor:
        method = copy.copy(self.context.methods[run.method])
        method.kept = {k: v.to(x.device, x.dtype if v.is_floating_point() else None) for k, v in run.kept.items()}
        module, params = Runs([run], self.context).network(x.device, x.dtype)
        net = nets(module, params, method.networks)
        one = (net if method.networks == 1 else net[0]).features if features else lambda a: method.predict(net, a)
        return torch.cat([one(part) for part in x.split(piece)])

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {n}" for name, n in self.settings["method"].value_counts(sort=False).items())
        lost = sum(r.diverged > 0 for r in self)
        return f"Runs({len(self)} on {self.context.data.name}; {counts}" + (f"; {lost} diverged)" if lost else ")")

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>" + self.summary().round(4).to_html(index=False)


__all__ = ["ANSWERS", "Context", "Run", "Runs"]
