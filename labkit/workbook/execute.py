"""The child process: one notebook through papermill. ``python -m labkit.workbook.execute JOB`` prints the outcome.

It lives exactly as long as its parent: the parent holds the other end of stdin and never writes, so end of file there
means the runner is gone (even by SIGKILL), and the kernel is killed with everything below it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WIDGETS = "application/vnd.jupyter.widget-state+json"


@contextlib.contextmanager
def light_imports() -> Iterator[None]:
    """Imports of nbformat inside skip ``rfc3987_syntax``: jsonschema's optional check of internationalised addresses
    builds a grammar for 1.4 to 2 s in every process, and no notebook has such a field."""
    absent = "rfc3987_syntax" not in sys.modules
    if absent:
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # means ImportError, which jsonschema expects
    try:
        yield
    finally:
        if absent:
            del sys.modules["rfc3987_syntax"]


def execute(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Runs the notebook of ``job`` into ``folder/executed.ipynb``; returns the outcome (``status`` and ``error``; the
    status ``start`` means that the kernel never came up and the parent may try again)."""
    _own_kernel(folder)
    with light_imports():
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError

    executed = folder / "executed.ipynb"
    try:
        papermill.execute_notebook(
            # papermill takes braces in a path for format fields
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (job["path"], executed)),
            parameters=job["parameters"], kernel_name="python3", language="python", cwd=str(Path(job["path"]).parent),
            execution_timeout=math.ceil(job["cell_limit"]), progress_bar=False, log_output=False)
    except PapermillExecutionError as error:
        where = f"In [{error.exec_count}]: {error.ename}: {error.evalue}"
        return _outcome("failed", "\n".join([where, *error.traceback]))
    except CellTimeoutError as error:
        return _outcome("timeout", f"a cell ran past {job['cell_limit']:g} s (--cell-minutes sets it)\n{error}")
    except DeadKernelError:
        return _outcome("killed", "the kernel died; memory is the usual reason, a smaller profile the usual cure")
    except RuntimeError as error:
        return _outcome("failed" if _any_cell_ran(executed) else "start", str(error))
    except Exception:
        return _outcome("failed", traceback.format_exc())
    return judge(json.loads(executed.read_text(encoding="utf-8")))


def judge(notebook: dict[str, Any]) -> dict[str, Any]:
    """What papermill calls success, looked at twice: errors swallowed by widgets, cells left out after an exit."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip() and cell.get("execution_count") is None:
            return _outcome("failed", "the notebook ended before its last cell (a SystemExit?); the first one left out "
                                      "begins: " + "".join(cell["source"]).strip().splitlines()[0])
    for model in notebook["metadata"].get("widgets", {}).get(_WIDGETS, {}).get("state", {}).values():
        for output in model.get("state", {}).get("outputs") or []:
            if output.get("output_type") == "error":
                text = [f"inside a widget: {output.get('ename')}: {output.get('evalue')}", *output.get("traceback", [])]
                return _outcome("widget_error", "\n".join(text))
    return _outcome("ok", "")


def merge_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``outputs`` of a cell with the pieces of stdout and of stderr between two displays joined, and of a line that was
    redrawn (carriage returns) its last state. nbclient's ``coalesce_streams`` does so in a time that grows with the
    square of a line's length: minutes for one line of 200,000 characters."""
    merged: list[dict[str, Any]] = []
    streams: dict[str, dict[str, Any]] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            merged.append(output)
            streams = {}
        elif output["name"] in streams:
            streams[output["name"]]["text"] += "".join(output["text"])
        else:
            streams[output["name"]] = output | {"text": "".join(output["text"])}
            merged.append(streams[output["name"]])
    for output in merged:
        if output["output_type"] == "stream":
            lines = (line.removesuffix("\r").rpartition("\r")[2] for line in output["text"].split("\n"))
            output["text"] = "\n".join(lines)
    return merged


def kill_tree(pid: int) -> None:
    """SIGKILL to the process group of ``pid`` and to all below it: a kernel leads a session of its own, so the group
    alone would miss it. A process that is already gone is fine."""
    import psutil

    try:
        parent = psutil.Process(pid)
        tree = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if pid != os.getpid() and hasattr(os, "killpg") and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, 9)
            if process.pid != os.getpid():
                process.kill()


def _outcome(status: str, error: str) -> dict[str, Any]:
    """The first and last lines of ``error`` without terminal colours, short enough for the buffer of a pipe."""
    plain = [line[:300] for line in re.sub(r"\x1b\[[0-9;]*m", "", error).strip().splitlines()]
    return {"status": status, "error": "\n".join(plain if len(plain) <= 40 else [plain[0], "...", *plain[-38:]])}


def _own_kernel(folder: Path) -> None:
    """A kernelspec python3 of this very interpreter, found before any that the user or the system has, and private
    folders for connection files, history and start-up scripts."""
    home = folder / "jupyter"
    spec = home / "kernels" / "python3"
    spec.mkdir(parents=True, exist_ok=True)
    (spec / "kernel.json").write_text(json.dumps({
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                 "--log-level=ERROR"],
        "display_name": "Python 3 (ipykernel)", "language": "python"}))
    others = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(home) + (os.pathsep + others if others else "")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(home / "runtime")
    os.environ["IPYTHONDIR"] = str(home / "ipython")


def _any_cell_ran(executed: Path) -> bool:
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return False
    return any(cell["metadata"].get("papermill", {}).get("start_time") for cell in cells)


def _die_with_parent() -> None:
    while os.read(0, 1024):
        pass
    kill_tree(os.getpid())
    os._exit(1)


def main() -> None:
    # The outcome goes up a pipe and not into a file: "the disk is full" is an outcome too. The pipe is kept from the
    # kernel, whose own output goes where ours does.
    channel = os.dup(1)
    os.dup2(2, 1)
    path = Path(sys.argv[1])
    threading.Thread(target=_die_with_parent, daemon=True).start()
    outcome = execute(json.loads(path.read_text(encoding="utf-8")), path.parent)
    os.write(channel, json.dumps(outcome, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
