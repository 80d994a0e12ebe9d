"""A papermill engine that runs a notebook's cells inside this process.

The runner of ``labkit run`` starts three processes a notebook, and each imports its libraries anew: seven of the ten
seconds a smoke run takes. The tests run one notebook of every topic that way and the others here, through papermill
all the same (parameters, record, order of cells), on one shell per notebook.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import matplotlib
import nbformat
import papermill
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from papermill.engines import Engine, papermill_engines

INLINE = "module://matplotlib_inline.backend_inline"


class InProcess(Engine):
    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **options):
        with fresh_shell() as shell:
            for index, cell in enumerate(nb_man.nb.cells):
                nb_man.cell_start(cell, index)
                if cell.cell_type == "code" and cell.source.strip():
                    cell.execution_count = index + 1
                    cell.outputs, error = run_cell(shell, cell.source)
                    if error is not None:
                        nb_man.cell_exception(cell, index, exception=error)
                        raise error
                nb_man.cell_complete(cell, index)


def run_cell(shell: InteractiveShell, source: str) -> tuple[list, BaseException | None]:
    """The outputs of one cell, as nbformat has them, and its error."""
    shell.display_pub = published = CapturingDisplayPublisher()
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=published.outputs)
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        result = shell.run_cell(source, store_history=False)
    outputs = [
        nbformat.v4.new_output("stream", name=name, text=text.getvalue())
        for name, text in (("stdout", said), ("stderr", complained))
        if text.getvalue()
    ]
    for shown in published.outputs:
        outputs.append(nbformat.v4.new_output("display_data", data=_texts(shown["data"]), metadata=shown["metadata"]))
    return outputs, result.error_before_exec or result.error_in_exec


def _texts(data: dict) -> dict:
    from base64 import b64encode

    return {kind: b64encode(v).decode() if isinstance(v, bytes) else v for kind, v in data.items()}


@contextlib.contextmanager
def fresh_shell():
    """An IPython shell with inline figures; afterwards matplotlib and the module path are as they were."""
    import matplotlib.pyplot as plt
    from IPython.core.pylabtools import activate_matplotlib
    from matplotlib_inline.backend_inline import configure_inline_support, flush_figures
    from matplotlib_inline.config import InlineBackend

    InlineBackend.clear_instance()  # it remembers the shell of the notebook before
    InteractiveShell.clear_instance()
    main = sys.modules["__main__"]
    shell = InteractiveShell.instance()
    before, path = matplotlib.rcParams.copy(), list(sys.path)
    configure_inline_support.current_backend = "unset"  # figure formats are set up once a process otherwise
    activate_matplotlib(INLINE)
    configure_inline_support(shell, INLINE)
    if flush_figures not in shell.events.callbacks["post_execute"]:
        shell.events.register("post_execute", flush_figures)
    try:
        yield shell
    finally:
        plt.close("all")
        plt.switch_backend("Agg")
        matplotlib.interactive(False)
        matplotlib.rcParams.update(before)
        sys.path[:] = path
        sys.modules["__main__"] = main
        InteractiveShell.clear_instance()


papermill_engines.register("in_process", InProcess)


def run_here(notebook: Path, parameters: dict, out: Path, environment: dict[str, str]) -> dict:
    """The executed notebook; ``environment`` holds for the run only."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        return papermill.execute_notebook(
            str(notebook), str(out), parameters=parameters, engine_name="in_process", kernel_name="python3",
            language="python", cwd=str(notebook.parent), progress_bar=False,
        )  # fmt: skip
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
