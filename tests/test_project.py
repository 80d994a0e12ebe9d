"""The project as a whole: quick import, one list of dependencies, every paper accounted for."""

from __future__ import annotations

import csv
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "dask": "dask-core"}


def name_and_bound(requirement: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)(>=[0-9.]+)", requirement).groups()
    return name, bound


def test_importing_labkit_is_quick_and_leaves_torch_alone():
    code = "import sys, labkit; print(sum(m.split('.')[0] in ('torch', 'pandas', 'numpy') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"


def test_every_public_name_resolves():
    import labkit

    for name in labkit.__all__:
        assert getattr(labkit, name) is not None
    assert set(labkit.__all__) <= set(dir(labkit))


def test_environment_and_pyproject_declare_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    declared = {CONDA.get(n, n): b for n, b in map(name_and_bound, project["dependencies"])}
    *packages, pip = conda
    held = dict(name_and_bound(p) for p in packages if p != "pip" and not p.startswith("python>="))
    assert held == declared
    assert pip == {"pip": ["-e ."]} and f"python{project['requires-python']}" in packages


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        assert name_and_bound(requirement)[0] in pins, requirement
    assert pins["torch"] == "2.13.0"


def papers() -> dict[str, dict]:
    with (ROOT / "data" / "papers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["key", "authors", "year", "title", "topic", "notebook", "status"]
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}


def test_papers_are_complete_rows_with_a_known_status():
    rows = papers()
    assert len(rows) >= 323
    for row in rows.values():
        assert row["title"] and row["topic"] and row["authors"] and re.fullmatch(r"\d{4}", row["year"]), row["key"]
        assert re.fullmatch(
            r"claim judged|reduced form judged|planned|method used|out of reach: .{20,}", row["status"]
        ), row["key"]


def notebook_sources() -> dict[str, str]:
    import nbformat

    return {
        str(path.relative_to(ROOT / "notebooks").with_suffix("")): "\n".join(
            c.source for c in nbformat.read(path, 4).cells
        )
        for path in sorted((ROOT / "notebooks").glob("*/*.ipynb"))
    }


def test_claims_in_notebooks_name_papers_and_papers_name_their_notebooks():
    rows, claimed = papers(), {}
    for notebook, source in notebook_sources().items():
        for key in re.findall(r'paper="([a-z0-9]+)"', source):
            assert key in rows, f"{notebook} cites {key}, which data/papers.csv does not hold"
            claimed.setdefault(key, set()).add(notebook)
    judged = {key for key, row in rows.items() if row["status"] in ("claim judged", "reduced form judged")}
    assert judged == set(claimed)
    for key, notebooks in claimed.items():
        assert rows[key]["notebook"] in notebooks, key


def test_the_ledger_holds_what_papers_say_was_judged():
    with (ROOT / "data" / "ledger.csv").open(newline="", encoding="utf-8") as file:
        ledger = list(csv.DictReader(file))
    columns = [
        "claim",
        "paper",
        "notebook",
        "says",
        "dataset",
        "effect",
        "low",
        "high",
        "runs",
        "verdict",
        "seconds",
        "device",
        "versions",
    ]
    assert list(ledger[0]) == columns
    judged = {key for key, row in papers().items() if row["status"] in ("claim judged", "reduced form judged")}
    assert {row["paper"] for row in ledger} == judged
    for row in ledger:
        assert row["verdict"] in ("supported", "contradicted", "inconclusive", "underpowered")
        if row["verdict"] == "underpowered":  # too few runs were left: the others diverged
            assert int(row["runs"]) < 10
        else:
            least = 10 if row["dataset"] == "fashion_mnist" else 20  # the full profile: most of an hour for ten runs
            assert float(row["low"]) <= float(row["effect"]) <= float(row["high"]) and int(row["runs"]) >= least
        assert f'id="{row["claim"]}"' in notebook_sources()[row["notebook"]], row["claim"]


@pytest.mark.parametrize(
    "path",
    [
        "notebooks",
        "labkit",
        "data",
        "environment.yml",
        "tests",
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "benchmarks",
        "Makefile",
        ".ci/run",
    ],
)
def test_the_house_is_where_people_look_for_it(path):
    assert (ROOT / path).exists()


@pytest.fixture
def filler(monkeypatch):
    """The script that fills the README."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("readme")


def test_the_tables_of_a_report_are_read_as_numbers(filler):
    import pandas as pd

    shown = pd.DataFrame({16: ["83.2 [82.9, 83.5]", "9.7 [-0.1, 19.5]"], "0.5 (5.5 candidates)": ["88.1 ± 0.4", "nan"]},
                         index=pd.Index(["A & B", "C"], name="method"))  # fmt: skip
    shown.columns.name = "size"
    rows = filler.reference_rows("<div><style>td { }</style>" + shown.assign(cost="1.0").to_html() + "</div>")
    assert rows == [
        {"method": "A & B", "setting": "16", "mean": 83.2, "low": 82.9, "high": 83.5},
        {"method": "A & B", "setting": "0.5 (5.5 candidates)", "mean": 88.1, "low": 87.7, "high": 88.5},
        {"method": "C", "setting": "16", "mean": 9.7, "low": -0.1, "high": 19.5},
    ]
    table = filler.reference_table([row | {k: str(v) for k, v in row.items()} for row in rows[:2]])
    assert table.splitlines()[-1] == "| A & B | 83.2 [82.9, 83.5] | 88.1 [87.7, 88.5] |"


def test_reference_tables_come_from_full_runs_only(filler, monkeypatch, tmp_path):
    monkeypatch.setattr(filler, "ROOT", tmp_path)
    (tmp_path / "data").mkdir()
    notebook, words, _ = filler.REFERENCES["bag_sizes"]
    table = "<table><tr><th></th><th>16</th></tr><tr><th>DLLP</th><td>50.0 [40.0, 60.0]</td></tr></table>"
    cell = {"cell_type": "code", "source": [words], "outputs": [{"data": {"text/html": table}}]}
    folder = tmp_path / "reports" / notebook / "0123"
    folder.mkdir(parents=True)
    (folder / "executed.ipynb").write_text(json.dumps({"cells": [cell]}))
    record = {"status": "ok", "profile": "report", "parameters": {"dataset": "fashion_mnist"}}
    (folder / "record.json").write_text(json.dumps(record))
    assert filler.references(tmp_path / "reports") == ""
    (folder / "record.json").write_text(json.dumps(record | {"profile": "full"}))
    assert "| DLLP | 50.0 [40.0, 60.0] |" in filler.references(tmp_path / "reports")
    kept = (tmp_path / "data/reference_bag_sizes.csv").read_text()
    assert kept == "method,setting,mean,low,high\nDLLP,16,50.0,40.0,60.0\n"


def test_the_readme_shows_the_reference_tables(filler, tmp_path):
    shown = (ROOT / "README.md").read_text().split("<!-- references -->\n")[1].split("\n<!-- /references -->")[0]
    assert shown == filler.references(tmp_path) and "DLLP" in shown
