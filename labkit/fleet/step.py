"""One training step of one run, in plain PyTorch, and how it becomes a step of many.

``one_step`` is what a student can read beside the paper: draw a batch, ask the method for its loss, differentiate,
update. ``torch.func.vmap`` makes it a step of a whole lane. ``trace`` then records it once as a flat graph of tensor
operations, so that no Python of ours (methods, evidence, dictionaries) runs again, and its compiler has nothing left to
interpret.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad_and_value, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.passes.dialect.common.cse_pass import CSEPass, get_CSE_banned_ops
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from labkit.augment import Augmentation
from labkit.evidence import Evidence
from labkit.fleet.optimisers import Optimiser
from labkit.fleet.timed import at_this_step
from labkit.methods.base import Batch, Method


class Net:
    """A network with one run's weights: ``net(x)`` is ``net.head(net.features(x))``, features the penultimate layer."""

    def __init__(self, module: nn.Module, params: dict[str, Tensor]):
        self.module, self.params = module, params

    def __call__(self, x: Tensor) -> Tensor:
        return functional_call(self.module, self.params, (x,))

    def features(self, x: Tensor) -> Tensor:
        own = {k.removeprefix("body."): v for k, v in self.params.items() if k.startswith("body.")}
        return functional_call(self.module.body, own, (x,))

    def head(self, features: Tensor) -> Tensor:
        """Logits from penultimate features."""
        own = {k.removeprefix("head."): v for k, v in self.params.items() if k.startswith("head.")}
        return functional_call(self.module.head, own, (features,))


def nets(module: nn.Module, params: dict[str, Tensor], count: int):
    """One :class:`Net`, or a tuple of ``count`` of them (their parameters are prefixed ``0.``, ``1.``, ...)."""
    if count == 1:
        return Net(module, params)
    own = lambda i: {k.removeprefix(f"{i}."): v for k, v in params.items() if k.startswith(f"{i}.")}
    return tuple(Net(module, own(i)) for i in range(count))


@dataclass
class Recipe:
    """What the runs of a lane have in common: the code, not the numbers."""

    module: nn.Module
    method: Method
    optimiser: Optimiser
    form: type[Evidence]
    n_classes: int
    uses_ema: bool
    augmentation: Augmentation | None = None
    only: tuple[str, ...] = ("",)  # beginnings of the names of the parameters that train

    def trains(self, name: str) -> bool:
        """Whether the parameter ``name`` is trained; a network's number in front does not count."""
        return (name.partition(".")[2] if self.method.networks > 1 else name).startswith(self.only)

    def with_values(self, values: dict[str, dict[str, Tensor]], progress: Tensor) -> tuple[Method, Optimiser]:
        """The method and optimiser of one run at one moment: swept and timed fields replaced by numbers."""
        method, optimiser = copy.copy(self.method), copy.copy(self.optimiser)
        at_this_step(method, values["method"], progress)
        at_this_step(optimiser, values["optimiser"], progress)
        return method, optimiser

    def one_step(self, state, values, shared, inputs, drawn, clock):
        """One step of one run: ``(what changed in state, loss)``.

        ``drawn`` is this step's batch (which of the ``inputs``, evidence, positions, side information, random numbers),
        ``shared`` what the evidence of a run holds once for all units.
        """
        method, optimiser = self.with_values(values, clock["progress"])
        x = inputs[drawn["examples"]]
        views = tuple(
            x if self.augmentation is None else self.augmentation.apply(x, changes)
            for changes in drawn["augmentation"]
        )
        batch = Batch(
            x=views[0], evidence=self.form.view(self.n_classes, {**drawn["evidence"], **shared}), index=drawn["units"],
            progress=clock["progress"], state=state["method"], draws=drawn["draws"], side=drawn["side"], views=views,
        )  # fmt: skip
        trained = {k: p for k, p in state["params"].items() if self.trains(k)}

        def objective(params):
            return method.objective(nets(self.module, {**state["params"], **params}, method.networks), batch)

        grads, (loss, changed) = grad_and_value(objective, has_aux=True)(trained)
        params, memory = optimiser.update(trained, grads, state["optimiser"], clock)
        new = {"params": params, "optimiser": memory, "method": changed, "ema": {}}
        if self.uses_ema:
            new["ema"] = {k: method.ema * state["ema"][k] + (1 - method.ema) * p for k, p in params.items()}
        return new, loss

    def end_epoch(self, state, values, progress):
        method, _ = self.with_values(values, progress)
        return method.end_epoch(state["method"], progress)

    def predict(self, params, values, kept, x):
        done = next(iter(params.values())).new_ones(())
        method, _ = self.with_values(values, done)
        method.kept = kept
        return method.predict(nets(self.module, params, method.networks), x)


def make_step(recipe: Recipe, stacked: bool) -> Callable[..., Tensor]:
    """A step that updates a lane's state in place and returns its losses ``(runs,)``.

    ``stacked``: all runs at once under vmap; otherwise the lane holds one run, and its leading axis is only put on
    and taken off (stacked convolutions are slower on a CPU than single ones).
    """
    if stacked:
        step = vmap(recipe.one_step, in_dims=(0, 0, 0, None, 0, None))
    else:

        def step(state, values, shared, inputs, drawn, clock):
            state, values, shared, drawn = tree_map(lambda t: t[0], (state, values, shared, drawn))
            return tree_map(lambda t: t[None], recipe.one_step(state, values, shared, inputs, drawn, clock))

    def in_place(state, values, shared, inputs, drawn, clock):
        new, loss = step(state, values, shared, inputs, drawn, clock)
        _overwrite(state, new)
        return loss

    return in_place


def _overwrite(old: dict, new: dict) -> None:
    for name, value in new.items():
        if isinstance(value, dict):
            _overwrite(old[name], value)
        else:
            old[name].copy_(value)


def without_repetition(step: GraphModule) -> GraphModule:
    """The recorded step without operations whose result is there already: the same numbers by fewer operations.

    Differentiating and stacking record the same masks, shapes and forward values many times over. A step that writes
    in place anywhere but into the lane's own tensors stays as it is: equal tensors need not be the same one there.
    """
    into_the_lane = lambda node: node.target is torch.ops.aten.copy_.default and node.args[0].op == "placeholder"
    writing = [n for n in step.graph.nodes if isinstance(n.target, OpOverload) and n.target._schema.is_mutable]
    if not all(map(into_the_lane, writing)):
        return step
    return CSEPass(get_CSE_banned_ops())(step).graph_module


class Recorded:
    """A step recorded on tensors shaped like its arguments ``(state, values, shared, inputs, drawn, clock)``.

    Called with the leaves of ``drawn`` and ``clock``, in the order of ``tree_flatten``: the others are the lane's own
    tensors and do not change their place. ``compiled`` hands the flat graph to Inductor, torch.compile's back end.
    """

    def __init__(self, step: Callable, args: tuple, compiled: bool):
        self.fixed = tree_flatten(args[:4])[0]
        own = tree_map(torch.clone, args[0])  # recording runs the step once: not on the lane's own state
        example, spec = tree_flatten((own, *args[1:]))

        def flat(*tensors):
            return step(*tree_unflatten(list(tensors), spec))

        # one fake mode for the whole recording: a new one for every operation takes half of the time otherwise
        with tracing(TracingContext(FakeTensorMode())):
            self.graph = without_repetition(make_fx(flat)(*example))
        if compiled:
            from torch._inductor import standalone_compile  # seconds of imports

            # torch.compile would record the recorded graph again, and in every call look at what it was called with
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch's compiler about torch: nothing a user can mend
                self.graph = standalone_compile(self.graph, example)

    def __call__(self, *given: Tensor) -> Tensor:
        return self.graph(*self.fixed, *given)


class Replayed:
    """A recorded step on a CUDA device, captured once and replayed: its kernels start without the host.

    The lane's state is updated in place, so its addresses stay; a step's batch is copied into fixed buffers.
    """

    def __init__(self, step: Recorded, state: dict, given: list[Tensor]):
        self.buffers = [t.clone() for t in given]
        before = tree_map(torch.clone, state)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # warm up where nothing else runs: compilation, library handles
            for _ in range(3):
                step(*self.buffers)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = step(*self.buffers)
        _overwrite(state, before)  # the warm-up steps did not happen

    def __call__(self, *given: Tensor) -> Tensor:
        for buffer, tensor in zip(self.buffers, given):
            buffer.copy_(tensor)
        self.graph.replay()
        return self.loss
