"""The child process on real kernels: one set of runs, side by side on two dask workers, looked at by many tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labkit.workbook import jobs, records
from labkit.workbook.cluster import run_all
from labkit.workbook.execute import judge, light_imports, merge_streams

pytestmark = pytest.mark.xdist_group("runs")  # with --dist loadgroup the shared runs are made once

GOOD = """\
import json, os, sys
from pathlib import Path
from IPython.display import display
from labkit.workbook.parameters import parameters
p = parameters(globals())
Path(os.environ["LABKIT_RUN_FOLDER"], "metrics.csv").write_text("a,b")
kept = ("LABKIT_HEADLESS", "LABKIT_PROFILE", "LABKIT_DATA", "LABKIT_CHECKPOINTS", "OMP_NUM_THREADS", "TQDM_MININTERVAL",
        "MALLOC_TRIM_THRESHOLD_")
seen = {name: os.environ.get(name) for name in kept}
print(json.dumps(seen | {"cwd": os.getcwd(), "seeds": p.seeds, "executable": sys.executable,
                         "checkpoints": os.path.isdir(seen["LABKIT_CHECKPOINTS"])}))
print("torch" in sys.modules)"""
VERDICT = """\
display({"application/vnd.labkit.verdict+json": {"claim": "c", "verdict": "inconclusive", "effect": float("nan"),
         "dataset": dataset, "device": "cpu"}, "text/html": "<b>inconclusive</b>"}, raw=True)"""
WIDGET = """\
import ipywidgets
from IPython.display import display
out = ipywidgets.Output()
with out:
    1 / 0
display(out)"""

KILLS_ITS_WORKER = """\
import os, threading
from pathlib import Path
import psutil
mark = Path(os.environ["LABKIT_CHECKPOINTS"], "first")
if not mark.exists():
    mark.touch()
    psutil.Process().parent().parent().kill()  # this kernel < its executor < the dask worker
    threading.Event().wait()
print("second try")"""


@pytest.fixture(scope="session")
def runs(write, tmp_path_factory):
    base = tmp_path_factory.mktemp("runs{with}braces")
    root = base / "notebooks"
    notebooks = [
        write(root, "01_a/01_good", GOOD, VERDICT),
        write(root, "01_a/02_fails", "print('before')\n1/0", "print('never')"),
        write(root, "01_a/03_widget", WIDGET),
        write(root, "01_a/04_exit", "import sys\nsys.exit(0)", "print('left out')"),
        write(root, "01_a/05_dead", "import os\nos.kill(os.getpid(), 9)", "print('never')"),
        write(root, "01_a/06_slow", "import threading\nthreading.Event().wait()"),
        write(root, "01_a/07_slow_cell", "import threading\nthreading.Event().wait()"),
        write(root, "01_a/08_worker", KILLS_ITS_WORKER),
    ]
    # no notebook waits for ten minutes here: what hangs should say so before the test itself is stopped
    usual = {"minutes": 2}
    limits = {"06_slow": {"minutes": 3 / 60}, "07_slow_cell": {"cell_minutes": 0.5 / 60}}
    # a python3 kernel of somebody else's, found first by everybody who does not insist on his own
    foreign = base / "share" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    before = dict(os.environ)
    os.environ |= {"JUPYTER_PATH": str(base / "share"), "LABKIT_DATA": os.path.relpath(base), "MPLBACKEND": "Agg"}
    try:
        work = [jobs.make_job(notebook, base / "out", "smoke", {}, [("seeds", "4")], threads=1,
                              **(usual | limits.get(notebook.name.split("/")[1], {}))) for notebook in notebooks]
        results = {job["name"].split("/")[1]: folder for job, folder in run_all(work, workers=2)}
    finally:
        os.environ.clear()
        os.environ |= before
    assert all(isinstance(folder, Path) for folder in results.values()), results
    return {name: (folder, records.read(folder)) for name, folder in results.items()}


def printed(folder):
    if not (folder / "executed.ipynb").exists():
        return ""  # stopped before the first cell, on a machine with much else to do
    cells = json.loads((folder / "executed.ipynb").read_text())["cells"]
    return "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ()))


def test_a_good_run_has_its_values_its_environment_and_its_folder(runs):
    folder, record = runs["01_good"]
    seen, torch = printed(folder).splitlines()[:2]
    seen = json.loads(seen)
    base = folder.parents[3]
    assert record.status == "ok" and record.error == "" and record.parameters == {"dataset": "digits", "seeds": 4}
    assert (seen["seeds"], seen["LABKIT_HEADLESS"], seen["LABKIT_PROFILE"]) == (4, "1", "smoke")
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["MALLOC_TRIM_THRESHOLD_"] is None  # dask sets one for its workers that would halve a kernel's speed
    assert seen["cwd"] == str(base / "notebooks" / "01_a") and seen["LABKIT_DATA"] == str(base)  # made absolute
    assert seen["LABKIT_CHECKPOINTS"] == str(base / "out" / "checkpoints" / record.key[:16]) and seen["checkpoints"]
    assert torch == "False"
    assert sorted(path.name for path in folder.iterdir()) == [
        "executed.ipynb", "metrics.csv", "params.json", "record.json", "report.html"]
    assert json.loads((folder / "params.json").read_text()) == record.parameters
    assert not Path(seen["LABKIT_CHECKPOINTS"]).exists()  # of no use after a good end


def test_the_record_says_what_a_reader_of_the_numbers_needs(runs):
    _, record = runs["01_good"]
    assert record.profile == "smoke" and record.device == "cpu" and record.about["title"] == "Tiny"
    assert set(record.versions) == {"python", "labkit", "torch", "numpy"} and len(record.key) == 64
    assert len(record.cells) == 4 and 0 < sum(record.cells) < record.seconds < 60  # one more: the injected parameters
    assert record.started.endswith("+00:00") and record.worker != "local"  # a worker of dask


def test_the_kernel_is_of_this_interpreter_whatever_kernelspecs_exist(runs):
    import sys
    assert json.loads(printed(runs["01_good"][0]).splitlines()[0])["executable"] == sys.executable


def test_a_verdict_that_is_no_number_comes_through_as_none(runs):
    from labkit.workbook import ledger
    row, = ledger.rows(runs["01_good"][0].parents[2], ["smoke"])
    assert row["effect"] is None and row["verdict"] == "inconclusive" and row["dataset"] == "digits"


def test_no_path_of_this_machine_is_added_to_the_executed_notebook(runs):
    metadata = json.loads((runs["01_good"][0] / "executed.ipynb").read_text())["metadata"]["papermill"]
    assert (metadata["input_path"], metadata["output_path"]) == ("01_a/01_good.ipynb", "executed.ipynb")


@pytest.mark.parametrize(("name", "status", "first", "also"), [
    ("02_fails", "failed", "In [3]: ZeroDivisionError: division by zero", "----> 2 1/0"),
    ("03_widget", "widget_error", "inside a widget: ZeroDivisionError: division by zero", "1 / 0"),
    ("04_exit", "failed", "the notebook ended before its last cell (a SystemExit?)", "print('left out')"),
    ("05_dead", "killed", "the kernel died", ""),
    ("06_slow", "timeout", "stopped after 3 s, the limit of the whole notebook (--minutes sets it)", ""),
    ("07_slow_cell", "timeout", "a cell ran past 0.5 s (--cell-minutes sets it)", "threading.Event"),
])
def test_a_bad_end_is_recorded_as_what_it_was_and_kept_aside(runs, name, status, first, also):
    folder, record = runs[name]
    assert record.status == status and record.error.startswith(first) and also in record.error
    assert "\x1b" not in record.error  # no terminal colours
    assert folder.name == record.key[:16] + ".failed" and not folder.with_suffix("").exists()
    assert "never" not in printed(folder) and (folder / "report.html").is_file()
    assert not records.finished(folder.with_suffix(""))  # so the next call tries again


def test_what_was_shown_before_the_end_is_kept(runs):
    assert "before" in printed(runs["02_fails"][0])


def test_nothing_is_left_running_or_lying_about(runs):
    import psutil
    out = runs["01_good"][0].parents[2]
    running = (" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    assert not [line for line in running if str(out) in line]
    assert not [path for path in out.rglob(".*") if path.name != ".locks"]


def test_a_notebook_whose_worker_is_killed_runs_again_elsewhere(runs):
    folder, record = runs["08_worker"]
    assert record.status == "ok" and printed(folder) == "second try\n"
    assert [path.name for path in folder.parent.iterdir()] == [record.key[:16]]  # nothing torn, nothing twice


def code(source, count, outputs=()):
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": list(outputs)}


def test_judge_accepts_empty_cells_and_widgets_without_errors():
    state = {"m": {"state": {"outputs": [{"output_type": "stream"}]}}, "n": {"state": {}}}
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    notebook = {"cells": [code("x", 1), code("  ", None), {"cell_type": "markdown", "source": "x"}],
                "metadata": {"widgets": widgets}}
    assert judge(notebook) == {"status": "ok", "error": ""}
    state["m"]["state"]["outputs"].append({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []})
    assert judge(notebook) == {"status": "widget_error", "error": "inside a widget: E: v"}


def stream(name, text):
    return {"output_type": "stream", "name": name, "text": text}


def test_streams_are_joined_between_displays_and_redrawn_lines_are_what_they_became():
    display = {"output_type": "display_data", "data": {}, "metadata": {}}
    pieces = [stream("stdout", "a\n"), stream("stderr", "\r 10 %"), stream("stdout", ["b", "\n"]),
              stream("stderr", "\r 20 %"), display, stream("stdout", "one\r\ntwo\r"), stream("stdout", "three")]
    assert merge_streams(pieces) == [
        stream("stdout", "a\nb\n"), stream("stderr", " 20 %"), display, stream("stdout", "one\nthree")]
    assert merge_streams([]) == [] and pieces[0]["text"] == "a\n"
    long = stream("stdout", "x" * 2_000_000)  # the time must not grow with the square of a line
    assert merge_streams([long, long])[0]["text"] == "x" * 4_000_000


def test_light_imports_leave_no_trace():
    import sys
    had = "rfc3987_syntax" in sys.modules
    with light_imports():
        pass
    assert ("rfc3987_syntax" in sys.modules) is had
