"""A lane: runs of one method that train together, epoch by epoch, and are evaluated together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_flatten, tree_map

from labkit.augment import Augmentation
from labkit.datasets import Data
from labkit.fleet.beginning import Beginning
from labkit.fleet.optimisers import schedule
from labkit.fleet.plan import RunPlan
from labkit.fleet.step import Recipe, Recorded, Replayed, _overwrite, make_step
from labkit.fleet.task import Task
from labkit.methods.base import Start
from labkit.models import Architecture, initialised
from labkit.streams import generator

ANSWERS = ("last", "selected", "oracle")


@dataclass
class Settings:
    """How all runs of a fit are trained."""

    epochs: int
    batch_size: int
    schedule: str
    evaluate_every: int
    architecture: Architecture
    data: Data  # its shapes and sizes; runs take inputs and evidence from the task
    device: torch.device
    dtype: torch.dtype
    augmentation: Augmentation | None = None
    beginning: Beginning | None = None


@dataclass
class Record:
    """What a lane remembers of its runs, one entry or row per run."""

    epochs: list[int] = field(default_factory=list)  # epochs that were evaluated, counted from 1
    curves: dict[str, list[Tensor]] = field(default_factory=dict)  # name -> per evaluated epoch a (runs,) tensor
    best: dict[str, Tensor] = field(default_factory=dict)  # "selected"/"oracle" -> best score so far (runs,)
    best_epoch: dict[str, Tensor] = field(default_factory=dict)
    logits: dict[str, Tensor] = field(default_factory=dict)  # "last/test" and so on -> (runs, n, K)
    diverged: Tensor | None = None  # (runs,) epoch in which the loss stopped being a number; 0 if it never did


class Lane:
    """Trains ``plans`` (one method) side by side.

    Args:
        stacked: under vmap; else the lane holds exactly one run and is not stacked.
        compiled: hand the recorded step to Inductor.
    """

    def __init__(
        self, plans: list[RunPlan], rows: list[int], task: Task, settings: Settings, stacked=True, compiled=False
    ):
        self.plans, self.task, self.settings = plans, task, settings
        self.stacked, self.compiled = stacked, compiled
        device, dtype = settings.device, settings.dtype
        method, optimiser = plans[0].method, plans[0].optimiser
        uses_ema = any(plan.method.ema != 0 for plan in plans)
        template = self._build(plans[0].seed)
        self.recipe = Recipe(
            template, method, optimiser, task.form, task.n_classes, uses_ema, settings.augmentation,
            ("",) if settings.beginning is None else settings.beginning.only,
        )  # fmt: skip
        self.row = torch.tensor(rows, device=device)
        self.values = {
            part: {
                name: torch.tensor([p.swept[part][name] for p in plans], device=device, dtype=dtype)
                for name in plans[0].swept[part]
            }
            for part in ("method", "optimiser")
        }
        self.state = self._initial_state()
        self.shared = {k: v[self.row] for k, v in task.evidence.items() if k in task.form.shared}
        self.steps = task.units // settings.batch_size
        total = max(1, self.steps * settings.epochs)
        count = torch.arange(1, total + 1, dtype=torch.float64)
        clock = {"rate": schedule(settings.schedule, total), "step": count, "progress": (count - 1) / total}
        self.clock = {k: v.to(device, dtype) for k, v in clock.items()}  # each (steps,)
        self.step_function = None
        self.epoch = 0
        self.record = Record(diverged=torch.zeros(len(plans), dtype=torch.long))
        self.views = {"validation": self._view(task.validation), "test": self._view(task.test)}

    # ---- beginning -------------------------------------------------------------------------------------------

    def _build(self, seed: int, network: int = 0):
        """A network initialised from the seed's own stream."""
        number = int(generator(seed, "initialisation", network).integers(2**62))
        s = self.settings
        return initialised(s.architecture, s.data, number).to(s.dtype)

    def _initial_state(self) -> dict:
        count = self.plans[0].method.networks
        per_run, method_state, seen = [], [], {}
        for plan, row in zip(self.plans, self.row.tolist()):
            if plan.seed not in seen:
                built = [self._build(plan.seed, i) for i in range(count)]
                prefix = (lambda i: "") if count == 1 else (lambda i: f"{i}.")
                seen[plan.seed] = {
                    prefix(i) + k: p.detach() for i, m in enumerate(built) for k, p in m.named_parameters()
                }
                if self.settings.beginning is not None:
                    seen[plan.seed] = self.settings.beginning.weights(plan.seed, seen[plan.seed])
            per_run.append(seen[plan.seed])
            train = self.task.train[row]
            start = Start(
                self.task.x[train], self.task.evidence_of(row), self.task.n_classes, plan.seed,
                generator(plan.seed, "method", 2**32), train, {k: v[train] for k, v in self.task.side.items()},
                self.settings.augmentation is not None, seen[plan.seed],
            )  # fmt: skip
            method_state.append(plan.method.setup(start))
        device, dtype = self.settings.device, self.settings.dtype
        stack = lambda trees: {k: torch.stack([t[k] for t in trees]).to(device) for k in trees[0]}
        params = {k: v.to(dtype) for k, v in stack(per_run).items()}
        memory = {k: v.to(dtype) if v.is_floating_point() else v for k, v in stack(method_state).items()}
        optimiser = self.plans[0].optimiser.init({k: p for k, p in params.items() if self.recipe.trains(k)})
        ema = {k: v.clone() for k, v in params.items()} if self.recipe.uses_ema else {}
        return {"params": params, "optimiser": optimiser, "method": memory, "ema": ema}

    # ---- training --------------------------------------------------------------------------------------------

    def epoch_draws(self, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """This epoch's batches ``(steps, runs, batch)``, and random numbers by name from each run's streams: the
        method's, and those of the augmentation as "augmentation.<view>.<name>"."""
        steps, size = self.steps, self.settings.batch_size
        augmentation, shape = self.settings.augmentation, self.settings.data.shape
        each = 1 if self.task.members is None else self.task.members.shape[-1]
        orders: dict[int, np.ndarray] = {}
        changes: dict[int, dict] = {}
        draws = []
        for plan in self.plans:
            if plan.seed not in orders:
                order = generator(plan.seed, "order", epoch).permutation(self.task.units)
                orders[plan.seed] = order[: steps * size].reshape(steps, size)
                if augmentation is not None:
                    changes[plan.seed] = {
                        f"augmentation.{view}.{k}": v
                        for view in range(plan.method.views)
                        for k, v in augmentation.draw(
                            generator(plan.seed, "augmentation", epoch, view), steps, size * each, shape
                        ).items()
                    }
            own = plan.method.draw(generator(plan.seed, "method", epoch), steps, size) if plan.method.draws else {}
            draws.append({**own, **changes.get(plan.seed, {})})
        units = np.stack([orders[plan.seed] for plan in self.plans], 1)
        device, dtype = self.settings.device, self.settings.dtype
        to = lambda a: torch.from_numpy(a).to(device, dtype if a.dtype.kind == "f" else None)
        return to(units), {k: to(np.stack([d[k] for d in draws], 1)) for k in draws[0]}

    def gather(self, units: Tensor, draws: dict[str, Tensor]) -> dict:
        """The batches of ``units`` ``(steps, runs, batch)``: which inputs, evidence, positions, side information,
        random numbers.

        Gathered for many steps at once, as one large copy is cheaper than many small ones; but for the inputs, which a
        step reads where they lie: copied beforehand they would have left the cache.
        """
        task = self.task
        take = lambda t, i: t.index_select(0, i.flatten()).view(*i.shape, *t.shape[1:])
        of_run = lambda t, i: take(t.flatten(0, 1), self.row[:, None] * t.shape[1] + i)
        evidence = {k: of_run(task.evidence[k], units) for k in task.form.fields if k in task.evidence}
        where = of_run(task.train, units if task.members is None else of_run(task.members, units).flatten(2))
        own = {k: v for k, v in draws.items() if not k.startswith("augmentation.")}
        changes = [
            {k.removeprefix(mark): v for k, v in draws.items() if k.startswith(mark)}
            for mark in (f"augmentation.{view}." for view in range(self.plans[0].method.views))
        ]
        return {
            "examples": where, "evidence": evidence, "units": units,
            "side": {k: take(v, where) for k, v in task.side.items()},
            "draws": own,
            "augmentation": changes,
        }  # fmt: skip

    def prepare_step(self) -> None:
        """Record (and compile) the step if that has not been done."""
        if self.step_function is None:
            units, draws = self.epoch_draws(0)
            drawn = tree_map(lambda t: t[0], self.gather(units[:1], {k: v[:1] for k, v in draws.items()}))
            clock = {k: v[0] for k, v in self.clock.items()}
            args = (self.state, self.values, self.shared, self.task.x, drawn, clock)
            self.step_function = Recorded(make_step(self.recipe, self.stacked), args, self.compiled)
            if self.settings.device.type == "cuda":
                self.step_function = Replayed(self.step_function, self.state, tree_flatten((drawn, clock))[0])

    def train_steps(self, units: Tensor, draws: dict[str, Tensor], limit: int = 2**18) -> Tensor:
        """Steps of the current epoch with these batches; returns the summed losses ``(runs,)``.

        Batches are gathered in pieces of about ``limit`` units, which bounds what targets and random numbers take.
        """
        total = torch.zeros(len(self.plans), device=self.settings.device, dtype=self.settings.dtype)
        piece = max(1, limit // units[0].numel())
        for first in range(0, len(units), piece):
            part = slice(first, min(first + piece, len(units)))
            drawn = self.gather(units[part], {k: v[part] for k, v in draws.items()})
            start = self.epoch * self.steps + first
            now = {k: v[start : start + len(drawn["units"])] for k, v in self.clock.items()}
            for leaves in zip(*(t.unbind(0) for t in tree_flatten((drawn, now))[0])):
                total += self.step_function(*leaves)
        return total

    def train_epoch(self) -> None:
        self.prepare_step()
        loss = self.train_steps(*self.epoch_draws(self.epoch)) / self.steps
        self.epoch += 1
        if self.recipe.method.has_epoch_end:
            progress = self.clock["progress"].new_tensor(self.epoch / self.settings.epochs)
            ended = vmap(self.recipe.end_epoch, in_dims=(0, 0, None))(self.state, self.values, progress)
            _overwrite(self.state["method"], tree_map(torch.clone, ended))  # in place: the recorded step holds these
        broken = ~loss.isfinite().cpu() & (self.record.diverged == 0)
        self.record.diverged[broken] = self.epoch
        if self.epoch % self.settings.evaluate_every == 0 or self.finished:
            self.evaluate(loss)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.settings.epochs or bool((self.record.diverged > 0).all())

    # ---- evaluation ------------------------------------------------------------------------------------------

    def _view(self, index: Tensor, limit: int = 2**24):
        """Inputs and clean labels of a split: inputs shared by all runs, or gathered where they are few, or None."""
        own = index[self.row]
        truth = self.task.truth[own.cpu()].to(own.device)
        if own.numel() and (own == own[:1]).all():
            return self.task.x[own[0]], truth, True
        small = own.numel() * int(np.prod(self.settings.data.shape)) <= limit
        return self.task.x[own] if small else None, truth, False

    def weights(self) -> dict[str, Tensor]:
        return self.state["ema"] if self.recipe.uses_ema else self.state["params"]

    @torch.no_grad()
    def predict(self, split: str, limit: int = 2**26) -> Tensor:
        """Logits ``(runs, n, K)`` on "validation" or "test", in pieces of about ``limit`` input numbers."""
        held, truth, same = self.views[split]
        index = getattr(self.task, split)[self.row] if held is None else None
        n = truth.shape[1]
        width = max(1, int(np.prod(self.settings.data.shape)))
        piece = max(1, limit // (width * len(self.plans)))
        forward = self.recipe.predict
        of_run = (self.weights(), self.values, {k: self.state["method"][k] for k in self.recipe.method.keeps})
        # stacked convolutions, the only weights of more than two axes, take three times as long on a CPU
        apart = self.settings.device.type == "cpu" and any(w.dim() > 3 for w in self.weights().values())
        out = []
        for a in range(0, n, piece):
            if same:
                x = held[a : a + piece]
            else:
                x = self.task.x[index[:, a : a + piece]] if held is None else held[:, a : a + piece]
            if self.stacked and not apart:
                out.append(vmap(forward, in_dims=(0, 0, 0, None if same else 0))(*of_run, x))
            else:
                own = lambda i: tree_map(lambda t: t[i], of_run)
                each = [forward(*own(i), x if same else x[i]) for i in range(len(self.plans))]
                out.append(torch.stack(each))
        return torch.cat(out, 1)

    @torch.no_grad()
    def evaluate(self, train_loss: Tensor) -> None:
        """Scores of this epoch; keeps the logits of the last, the selected and the oracle epoch apart."""
        record, last = self.record, self.epoch
        record.epochs.append(last)
        scores = {"train/loss": train_loss}
        logits = {"test": self.predict("test")}
        truth = self.views["test"][1]
        correct = (logits["test"].argmax(-1) == truth).flatten(1)  # over examples, and places in them
        scores["test/accuracy"] = correct.to(self.settings.dtype).mean(-1)
        scores["test/nll"] = _nll(logits["test"], truth)
        score = {"oracle": scores["test/accuracy"]}
        if self.views["validation"][1].numel():
            logits["validation"] = self.predict("validation")
            score["selected"] = scores["validation/agreement"] = self._agreement(logits["validation"])
        for name, value in scores.items():
            record.curves.setdefault(name, []).append(value.cpu().double())
        for answer, value in score.items():
            first = answer not in record.best
            before = record.best.get(answer)
            better = torch.ones_like(value, dtype=torch.bool) if first else value > before
            record.best[answer] = value.clone() if first else torch.where(better, value, before)
            at = record.best_epoch.setdefault(answer, torch.zeros(len(self.plans), dtype=torch.long))
            at[better.cpu()] = last
            for split, z in logits.items():
                _keep(record.logits, f"{answer}/{split}", z, better)
        if self.finished:
            record.logits.update({f"last/{split}": z for split, z in logits.items()})

    def _agreement(self, logits: Tensor) -> Tensor:
        held = {k: v[self.row] for k, v in self.task.held_out.items()}
        form, k = self.recipe.form, self.task.n_classes
        return vmap(lambda tensors, z: form.view(k, tensors).agreement(z))(held, logits)

    # ---- interruption ----------------------------------------------------------------------------------------

    def snapshot(self) -> dict:
        """Everything needed to go on later; random streams need nothing, they are counted by epoch."""
        return {"state": self.state, "epoch": self.epoch, "record": vars(self.record)}

    def restore(self, saved: dict) -> None:
        for old, new in zip(tree_flatten(self.state)[0], tree_flatten(saved["state"])[0]):
            old.copy_(new)
        self.epoch = saved["epoch"]
        self.record = Record(**saved["record"])


def _nll(logits: Tensor, truth: Tensor) -> Tensor:
    z = logits.gather(-1, truth[..., None])[..., 0]
    return (logits.logsumexp(-1) - z).flatten(1).mean(-1)


def _keep(held: dict[str, Tensor], name: str, fresh: Tensor, better: Tensor) -> None:
    if name not in held:
        held[name] = fresh.clone()
    else:
        held[name][better] = fresh[better]
