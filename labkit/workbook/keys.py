"""The name of a run: a hash of everything that decides its numbers.

In the key: the notebook's name and the types, sources and tags of its cells (not outputs, ids or timings), every
parameter, the profile, labkit's version and source files, and the data folder where a run may read from one. Not in
the key: versions of torch and the rest, the machine and the device; they are in the record. ``labkit run --force``
repeats a run anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .notebook import Notebook, tags, text

# data sets that may be read from LABKIT_DATA
FROM_FOLDERS = ("fashion_mnist", "cifar10", "cifar10h", "cifar10n", "adult", "senc", "candidate_sets", "local")
# These files stand around the kernel, not in it: a new report style is no reason to train again.
_OUTSIDE = ("cli.py", "workbook/")
_INSIDE = ("workbook/parameters.py", "workbook/execute.py")
_SAMPLE = 1 << 16  # bytes read at each end of a data file


def run_key(notebook: Notebook, parameters: Mapping[str, Any], profile: str) -> str:
    """The 64 hexadecimal digits that name this run; the folder is called after the first 16."""
    return _digest(notebook.name, source_digest(notebook), dict(parameters), profile, package_version(),
                   package_digest(), data_identity(notebook, parameters))


def source_digest(notebook: Notebook) -> str:
    """A hash of the cells as a person wrote them."""
    return _digest([[cell["cell_type"], text(cell), sorted(tags(cell))] for cell in notebook.cells])


@lru_cache(maxsize=1)
def package_digest() -> str:
    """A hash of labkit's source files, as far as a kernel runs them."""
    root = Path(__file__).resolve().parents[1]
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    kept = [name for name in names if name in _INSIDE or not name.startswith(_OUTSIDE)]
    return _digest([[name, hashlib.sha256((root / name).read_bytes()).hexdigest()] for name in kept])


def package_version(package: str = "labkit") -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def data_identity(notebook: Notebook, parameters: Mapping[str, Any]) -> str:
    """What tells one ``LABKIT_DATA`` folder from another: names, sizes and both ends of its files, not its path.

    Empty when no dataset of the run (parameters called ``dataset...``, else ``metadata.labkit.datasets``) is one of
    ``FROM_FOLDERS``, so that setting the variable does not repeat runs which never look there; empty too when it is
    unset: the download cache checks its own files. Raises FileNotFoundError when the variable names no folder.
    """
    named = [value for name, value in parameters.items() if name.startswith("dataset")]
    named = [item for value in named or [notebook.about.get("datasets", [])]
             for item in (value if isinstance(value, list) else [value])]
    folder = os.environ.get("LABKIT_DATA", "")
    if not folder or not any(name in FROM_FOLDERS for name in named):
        return ""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"LABKIT_DATA={folder} is not a folder, and the run wants "
                                f"{', '.join(map(str, named))}; set it to the folder that holds the data, or unset it")
    return _digest(*_folder_identity(Path(folder)))


def _folder_identity(folder: Path) -> list[list]:
    found = []
    for base, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(base) / name
            size = path.stat().st_size
            with path.open("rb") as file:  # same names and sizes with other values is how IDX files come
                ends = file.read(_SAMPLE)
                file.seek(max(0, size - _SAMPLE))
                ends += file.read(_SAMPLE)
            found.append([path.relative_to(folder).as_posix(), size, hashlib.sha256(ends).hexdigest()])
    return found


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
