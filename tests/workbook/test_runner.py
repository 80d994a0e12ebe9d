"""``run_one`` without kernels where the child does not matter, and with one where a kill does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labkit.workbook import jobs, records, runner
from labkit.workbook.runner import run_one


@pytest.fixture
def job(write, tmp_path):
    return jobs.make_job(write(tmp_path / "notebooks", "01_a/01_b", "print(1)"), tmp_path / "out")


@pytest.fixture
def child(monkeypatch):
    """child(status, ...): what each child process in turn ends with; ``child.count`` counts them."""
    class Child:
        count = 0
        statuses = ()

        def __call__(self, *statuses):
            self.statuses = statuses

        def attempt(self, job, folder):
            (folder / "artefact").write_text("x")
            runner.checkpoint_folder(job).mkdir(parents=True, exist_ok=True)
            self.count += 1
            return {"status": self.statuses[min(self.count, len(self.statuses)) - 1], "error": f"end {self.count}"}

    child = Child()
    child("ok")
    monkeypatch.setattr(runner, "_attempt", child.attempt)
    return child


def test_a_second_run_is_a_no_op_and_a_forced_one_is_not(job, child):
    folder = run_one(job)
    started = records.read(Path(folder)).started
    assert run_one(job) == folder and child.count == 1
    assert run_one(job | {"force": True}) == folder and child.count == 2
    assert records.read(Path(folder)).started >= started and (Path(folder) / "artefact").is_file()
    assert not [path for path in Path(folder).parent.iterdir() if path.name.startswith(".")]


def test_a_failed_run_is_kept_aside_tried_again_and_replaced(job, child):
    child("failed", "failed", "ok")
    failed = Path(run_one(job))
    assert failed.name.endswith(".failed") and records.read(failed).error == "end 1"
    assert runner.checkpoint_folder(job).is_dir()  # the next try may go on from there
    assert Path(run_one(job)) == failed and records.read(failed).error == "end 2"
    final = Path(run_one(job))
    assert records.read(final).status == "ok" and not failed.exists() and not runner.checkpoint_folder(job).exists()


def test_a_failed_repetition_does_not_cost_the_good_run(job, child):
    child("ok", "failed")
    good = Path(run_one(job))
    assert Path(run_one(job | {"force": True})).name.endswith(".failed")
    assert records.read(good).status == "ok"


def test_only_a_kernel_that_does_not_start_is_tried_again(job, child):
    child("start", "start", "ok")
    assert records.read(Path(run_one(job))).status == "ok" and child.count == 3
    child("start")
    child.count = 0
    record = records.read(Path(run_one(job | {"force": True})))
    assert child.count == 3 and record.status == "failed" and record.error == "no kernel came up in 3 tries: end 3"
    child("failed")
    child.count = 0
    run_one(job | {"force": True})
    assert child.count == 1


def test_a_damaged_record_is_run_again(job, child):
    folder = Path(run_one(job))
    (folder / "record.json").write_text("{")
    assert Path(run_one(job)) == folder and records.read(folder).status == "ok" and child.count == 2


def test_a_full_disk_loses_nothing(job, child, monkeypatch):
    folder = Path(run_one(job))
    whole = (folder / "record.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records, "write", full)
        with pytest.raises(OSError, match="No space left"):
            run_one(job | {"force": True})
    assert (folder / "record.json").read_bytes() == whole and [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert Path(run_one(job | {"force": True})) == folder


def test_a_worker_with_another_labkit_is_told_so(job, child):
    with pytest.raises(RuntimeError, match="another labkit than the client; install the same version on both"):
        run_one(job | {"package": "0" * 64})
    assert child.count == 0 and not Path(job["out"], "01_a").exists()


def test_a_lock_file_or_a_half_written_folder_of_a_dead_runner_does_not_block(job, child):
    import filelock
    holder = subprocess.Popen([sys.executable, "-c", (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); "
        "sys.stdin.read()"), _lock(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(_lock(job)).acquire(timeout=0)
    holder.kill()
    holder.communicate()
    torn = jobs.final_folder(job).with_name(f".{jobs.final_folder(job).name}.0123abcd")
    torn.mkdir(parents=True)
    (torn / "executed.ipynb").write_text("{")
    assert Path(_lock(job)).exists() and records.read(Path(run_one(job))).status == "ok" and not torn.exists()


def _lock(job):
    path = Path(job["out"], ".locks", job["key"][:16] + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path)


def test_the_second_of_two_runners_waits_says_so_and_does_nothing(job, child, monkeypatch, capsys):
    inside, go = threading.Event(), threading.Event()
    attempt = child.attempt

    def slow(job, folder):
        inside.set()
        assert go.wait(20)
        return attempt(job, folder)

    monkeypatch.setattr(runner, "_attempt", slow)
    told = threading.Event()
    monkeypatch.setattr("builtins.print", lambda *words, **_: told.set() if "another runner" in words[0] else None)
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_one(job))) for _ in range(2)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    assert told.wait(20)
    go.set()
    for thread in threads:
        thread.join(20)
    assert len(results) == 2 and len(set(results)) == 1 and child.count == 1


ONCE = """\
import os, threading
from pathlib import Path
mark = Path(os.environ["LABKIT_CHECKPOINTS"], "first")
if not mark.exists():
    mark.write_text(str(os.getpid()))
    threading.Event().wait()
print("finished after a kill")"""


def test_the_runner_killed_in_the_middle_takes_its_kernel_along_and_is_taken_up(write, tmp_path):
    import psutil
    job = jobs.make_job(write(tmp_path / "notebooks", "01_a/01_b", ONCE), tmp_path / "out")
    started = subprocess.Popen([sys.executable, "-c", "import json, sys; from labkit.workbook.runner import run_one; "
                                                      "run_one(json.loads(sys.argv[1]))", json.dumps(job)])
    mark = runner.checkpoint_folder(job) / "first"
    _until(lambda: mark.is_file() and mark.read_text())
    kernel = psutil.Process(int(mark.read_text()))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    _until(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE)
    assert not jobs.done(job)
    folder = Path(run_one(job))
    assert records.read(folder).status == "ok" and "finished after a kill" in (folder / "executed.ipynb").read_text()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_stop_from_afar_ends_the_notebook(write, tmp_path):
    job = jobs.make_job(write(tmp_path / "notebooks", "01_a/01_b", ONCE), tmp_path / "out")
    jobs.writable(tmp_path / "out")
    Path(job["stop"]).touch()
    record = records.read(Path(run_one(job)))
    assert record.status == "killed" and record.error == "stopped by hand"


def test_an_executor_that_dies_is_recorded_with_its_last_words(job, monkeypatch):
    monkeypatch.setattr(runner.sys, "executable", "/bin/sh")  # sh knows no -m option
    record = records.read(Path(run_one(job)))
    assert record.status == "killed" and record.error.startswith("the executor died (exit status 2)")
    assert len(record.error.splitlines()) > 1


def _until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        threading.Event().wait(0.02)
