"""Each claim of a notebook can fail: its own cell, run on made-up results, gives both verdicts."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import labkit as lk
from tests.notebooks import sabotage

ROOT = Path(__file__).parents[2]
MODULES = [importlib.import_module(m.name) for m in pkgutil.iter_modules(sabotage.__path__, f"{sabotage.__name__}.")]
CASES = {claim: pair for module in MODULES for claim, pair in module.CASES.items()}


def cell_that_judges(claim: str) -> str:
    for path in ROOT.glob("notebooks/*/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and f'id="{claim}"' in source:
                return source
    raise LookupError(claim)


def verdict(claim: str, names: dict) -> str:
    """Run the cell on these names; it must make exactly one verdict of that claim."""
    space = {"lk": lk, "np": np, "pd": pd, "torch": torch, "display": lambda *_: None, **names}
    exec(cell_that_judges(claim), space)
    found = {id(v): v for v in space.values() if isinstance(v, lk.Verdict) and v.claim.id == claim}
    (only,) = found.values()
    return only.verdict


@pytest.mark.parametrize("claim", CASES)
def test_a_claim_can_be_supported_and_contradicted(claim):
    holds, sabotaged = CASES[claim]
    assert verdict(claim, holds()) == "supported"
    assert verdict(claim, sabotaged()) == "contradicted"


def test_every_claim_of_every_notebook_has_its_sabotage():
    sources = " ".join(path.read_text(encoding="utf-8") for path in ROOT.glob("notebooks/*/*.ipynb"))
    assert set(re.findall(r'\bid=\\"([a-z0-9-]+)\\"', sources)) == set(CASES)
    assert sum(len(module.CASES) for module in MODULES) == len(CASES)  # no id is used twice
