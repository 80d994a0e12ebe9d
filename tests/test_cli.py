"""The command line, in this process where nothing runs and as a command where something does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import cli

ABOUT = {
    "title": "When?",
    "question": "Does it help?",
    "minutes": {"smoke": 0.1, "report": 2, "full": 60},
    "gpu": True,
    "datasets": ["digits"],
    "papers": [],
}


def notebook(root: Path, name: str, *sources: str, parameters: str, **metadata) -> Path:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "source": source,
            "outputs": [],
            "execution_count": None,
            "metadata": {"tags": [] if i else ["parameters"]},
        }
        for i, source in enumerate((parameters, *sources))
    ]
    path = root / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.write_text(
        json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "cells": cells,
                "metadata": {"kernelspec": spec, "labkit": ABOUT} | metadata,
            }
        )
    )
    return path


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "notebooks"
    parameters = "dataset: str = 'digits'  # the data (one of: digits, wine)\nseeds: int = 3  # how many runs (from 1)"
    notebook(root, "01_smoothing/01_when", "print(dataset, seeds)", parameters=parameters)
    notebook(root, "02_noise/01_elr", "1 / 0", parameters="seeds: int = 3  # how many runs (from 1)\nrate: float = 0.2")
    return root


@pytest.fixture
def labkit(root, tmp_path, monkeypatch, capsys):
    """labkit(*words): status, stdout, stderr of a command in the repository of ``root``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABKIT_DATA", raising=False)

    def call(*words):
        with pytest.raises(SystemExit) as end:
            cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return call


def test_list_shows_what_there_is(labkit):
    status, out, _ = labkit("list")
    assert status == 0 and "01_smoothing/01_when  When?  [0.1 / 2 / 60 min, GPU]" in out and "Does it help?" in out
    assert "2 notebooks" in out and "seeds: int" not in out
    _, out, _ = labkit("list", "smoothing", "-v")
    assert "seeds: int = 3  how many runs (from 1)" in out and "elr" not in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list", "smothing"], "no notebook is called 'smothing'; did you mean 'smoothing'"),
        (["run"], "which notebooks? Name them, such as `labkit run tour`, or say `labkit run all`"),
        (["run", "when", "-p", "sedes", "5"], "01_smoothing/01_when: unknown parameter 'sedes'; did you mean 'seeds'"),
        (["run", "all", "-p", "rate", "0.1"], "01_smoothing/01_when: unknown parameter 'rate'"),
        (["run", "when", "-p", "seeds", "many"], "parameter 'seeds' expects int; got 'many'"),
        (["run", "when", "-p", "seeds", "-1"], "parameter 'seeds' expects int, from 1; got -1"),
        (["run", "when", "-p", "dataset=cifar"], "one of: digits, wine; got 'cifar'"),
        (["run", "when", "-p", "seeds"], "-p expects a name and a value, such as -p seeds 5; got 'seeds' alone"),
        (["run", "when", "--profile", "smok"], "unknown profile 'smok'; did you mean 'smoke'"),
        (["run", "when", "--shard", "3/2"], "--shard expects i/n"),
        (["run", "when", "--workers", "0"], "--workers must be at least 1"),
        (["run", "when", "--minutes", "0"], "--minutes must be above 0"),
        (["run", "when", "--notebooks", "nowhere"], "nowhere is not a folder"),
        (["run", "when", "--out", "notebooks/01_smoothing/01_when.ipynb/x"], "cannot write in notebooks/01_smoothing"),
        (["report", "--out", "nowhere"], "there is no folder nowhere; `labkit run` makes it"),
        (["ledger", "--out", "nowhere"], "there is no folder nowhere"),
        (["ledger", "--out", ".", "--save", "x.xls"], "ends in .csv or .md"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(labkit, tmp_path, words, says):
    status, _, err = labkit(*words)
    assert status == 2 and err.startswith("labkit: error: ") and says in err and err.count("\n") == 1
    assert not (tmp_path / "reports" / "01_smoothing").exists()


def test_notebooks_that_cannot_run_are_mistakes_too(labkit, root):
    notebook(root, "03_bad/01_none", parameters="seeds = 3")
    assert "03_bad/01_none: parameters cell, line 1 ('seeds = 3')" in labkit("run", "none")[2]
    notebook(root, "03_bad/02_foreign", parameters="seeds: int = 3", kernelspec={"name": "ir", "language": "R"})
    status, _, err = labkit("run", "foreign")
    assert status == 2 and "03_bad/02_foreign: its kernel is 'ir' (R), expected 'python3'" in err
    path = notebook(root, "03_bad/03_untagged", parameters="seeds: int = 3")
    path.write_text(path.read_text().replace('["parameters"]', "[]"))
    assert "03_bad/03_untagged: expected one code cell tagged 'parameters', found 0" in labkit("run", "untagged")[2]


def test_an_empty_folder_of_notebooks_is_told(labkit, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no notebooks in" in labkit("list", "--notebooks", "empty")[2]


def test_a_wrong_option_is_status_2(labkit):
    assert labkit("run", "--nonsense")[0] == 2
    assert labkit("nonsense")[0] == 2


def test_help_is_worth_reading(labkit):
    status, out, _ = labkit("run", "--help")
    assert status == 0 and "labkit run smoothing -p seeds 5 -p dataset fashion_mnist --out my-reports" in out
    assert "NAME VALUE" in out and "--shard" in out
    commands = labkit("--help")[1]
    assert all(f"  {name} " in commands for name in ("list", "run", "report", "ledger", "check", "student", "lab"))


def test_pairs_are_joined_where_they_are_pairs():
    assert cli._joined(["run", "-p", "a", "-1", "x", "--parameter", "b", "c=d", "-p", "e=f", "y"]) == [
        "run",
        "-p",
        "a=-1",
        "x",
        "--parameter",
        "b=c=d",
        "-p",
        "e=f",
        "y",
    ]
    assert cli._pairs(["a=-1", "b=c=d", "c="]) == [("a", "-1"), ("b", "c=d"), ("c", "")]


def test_check_and_student(labkit, root, tmp_path):
    status, out, _ = labkit("check", "when")
    assert status == 0 and "1 notebooks, 0 problems" in out
    status, out, _ = labkit("check")
    assert status == 1 and "02_noise/01_elr: parameter 'rate' has no help" in out
    assert labkit("student", "class")[0] == 0 and (tmp_path / "class" / "02_noise" / "01_elr.ipynb").is_file()
    status, _, err = labkit("student", "class")
    assert status == 2 and "may hold somebody's work" in err


def test_lab_opens_jupyterlab_on_the_notebooks(labkit, root, monkeypatch):
    called = []

    def execv(*words):
        called.extend(words)
        raise SystemExit(0)

    monkeypatch.setattr(cli.os, "execv", execv)
    labkit("lab")
    assert called == [sys.executable, [sys.executable, "-m", "jupyter", "lab", "--notebook-dir", str(root)]]


def test_a_run_from_the_command_line_and_the_same_again(labkit, root, tmp_path):
    words = ["run", "when", "-p", "seeds", "2", "--workers", "1", "--out", "out"]
    environment = {**os.environ, "LABKIT_DATA": ""}
    first = subprocess.run(
        [sys.executable, "-m", "labkit.cli", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert first.returncode == 0 and "ok            01_smoothing/01_when" in first.stdout, first
    (page,) = (tmp_path / "out" / "01_smoothing" / "01_when").glob("*/report.html")
    assert str(page.relative_to(tmp_path)) in first.stdout and "digits 2" in page.read_text()
    assert (tmp_path / "out" / "index.html").is_file() and (tmp_path / "out" / "ledger.csv").is_file()
    probe = (
        "import sys\nfrom labkit.cli import main\ntry:\n    main(sys.argv[1:])\nfinally:\n"
        "    print('loaded:', *({'torch', 'papermill', 'pandas', 'distributed', 'nbformat'} & set(sys.modules)))"
    )
    again = subprocess.run(
        [sys.executable, "-c", probe, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert again.returncode == 0 and "done          01_smoothing/01_when" in again.stdout
    assert again.stdout.splitlines()[-1] == "loaded:"  # a run that is done loads nothing heavy
    status, shown, _ = labkit("ledger", "--out", "out")
    assert status == 0 and shown.startswith("| claim | paper |")
    assert labkit("ledger", "--out", "out", "--save", "l.csv")[0] == 0 and (tmp_path / "l.csv").is_file()
    before = page.read_text()
    page.unlink()
    assert labkit("report", "--out", "out")[0] == 0 and page.read_text() == before


def test_how_notebooks_ended_is_told_and_decides_the_status(labkit, tmp_path, monkeypatch):
    from labkit.workbook import cluster, records
    from labkit.workbook.jobs import final_folder

    def run_all(jobs, workers, scheduler):
        assert workers == 2 and scheduler is None and all(job["threads"] >= 1 for job in jobs)
        for job, status in zip(jobs, ("ok", "timeout")):
            folder = final_folder(job).with_suffix("" if status == "ok" else ".failed")
            folder.mkdir(parents=True)
            error = "" if status == "ok" else "stopped after 3 s\nmore"
            records.write(
                folder,
                records.Record(
                    status, job["name"], job["key"], job["profile"], job["parameters"], "2026-01-01", 75.0, error
                ),
            )
            yield job, folder

    monkeypatch.setattr(cluster, "run_all", run_all)
    status, out, _ = labkit("run", "all", "--workers", "8")
    assert status == 1 and "ok            01_smoothing/01_when  75.0 s  reports/01_smoothing/01_when/" in out
    assert "timeout       02_noise/01_elr  75.0 s" in out and "\n              stopped after 3 s\n" in out

    monkeypatch.setattr(cluster, "run_all", lambda jobs, *_: [(jobs[0], OSError(28, "No space left on device"))])
    status, out, _ = labkit("run", "all")
    assert status == 1 and "done          01_smoothing/01_when" in out
    assert "no result     02_noise/01_elr  OSError: [Errno 28] No space left on device; what is finished is kept" in out


def test_saved_outputs_are_noted_and_not_used(labkit, root, monkeypatch):
    path = root / "01_smoothing" / "01_when.ipynb"
    content = json.loads(path.read_text())
    content["cells"][1].update(execution_count=1, outputs=[{"output_type": "stream", "name": "stdout", "text": "old"}])
    path.write_text(json.dumps(content))
    monkeypatch.setattr(cli, "_run", lambda jobs, workers, scheduler: 0)
    status, _, err = labkit("run", "when", "--no-report")
    assert status == 0 and "01_smoothing/01_when has outputs saved in it; they are not used" in err


def test_importing_is_quick_and_light():
    heavy = "{'torch', 'numpy', 'pandas', 'papermill', 'rich', 'yaml'}"
    probe = f"import sys, labkit, labkit.cli; print(*({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "\n"
