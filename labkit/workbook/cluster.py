"""Many jobs side by side: tasks of dask.distributed, here or on a cluster that exists.

Results are on disk and a task returns only a path, so nothing is lost with a worker: its task runs again elsewhere and
finds the finished folders. A failing notebook is a result; only a broken worker is tried again.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .runner import run_one

RETRIES = 2  # of a task that raised: a full disk or another labkit on the worker, never a failing notebook
SETTINGS = {
    "distributed.worker.daemon": False,  # workers may start processes of their own: notebooks do
    "distributed.scheduler.allowed-failures": 10,  # a worker that dies does not condemn what it ran
    # A notebook waits at the scheduler, not behind another on a worker: the longest really start first, nothing is
    # moved between workers, and a dying worker has nothing but its own notebook to lose.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
}

Result = tuple[dict, Path | Exception]


def run_all(jobs: list[dict], workers: int = 1, scheduler: str | None = None) -> Iterator[Result]:
    """Runs ``jobs`` and yields each with its folder, or with the error that kept it from having one, as they end.

    One worker and no ``scheduler`` is a plain loop in this process. Otherwise the jobs are tasks of the cluster at
    ``scheduler`` (tcp://host:port; the folders must be visible there), or of one made for the occasion with ``workers``
    processes. Raises OSError when no scheduler answers.
    """
    if scheduler is None and min(workers, len(jobs)) <= 1:
        yield from ((job, _here(job)) for job in jobs)
        return
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(SETTINGS):
        if scheduler is not None:
            with Client(scheduler, timeout="20s") as client:
                yield from submit(client, jobs)
            return
        with _deaf_to_interrupts():
            local = LocalCluster(n_workers=min(workers, len(jobs)), threads_per_worker=1, processes=True,
                                 memory_limit=None, dashboard_address=":0", silence_logs=logging.ERROR)
        with local, Client(local) as client:
            yield from submit(client, jobs)


def submit(client: Any, jobs: list[dict]) -> Iterator[Result]:
    """``run_all`` on the cluster of ``client``; a caller who stops early (Ctrl-C) stops the notebooks too."""
    from distributed import as_completed

    longest_first = sorted(jobs, key=lambda job: -job["stated"])
    futures = {client.submit(run_one, job, key=f"{job['name']}-{job['key'][:16]}", retries=RETRIES, pure=False): job
               for job in longest_first}
    try:
        for future in as_completed(list(futures)):
            job = futures.pop(future)
            result = Path(future.result()) if future.status == "finished" else _error(future)
            del future  # a finished task that somebody still holds runs again when its worker dies
            yield job, result
    finally:
        for future, job in futures.items():
            Path(job["stop"]).touch()  # cancelling does not reach a running task; run_one looks for this file
            future.cancel()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Workers started inside ignore Ctrl-C, which a terminal sends to all: this process ends them, without a page of
    their tracebacks. Only the main thread may set this; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _here(job: dict) -> Path | Exception:
    try:
        return Path(run_one(job))
    except (OSError, RuntimeError) as error:
        return error


def _error(future: Any) -> Exception:
    error = future.exception() if future.status == "error" else None
    return error if isinstance(error, Exception) else RuntimeError(f"the task was {future.status}")
