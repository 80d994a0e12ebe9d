"""What the runner costs over plain papermill, and what a second run costs that has nothing to do.

    python benchmarks/runner.py [--notebooks 4] [--repeats 3]

Each way runs the same notebooks (a parameters cell and one line) one after another, as a person would call it:
papermill's command once a notebook, papermill in one process for all, ``labkit run`` for all with one worker. Printed:
seconds a notebook, the difference and ratio to both plain ways (medians over the repeats), and the seconds of a second
``labkit run`` in which everything is done. The runner's time includes its record, its HTML report, index and ledger.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CELLS = [(["parameters"], "seeds: int = 3  # how many runs (from 1)"), ([], "print(seeds)")]
LOOP = """import sys, papermill
for path in sys.argv[1:]:
    out = path.replace('notebooks', 'plain')
    papermill.execute_notebook(path, out, dict(seeds=4), kernel_name='python3', progress_bar=False)
"""


def write_notebooks(folder: Path, count: int) -> list[Path]:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{i}",
            "metadata": {"tags": tags},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for i, (tags, source) in enumerate(CELLS)
    ]
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    paths = [folder / "01_bench" / f"{i:02d}_tiny.ipynb" for i in range(1, count + 1)]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_text(
            json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells})
        )
    return paths


def seconds(*command: str, says: str = "", times: int = 0) -> float:
    """Wall clock of ``command``, whose output must hold ``says`` so many ``times``: a fast failure is no result."""
    start = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    taken = time.perf_counter() - start
    if says and output.count(says) != times:
        raise SystemExit(f"expected {says!r} {times} times, is labkit being edited? The output was:\n{output}")
    return taken


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--notebooks", type=int, default=4)
    arguments.add_argument("--repeats", type=int, default=3)
    asked = arguments.parse_args()
    times: dict[str, list[float]] = {
        "papermill's command": [],
        "papermill in one process": [],
        "labkit run": [],
        "labkit run, all done": [],
    }
    for _ in range(asked.repeats):
        with tempfile.TemporaryDirectory() as base:
            paths = [str(path) for path in write_notebooks(Path(base, "notebooks"), asked.notebooks)]
            Path(base, "plain", "01_bench").mkdir(parents=True)
            times["papermill's command"].append(
                sum(
                    seconds(
                        sys.executable,
                        "-m",
                        "papermill",
                        path,
                        path.replace("notebooks", "plain"),
                        "-p",
                        "seeds",
                        "4",
                        "--no-progress-bar",
                    )
                    for path in paths
                )
            )
            times["papermill in one process"].append(seconds(sys.executable, "-c", LOOP, *paths))
            run = (
                sys.executable,
                "-m",
                "labkit.cli",
                "run",
                "all",
                "-p",
                "seeds",
                "4",
                "--workers",
                "1",
                "--notebooks",
                str(Path(base, "notebooks")),
                "--out",
                str(Path(base, "out")),
            )
            times["labkit run"].append(seconds(*run, says="ok  ", times=asked.notebooks))
            times["labkit run, all done"].append(seconds(*run, says="done  ", times=asked.notebooks))
    middle = {way: median(values) for way, values in times.items()}
    print(f"{asked.notebooks} notebooks, medians of {asked.repeats}")
    for way, value in middle.items():
        print(f"{way:<26} {value:6.2f} s in all, {value / asked.notebooks:5.2f} s a notebook")
    for way in ("papermill's command", "papermill in one process"):
        added = (middle["labkit run"] - middle[way]) / asked.notebooks
        print(f"labkit run over {way}: {added:+.2f} s a notebook, {middle['labkit run'] / middle[way]:.2f} times")


if __name__ == "__main__":
    main()
