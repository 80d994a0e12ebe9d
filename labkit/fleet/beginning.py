"""Where runs start from: the weights of finished runs, some of them made anew, some of them held fast."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:  # runs know methods, and methods may hold runs
    from labkit.fleet.runs import Run, Runs


@dataclass
class Beginning:
    """Each run starts from the final weights of the run of its seed.

    Args:
        runs: one run per seed, of the same architecture. A method with several networks starts each of them from the
            network of its number, or all from the one that there is.
        fresh: beginnings of names of parameters that are initialised anew ("head", "body.0"). only: those that train.

    Raises:
        ValueError: a seed without exactly one run, weights of other shapes, a name no parameter begins with.
    """

    runs: Runs
    fresh: tuple[str, ...] = ()
    only: tuple[str, ...] = ("",)

    def of(self, seed: int) -> Run:
        found = [run for run in self.runs if run.seed == seed]
        if len(found) != 1:
            raise ValueError(
                f"seed {seed} should start from one run, and `start` has {len(found)} of that seed; give runs of one "
                "setting (start=runs.where(...)) with the same seeds"
            )
        return found[0]

    def weights(self, seed: int, initial: dict[str, Tensor]) -> dict[str, Tensor]:
        """``initial`` with all but the fresh parameters replaced."""
        held = self.of(seed).params
        result = {}
        for name, fresh in initial.items():
            number, _, bare = name.partition(".")
            bare = bare if number.isdigit() else name
            found = held.get(name, held.get(bare))
            if found is None or found.shape != fresh.shape:
                had = "none" if found is None else f"one of shape {tuple(found.shape)}"
                raise ValueError(
                    f"to start from, the parameter {name!r} of shape {tuple(fresh.shape)} is needed and the runs have "
                    f"{had}; start from runs of the same model on data of the same shape"
                )
            result[name] = fresh if self.fresh and bare.startswith(self.fresh) else found.to(fresh)
        bare = {n.partition(".")[2] if n.partition(".")[0].isdigit() else n for n in initial}
        for role, beginnings in (("fresh", self.fresh), ("only", self.only)):
            for begins in beginnings:
                if not any(name.startswith(begins) for name in bare):
                    raise ValueError(
                        f"no parameter begins with {begins!r} ({role}); there are {', '.join(sorted(bare))}"
                    )
        return result

    def key(self, plain: str, seed: int) -> str:
        """The key of a run that would have ``plain`` without this beginning."""
        what = repr((plain, self.of(seed).key, self.fresh, self.only))
        return hashlib.sha256(what.encode()).hexdigest()[:24]


__all__ = ["Beginning"]
