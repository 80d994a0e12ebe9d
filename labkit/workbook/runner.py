"""``run_one``: one job in, one finished folder out. Pure: it may be repeated, on any machine that sees the folders.

A run is written in a hidden folder beside its place and renamed when it is whole. Present means finished, so a second
call is a no-op; that is resume, retry and sharding at once. A run that ended badly is kept beside it as ``KEY.failed``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import keys, records
from .execute import kill_tree, merge_streams
from .jobs import done, final_folder

STARTS = 3  # a kernel that does not come up (a port race, a loaded machine) is tried this often; a failing cell never
_POLL = 0.5  # seconds between looks at the clock and the stop file


def run_one(job: Mapping[str, Any]) -> str:
    """Runs ``job`` (see ``jobs.make_job``) unless it is done; returns the folder, whose record says how it ended.

    Raises RuntimeError where the worker has another labkit than the client, OSError where the folder cannot be written:
    those are no results. A failing notebook is one and raises nothing.
    """
    final = final_folder(job)
    if done(job):
        return str(final)
    if job["package"] != keys.package_digest():
        raise RuntimeError("this worker has another labkit than the client; install the same version on both, or, if "
                           "its files were edited in the meantime, run the command again")
    with _held(job):
        if done(job):  # the runner we waited for has done it
            return str(final)
        for left_behind in final.parent.glob(f".{final.name}.*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        folder = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}")
        folder.mkdir(parents=True)
        if job["force"]:  # again means from the start
            shutil.rmtree(checkpoint_folder(job), ignore_errors=True)
        try:
            return str(_finish(job, folder, *_attempts(job, folder)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # gone already if all went well


def _attempts(job: Mapping[str, Any], folder: Path) -> tuple[dict[str, str], datetime, float]:
    started, clock = datetime.now(UTC), time.perf_counter()
    for _ in range(STARTS):
        outcome = _attempt(job, folder)
        if outcome["status"] != "start":
            break
    else:
        outcome = {"status": "failed", "error": f"no kernel came up in {STARTS} tries: {outcome['error']}"}
    return outcome, started, time.perf_counter() - clock


def _attempt(job: Mapping[str, Any], folder: Path) -> dict[str, str]:
    (folder / "job.json").write_text(json.dumps(dict(job)), encoding="utf-8")
    checkpoints = checkpoint_folder(job)
    checkpoints.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "labkit.workbook.execute", str(folder / "job.json")], cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            env=environment(job, folder, checkpoints))
    deadline = time.monotonic() + job["limit"]
    with child.stdin, child.stdout as channel:
        try:
            _warm_up()
            while child.poll() is None:
                if time.monotonic() > deadline:
                    return {"status": "timeout", "error": f"stopped after {job['limit']:g} s, the limit of the whole "
                                                          "notebook (--minutes sets it)"}
                if os.path.exists(job["stop"]):
                    return {"status": "killed", "error": "stopped by hand"}
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(min(_POLL, max(0.01, deadline - time.monotonic())))
        finally:
            if child.poll() is None:  # too late, stopped, or Ctrl-C here; never a number somebody else has by now
                kill_tree(child.pid)
                child.wait()
        said = channel.read()
    try:
        return json.loads(said)
    except ValueError:
        log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-20:]
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit status {child.returncode}"
        return {"status": "killed", "error": "\n".join([f"the executor died ({how})", *log])}


def environment(job: Mapping[str, Any], folder: Path, checkpoints: Path) -> dict[str, str]:
    """The kernel's environment. Headless is decided here, by a variable, and not by sniffing in the notebook."""
    extra = {
        "LABKIT_HEADLESS": "1",
        "LABKIT_PROFILE": job["profile"],
        "LABKIT_RUN_FOLDER": str(folder),       # artefacts of the notebook; renamed with the run
        "LABKIT_CHECKPOINTS": str(checkpoints),  # survives a kill, removed after a good end
        "TQDM_MININTERVAL": "30",
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # a caller's Agg would leave reports without figures
        **job["environment"],
    }
    if job["threads"]:
        extra |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(job["threads"]))
    inherited = dict(os.environ)
    if _worker() != "local":  # dask has its workers hand freed memory back at once: it costs a kernel half of its time
        inherited.pop("MALLOC_TRIM_THRESHOLD_", None)
    return {**inherited, **extra}


def checkpoint_folder(job: Mapping[str, Any]) -> Path:
    return Path(job["out"], "checkpoints", job["key"][:16])


def _finish(job: Mapping[str, Any], folder: Path, outcome: Mapping[str, str], started: datetime, seconds: float
            ) -> Path:
    """Writes the record and the report into ``folder``, tidies it and renames it to its place."""
    executed = _executed(folder, job)
    versions = {"python": sys.version.split()[0], **{p: keys.package_version(p) for p in ("labkit", "torch", "numpy")}}
    records.write(folder, records.Record(
        status=outcome["status"], error=outcome["error"], notebook=job["name"], key=job["key"], profile=job["profile"],
        parameters=job["parameters"], about=job["about"], started=started.isoformat(timespec="milliseconds"),
        seconds=round(seconds, 3), cells=_cell_seconds(executed), versions=versions, commit=_commit(Path(job["path"])),
        device=_device(executed, job), worker=_worker()))
    records.write_text(folder / "params.json", json.dumps(job["parameters"], indent=1, ensure_ascii=False) + "\n")
    (folder / "job.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "jupyter", ignore_errors=True)
    if executed:
        from .report import render_or_note
        render_or_note(folder)
    final, ok = final_folder(job), outcome["status"] == "ok"
    failed = final.with_name(final.name + ".failed")
    if ok:
        (folder / "log.txt").unlink(missing_ok=True)
        shutil.rmtree(checkpoint_folder(job), ignore_errors=True)
    if failed.exists():
        shutil.rmtree(failed)
    place = final if ok else failed
    if place.exists():  # --force, or a folder with a damaged record: a folder cannot be renamed onto a full one
        aside = place.with_name(f".{place.name}.old")
        os.replace(place, aside)
        os.replace(folder, place)
        shutil.rmtree(aside)
    else:
        os.replace(folder, place)
    return place


@contextlib.contextmanager
def _held(job: Mapping[str, Any]) -> Iterator[None]:
    """One runner per run: a lock of the operating system, which frees it when its holder dies, so none goes stale."""
    import filelock

    path = Path(job["out"], ".locks", job["key"][:16] + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"labkit: another runner is working on {job['name']} in {job['out']}; waiting for it", file=sys.stderr,
              flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _executed(folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """The executed notebook, also a partial one, without this machine's paths; a torn file is removed."""
    path = folder / "executed.ipynb"
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        path.unlink(missing_ok=True)
        return {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = merge_streams(cell["outputs"])
    notebook["metadata"].setdefault("papermill", {}).update(input_path=job["name"] + ".ipynb", output_path=path.name)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return notebook


def _cell_seconds(executed: Mapping[str, Any]) -> list[float]:
    cells = (cell["metadata"].get("papermill", {}) for cell in executed.get("cells", ()) if cell["cell_type"] == "code")
    return [round(cell["duration"], 3) for cell in cells if cell.get("duration") is not None]


def _device(executed: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    """The device that the verdicts name, else the parameter: the runner itself never imports torch."""
    from .ledger import verdicts
    named = sorted({str(verdict["device"]) for verdict in verdicts(executed) if verdict.get("device")})
    return ", ".join(named) or str(job["parameters"].get("device", ""))


def _commit(path: Path) -> str:
    """The git commit of the notebook's repository, with a + when files differ from it; empty without git."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(path.parent), *words], capture_output=True, text=True, timeout=20,
                              check=True).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _worker() -> str:
    distributed = sys.modules.get("distributed")  # present only inside a worker of dask
    try:
        return str(distributed.get_worker().name) if distributed else "local"
    except ValueError:
        return "local"


def _warm_up() -> None:
    """The report's imports (about a second) happen while the notebook runs."""
    from .report import exporter
    exporter()
