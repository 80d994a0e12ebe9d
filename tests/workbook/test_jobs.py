from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from labkit.workbook import jobs


def test_a_job_travels_and_says_everything(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LABKIT_DATA", "data")
    monkeypatch.delenv("LABKIT_CACHE", raising=False)
    notebook = write(tmp_path / "notebooks", "01_a/01_b")
    job = jobs.make_job(notebook, Path("out"), "full", {"common": {"seeds": "7", "epochs": "3"}}, [("dataset", "wine")])
    assert json.loads(json.dumps(job)) == job == pickle.loads(pickle.dumps(job))
    assert job["parameters"] == {"dataset": "wine", "seeds": 7} and job["profile"] == "full"
    assert job["environment"] == {"LABKIT_DATA": str(tmp_path / "data")}
    assert job["out"] == str(tmp_path / "out") and job["path"] == str(notebook.path)
    assert jobs.final_folder(job) == tmp_path / "out" / "01_a" / "01_b" / job["key"][:16] and not jobs.done(job)


def test_limits_follow_the_stated_minutes(write, tmp_path):
    about = {"minutes": {"smoke": 0.1, "report": 6}}
    notebook = write(tmp_path, "01_a/01_b", about=about)
    limits = [jobs.make_job(notebook, tmp_path, profile)["limit"] for profile in ("smoke", "report", "full")]
    assert limits == [600, 3600, 600]
    job = jobs.make_job(notebook, tmp_path, minutes=2, cell_minutes=0.5)
    assert (job["limit"], job["cell_limit"]) == (120, 30)
    assert jobs.make_job(notebook, tmp_path, minutes=2)["cell_limit"] == 120
    for options, says in (({"minutes": 0}, "--minutes must be above"), ({"cell_minutes": -1}, "--cell-minutes must")):
        with pytest.raises(ValueError, match=says):
            jobs.make_job(notebook, tmp_path, **options)


def test_limits_and_threads_do_not_change_the_key(write, tmp_path):
    notebook = write(tmp_path, "01_a/01_b")
    keys = {jobs.make_job(notebook, tmp_path / out, minutes=minutes, threads=threads)["key"]
            for out, minutes, threads in (("a", 1, 1), ("b", 2, 4))}
    assert len(keys) == 1


def test_a_foreign_kernel_is_refused_before_anything_runs(write, tmp_path):
    notebook = write(tmp_path, "01_a/01_b", spec={"name": "julia-1.10", "language": "julia"})
    with pytest.raises(ValueError, match=r"01_a/01_b: its kernel is 'julia-1.10' \(julia\), expected 'python3'"):
        jobs.make_job(notebook, tmp_path)


def test_shards_split_without_loss():
    everything = [{"name": i} for i in range(10)]
    parts = [jobs.shard(everything, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(job["name"] for part in parts for job in part) == list(range(10))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for which in ("0/3", "4/3", "1", "a/b", "1/0", "-1/3"):
        with pytest.raises(ValueError, match="--shard expects i/n"):
            jobs.shard(everything, which)


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path, monkeypatch):
    jobs.writable(tmp_path / "new" / "deep")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write in .*file/out: Not a directory; .*--out"):
        jobs.writable(tmp_path / "file" / "out")

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space left on device; free space or permissions there"):
        jobs.writable(tmp_path)
