"""Student copies from the one source: cells tagged ``solution`` become a task that fails until it is done."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .notebook import Notebook, tags

TASK = 'raise NotImplementedError("your turn")'  # a placeholder value would run green and be wrong


def student_copy(notebook: Notebook) -> dict[str, Any]:
    """The notebook's JSON without solutions and outputs; a text cell that is a solution is left out."""
    content = copy.deepcopy(notebook.content)
    content["cells"] = [cell for cell in content["cells"]
                        if cell["cell_type"] == "code" or "solution" not in tags(cell)]
    for cell in content["cells"]:
        if "solution" in tags(cell):
            cell["source"] = TASK
            cell["metadata"]["tags"] = ["exercise" if tag == "solution" else tag for tag in tags(cell)]
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return content


def write_copies(notebooks: Iterable[Notebook], target: Path, *, force: bool = False) -> list[Path]:
    """Writes ``target/NN_topic/NN_slug.ipynb`` for each; returns the paths.

    Raises FileExistsError, before writing anything, where a copy exists: it may hold a student's work.
    """
    planned = {target / f"{notebook.name}.ipynb": notebook for notebook in notebooks}
    for path, notebook in planned.items():
        if path.exists() and path.resolve() == notebook.path.resolve():
            raise FileExistsError(f"{target} is the notebooks folder itself; student copies go to another folder")
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists and may hold somebody's work; choose another folder or pass --force")
    for path, notebook in planned.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(student_copy(notebook), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(beside, path)
    return list(planned)
