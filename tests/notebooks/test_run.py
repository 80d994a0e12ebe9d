"""Every notebook runs headlessly in its smoke profile; one runs on Fashion-MNIST where a local copy is at hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import run_here

from labkit.workbook import profiles, records
from labkit.workbook.execute import judge
from labkit.workbook.jobs import make_job
from labkit.workbook.notebook import find
from labkit.workbook.report import render

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(str(p.relative_to(ROOT / "notebooks").with_suffix("")) for p in ROOT.glob("notebooks/*/*.ipynb"))
MIMETYPE = "application/vnd.labkit.verdict+json"


def labkit(*arguments: str) -> subprocess.CompletedProcess:
    """The command as a user calls it, from the repository's root."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "labkit.cli", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def run(out: Path, *arguments: str) -> tuple[dict, dict, str]:
    """Runs one notebook; returns its record, its executed notebook and its report."""
    done = labkit("run", *arguments, "--out", str(out), "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = out.glob("*/*/*/record.json")
    executed = json.loads((record.parent / "executed.ipynb").read_text(encoding="utf-8"))
    return json.loads(record.read_text()), executed, (record.parent / "report.html").read_text(encoding="utf-8")


def verdicts(executed: dict) -> list[dict]:
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    return [output["data"][MIMETYPE] for output in outputs if MIMETYPE in output.get("data", {})]


FIRST = [n for i, n in enumerate(NOTEBOOKS) if i == 0 or Path(n).parent != Path(NOTEBOOKS[i - 1]).parent]


@pytest.mark.notebook
@pytest.mark.parametrize("notebook", FIRST)
def test_the_first_of_every_topic_by_the_command(notebook, tmp_path):
    record, executed, report = run(tmp_path, notebook, "--profile", "smoke")
    assert record["status"] == "ok" and record["profile"] == "smoke"
    check(notebook, record["parameters"], executed, report)
    (tmp_path / "ledger.csv").read_text().splitlines().index(  # smoke is no evidence: the ledger has its head only
        "claim,paper,notebook,says,dataset,effect,low,high,runs,verdict,seconds,device,versions"
    )
    assert len((tmp_path / "ledger.csv").read_text().splitlines()) == 1


@pytest.mark.notebook
@pytest.mark.parametrize("notebook", [n for n in NOTEBOOKS if n not in FIRST])
def test_smoke(notebook, tmp_path):
    every = find(ROOT / "notebooks")
    (chosen,) = (n for n in every if n.name == notebook)
    job = make_job(chosen, tmp_path, "smoke", profiles.load(ROOT / "notebooks", every)["smoke"])
    folder = tmp_path / "run"
    folder.mkdir()
    environment = {
        "LABKIT_HEADLESS": "1", "LABKIT_PROFILE": "smoke", "LABKIT_RUN_FOLDER": str(folder),
        "LABKIT_CHECKPOINTS": str(tmp_path / "checkpoints"), **job["environment"],  # data folders, made absolute
    }  # fmt: skip
    run_here(chosen.path, job["parameters"], folder / "executed.ipynb", environment)
    executed = json.loads((folder / "executed.ipynb").read_text(encoding="utf-8"))
    assert judge(executed)["status"] == "ok"
    records.write(folder, records.Record(
        status="ok", notebook=notebook, key=job["key"], profile="smoke", parameters=job["parameters"],
        started="2000-01-01T00:00:00.000", seconds=1.0, about=job["about"],
    ))  # fmt: skip
    check(notebook, job["parameters"], executed, render(folder).read_text(encoding="utf-8"))


def check(notebook: str, parameters: dict, executed: dict, report: str) -> None:
    """Three runs a claim, every claim judged, pictures in a report that needs nothing from outside."""
    assert parameters["seeds"] == 3
    source = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    asked = sum("".join(cell["source"]).count("lk.judge(") for cell in source["cells"] if cell["cell_type"] == "code")
    found = verdicts(executed)
    assert len(found) == asked > 0
    assert {v["verdict"] for v in found} == {"underpowered"}  # three runs prove nothing, whatever they say
    assert report.count("data:image/png;base64") >= 3
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", report)


@pytest.mark.notebook
@pytest.mark.skipif("LABKIT_DATA" not in os.environ, reason="needs Fashion-MNIST in the folder LABKIT_DATA")
def test_fashion_mnist_from_a_local_folder(tmp_path):
    options = ("-p", "dataset", "fashion_mnist", "-p", "examples", "2000")
    record, executed, _ = run(tmp_path, "when_does_smoothing_help", "--profile", "smoke", *options)
    assert record["status"] == "ok" and record["parameters"]["dataset"] == "fashion_mnist"
    assert {v["dataset"] for v in verdicts(executed)} == {"fashion_mnist"}


def test_every_labkit_command_of_the_readme_is_understood():
    """Parsed and planned as written, with ``--help`` in place of the work."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line.split() for line in re.findall(r"^labkit (.+)$", text, re.MULTILINE)]
    assert len(commands) >= 5
    for words in commands:
        assert labkit(*words, "--help").returncode == 0, words
    listed = labkit("list")
    assert listed.returncode == 0
    for name in NOTEBOOKS:
        assert name.split("/")[1] in listed.stdout


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"`make (\w+)`|^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    names = {a or b for a, b in targets}
    assert {"report", "test", "lab", "bench", "ledger"} <= names
    for name in names:
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE), name


def test_the_readmes_python_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "oracle" in done.stdout and re.search("^(supported|contradicted|inconclusive): Mixup", done.stdout, re.M)


def test_the_readme_shows_the_ledger_and_the_speed_that_were_measured():
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme as tables
    finally:
        sys.path.pop(0)
    import csv

    with (ROOT / "data" / "ledger.csv").open(newline="", encoding="utf-8") as file:
        assert tables.ledger_table(list(csv.DictReader(file))) in before
    assert tables.speed_table(json.loads((ROOT / "data" / "speed.json").read_text())) in before
    assert tables.sweeps_table(json.loads((ROOT / "data" / "sweeps.json").read_text())) in before
    assert tables.counts_table(json.loads((ROOT / "data" / "count_loss.json").read_text())) in before
    assert tables.metrics_table(json.loads((ROOT / "data" / "metrics_speed.json").read_text())) in before
    assert tables.fill("a <!-- x -->old<!-- /x --> b", "x", "new") == "a <!-- x -->\nnew\n<!-- /x --> b"
