"""labkit: learning from imperfect labels, as workbooks over fleets of runs.

>>> import labkit as lk
>>> data = lk.load("digits")
>>> runs = lk.fit(data, methods={"cross entropy": lk.methods.CrossEntropy()}, seeds=4, epochs=3)

Names are resolved on first use, so ``import labkit`` is quick and does not import torch.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

# public name -> (module, attribute; None for the module itself)
_PUBLIC = {
    "Data": ("labkit.datasets", "Data"),
    "load": ("labkit.datasets", "load"),
    "Labels": ("labkit.evidence", "Labels"),
    "Soft": ("labkit.evidence", "Soft"),
    "Candidates": ("labkit.evidence", "Candidates"),
    "Complementary": ("labkit.evidence", "Complementary"),
    "Bags": ("labkit.evidence", "Bags"),
    "sweep": ("labkit.fleet", "sweep"),
    "Stages": ("labkit.fleet", "Stages"),
    "Ramp": ("labkit.fleet", "Ramp"),
    "Cosine": ("labkit.fleet", "Cosine"),
    "fit": ("labkit.fleet", "fit"),
    "Runs": ("labkit.fleet", "Runs"),
    "SGD": ("labkit.fleet", "SGD"),
    "AdamW": ("labkit.fleet", "AdamW"),
    "Claim": ("labkit.claims", "Claim"),
    "Verdict": ("labkit.claims", "Verdict"),
    "judge": ("labkit.claims", "judge"),
    "parameters": ("labkit.workbook.parameters", "parameters"),
    "explore": ("labkit.plots.explore", "explore"),
    **{
        name: (f"labkit.{name}", None)
        for name in (
            "annotate", "attacks", "augment", "claims", "counts", "datasets", "detect", "estimate", "evidence", "fleet",
            "losses", "methods", "metrics", "models", "plots", "posthoc", "streams", "theory", "workbook",
        )
    },
}  # fmt: skip

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        from labkit.names import nearest

        raise AttributeError(f"labkit has no {name!r}; {nearest(name, _PUBLIC)}")
    module, attribute = _PUBLIC[name]
    found = importlib.import_module(module)
    found = found if attribute is None else getattr(found, attribute)
    globals()[name] = found
    return found


def __dir__():
    return sorted([*globals(), *_PUBLIC])
