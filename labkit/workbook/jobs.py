"""A job: everything a worker needs to run one notebook, as a plain dict that travels as JSON or by pickle."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import keys, records
from .notebook import Notebook
from .profiles import resolve

PASSED_ON = ("LABKIT_DATA", "LABKIT_CACHE")  # folders, made absolute: a kernel starts in its notebook's folder


def make_job(notebook: Notebook, out: Path, profile: str = "report", presets: Mapping[str, Any] | None = None,
             overrides: Iterable[tuple[str, str]] = (), *, minutes: float | None = None,
             cell_minutes: float | None = None, threads: int | None = None, force: bool = False) -> dict[str, Any]:
    """The job of ``notebook`` under ``profile`` with ``-p`` pairs in ``overrides``.

    ``minutes`` is the wall-clock limit of the whole notebook: by default ten times what its metadata states for the
    profile, at least ten. ``cell_minutes`` limits one cell (default: the same). ``threads`` per kernel; None leaves the
    worker's own setting. Raises ValueError for anything wrong with the notebook, its parameters or the limits.
    """
    if notebook.kernel_problem:
        raise ValueError(f"{notebook.name}: {notebook.kernel_problem}")
    values = resolve(notebook, presets or {}, overrides)
    stated = notebook.about.get("minutes", {}).get(profile, 0)
    limit = max(10.0, 10.0 * stated) if minutes is None else minutes
    for option, value in (("--minutes", limit), ("--cell-minutes", cell_minutes)):
        if value is not None and value <= 0:
            raise ValueError(f"{option} must be above 0, got {value:g}")
    key = keys.run_key(notebook, values, profile)
    return {
        "name": notebook.name, "path": str(notebook.path.resolve()), "about": notebook.about, "profile": profile,
        "parameters": values, "key": key, "package": keys.package_digest(), "out": str(out.resolve()),
        "limit": 60 * limit, "cell_limit": 60 * (cell_minutes or limit), "threads": threads, "force": force,
        "stated": stated, "stop": str(out.resolve() / ".locks" / f"stop-{uuid.uuid4().hex[:12]}"),
        "environment": {name: os.path.abspath(os.environ[name]) for name in PASSED_ON if os.environ.get(name)},
    }


def final_folder(job: Mapping[str, Any]) -> Path:
    """Where a run that ended well lies."""
    return Path(job["out"], job["name"], job["key"][:16])


def done(job: Mapping[str, Any]) -> bool:
    return not job["force"] and records.finished(final_folder(job))


def shard(jobs: list[dict], which: str) -> list[dict]:
    """Part ``i`` of ``n`` (``which`` is "i/n", i from 1). Folders are the truth, so shards need no common engine."""
    part, _, parts = which.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"--shard expects i/n with i from 1 to n, such as 2/8; got {which!r}")
    return jobs[int(part) - 1::int(parts)]


def writable(out: Path) -> None:
    """Raises OSError, saying what to do, unless files can be made in ``out``."""
    try:
        (out / ".locks").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as file:
            file.write(b"labkit" * 1024)
            file.flush()
    except OSError as error:
        raise OSError(f"cannot write in {out}: {error.strerror or error}; free space or permissions there, or choose "
                      "another folder with --out") from None


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
