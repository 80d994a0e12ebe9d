"""Many runs in one loop."""

from labkit.fleet.fit import fit
from labkit.fleet.optimisers import SGD, AdamW
from labkit.fleet.plan import Sweep, sweep
from labkit.fleet.runs import Runs
from labkit.fleet.timed import Cosine, Ramp, Stages

__all__ = ["SGD", "AdamW", "Cosine", "Ramp", "Runs", "Stages", "Sweep", "fit", "sweep"]
