"""Tiny notebooks, written as plain JSON, and one set of real runs that many tests look at."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from labkit.workbook.notebook import Notebook

ABOUT = {"title": "Tiny", "question": "Does it run?", "minutes": {"smoke": 0.1, "report": 0.2, "full": 1}, "gpu": False,
         "datasets": ["digits"], "papers": []}
PARAMETERS = "dataset: str = 'digits'  # data (one of: digits, wine)\nseeds: int = 3  # how many runs (from 1)"
SPEC = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}


def _cell(source, tags=(), kind="code"):
    name = f"c{zlib.crc32(source.encode())}"
    cell = {"cell_type": kind, "id": name, "metadata": {"tags": list(tags)}, "source": source}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})


@pytest.fixture(scope="session")
def cell():
    """cell(source, tags=(), kind="code"): a cell's JSON."""
    return _cell


@pytest.fixture(scope="session")
def write():
    """write(root, name, *cells, parameters=..., about=..., spec=...): a notebook file; text cells are code."""
    def write_notebook(root: Path, name: str, *cells, parameters=PARAMETERS, about=ABOUT, spec=SPEC) -> Notebook:
        path = root / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = [] if parameters is None else [_cell(parameters, ["parameters"])]
        content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec, "labkit": about},
                   "cells": first + [c if isinstance(c, dict) else _cell(c) for c in cells]}
        path.write_text(json.dumps(content))
        return Notebook(name, path)
    return write_notebook


@pytest.fixture(scope="session")
def fake_run():
    """fake_run(out, name, **fields): a finished folder with a record and an executed notebook that holds verdicts."""
    from labkit.workbook import records

    def make(out: Path, name: str, key: str, verdicts=(), status="ok", **fields) -> Path:
        folder = out / name / key
        folder.mkdir(parents=True)
        defaults = {"profile": "report", "parameters": {"dataset": "digits"}, "seconds": 12.0, "device": "cpu",
                    "started": "2026-01-01T00:00:00.000+00:00", "versions": {"python": "3.11.7", "labkit": "0.1.0"}}
        records.write(folder, records.Record(status=status, notebook=name, key=key, **defaults | fields))
        output = [{"output_type": "display_data", "metadata": {}, "data": {
            "application/vnd.labkit.verdict+json": verdict, "text/plain": "a verdict"}} for verdict in verdicts]
        cells = [_cell("judge()") | {"outputs": output, "execution_count": 1}]
        (folder / "executed.ipynb").write_text(json.dumps(
            {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": SPEC}, "cells": cells}))
        return folder
    return make
