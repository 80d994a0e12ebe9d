"""How jobs are handed out. Real workers, one of which is killed, run the notebooks of test_execute.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.workbook import cluster, jobs, runner


@pytest.fixture
def some_jobs(write, tmp_path):
    return [jobs.make_job(write(tmp_path / "notebooks", f"01_a/0{i}_b"), tmp_path / "out") for i in (1, 2, 3)]


def test_one_worker_is_a_plain_loop_and_an_error_is_a_result(some_jobs, monkeypatch):
    def run_one(job):
        if job["name"] == "01_a/02_b":
            raise OSError(28, "No space left on device")
        return job["name"]

    monkeypatch.setattr(cluster, "run_one", run_one)
    results = dict((job["name"], result) for job, result in cluster.run_all(some_jobs))
    assert results["01_a/01_b"] == Path("01_a/01_b") and results["01_a/03_b"] == Path("01_a/03_b")
    assert isinstance(results["01_a/02_b"], OSError)


class Future:
    def __init__(self, status, value=None):
        self.status, self.value, self.cancelled = status, value, False

    def result(self):
        return self.value

    def exception(self):
        return self.value

    def cancel(self):
        self.cancelled = True


class FakeClient:
    """Stands in for a client so that order, options, errors and cancelling are seen without processes."""

    def __init__(self, *futures):
        self.futures, self.submitted = list(futures), []

    def submit(self, function, job, **options):
        self.submitted.append((function, job["name"], options))
        return self.futures[len(self.submitted) - 1]


@pytest.fixture
def as_given(monkeypatch):
    import distributed
    monkeypatch.setattr(distributed, "as_completed", iter)


def test_longest_first_retried_for_broken_workers_only_and_errors_told(some_jobs, as_given):
    for job, stated in zip(some_jobs, (1, 5, 3)):
        job["stated"] = stated
    client = FakeClient(Future("finished", "a"), Future("error", OSError("disk")), Future("lost"))
    results = [result for _, result in cluster.submit(client, some_jobs)]
    assert [name for _, name, _ in client.submitted] == ["01_a/02_b", "01_a/03_b", "01_a/01_b"]
    assert all(function is runner.run_one and options["retries"] == 2 and options["key"].startswith(name)
               for function, name, options in client.submitted)
    assert results[0] == Path("a") and str(results[1]) == "disk" and str(results[2]) == "the task was lost"


def test_a_finished_task_is_let_go_of_before_the_next_is_waited_for(some_jobs, monkeypatch):
    """Held, it would run again when its worker dies."""
    import gc
    import weakref

    import distributed

    class Handed:  # a client that keeps nothing of its own
        def submit(self, function, job, **options):
            return Future("finished", job["name"])

    def one_by_one(futures):
        futures = list(futures)
        seen = []
        while futures:
            gc.collect()
            assert not [name for name, kept in seen if kept() is not None]
            future = futures.pop()
            seen.append((future.value, weakref.ref(future)))
            yield future
            del future

    monkeypatch.setattr(distributed, "as_completed", one_by_one)
    assert len(list(cluster.submit(Handed(), some_jobs))) == 3


def test_a_caller_who_stops_stops_the_notebooks(some_jobs, as_given, tmp_path):
    jobs.writable(tmp_path / "out")
    client = FakeClient(Future("finished", "a"), Future("pending"), Future("pending"))
    running = cluster.submit(client, some_jobs)
    next(running)
    running.close()
    assert [future.cancelled for future in client.futures] == [False, True, True]
    assert [Path(job["stop"]).exists() for job in some_jobs] == [False, True, True]


def test_a_scheduler_that_does_not_answer_is_an_error(some_jobs, monkeypatch):
    import distributed

    def no_answer(address, timeout):
        raise OSError(f"Timed out trying to connect to {address} after {timeout}")

    monkeypatch.setattr(distributed, "Client", no_answer)
    with pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:1"):
        next(cluster.run_all(some_jobs, scheduler="tcp://127.0.0.1:1"))
