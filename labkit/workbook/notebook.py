"""Finding and reading notebooks. Plain JSON: nbformat costs seconds to import and listing needs none of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..names import nearest
from .parameters import Parameter, parse

PROFILES = ("smoke", "report", "full")


@dataclass(frozen=True)
class Notebook:
    """A notebook file and its name ``NN_topic/NN_slug``, which is also its place under the output folder."""

    name: str
    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The file's JSON. Raises ValueError when it is no notebook of format 4."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path}: not a notebook, the file is not JSON ({error}); restore it") from None
        if not isinstance(content, dict) or content.get("nbformat") != 4 or not isinstance(content.get("cells"), list):
            raise ValueError(f"{self.path}: expected a notebook of format 4 with cells; save it again in JupyterLab")
        return content

    @property
    def cells(self) -> list[dict[str, Any]]:
        return self.content["cells"]

    @property
    def about(self) -> dict[str, Any]:
        """``metadata.labkit``: title, question, minutes, gpu, datasets, papers; empty when missing."""
        return self.content.get("metadata", {}).get("labkit", {})

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The declared parameters. Raises ValueError without exactly one parameters cell or with a bad line in it."""
        found = [cell for cell in self.cells if "parameters" in tags(cell)]
        if len(found) != 1 or found[0]["cell_type"] != "code":
            raise ValueError(f"{self.name}: expected one code cell tagged 'parameters', found {len(found)} tagged; "
                             "tag the cell that holds `name: type = literal  # help` lines")
        try:
            return parse(text(found[0]))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    @property
    def kernel_problem(self) -> str:
        """Why this notebook cannot run in the project's own kernel, or an empty string."""
        spec = self.content.get("metadata", {}).get("kernelspec", {})
        if spec.get("name", "python3") == "python3" and spec.get("language", "python") == "python":
            return ""
        return (f"its kernel is {spec.get('name')!r} ({spec.get('language', 'no language')}), expected 'python3' "
                "(python): choose 'Python 3 (ipykernel)' in JupyterLab and save")

    @property
    def has_outputs(self) -> bool:
        return any(cell.get("outputs") or cell.get("execution_count") for cell in self.cells)


def text(cell: dict[str, Any]) -> str:
    """The source of a cell, which the format stores as a string or as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def tags(cell: dict[str, Any]) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def folder_of_notebooks(given: Path | None = None) -> Path:
    """``given``, or the nearest ``notebooks`` folder in or above the working directory, or the one beside the package.
    Raises FileNotFoundError when there is none."""
    if given is not None:
        if not given.is_dir():
            raise FileNotFoundError(f"{given} is not a folder; --notebooks names the one of NN_topic/NN_slug.ipynb")
        return given.resolve()
    here = Path.cwd()
    for base in (here, *here.parents, Path(__file__).resolve().parents[2]):
        # a folder that is merely called notebooks (of somebody's other project) has no numbered topics in it
        if (base / "notebooks").is_dir() and any((base / "notebooks").glob("[0-9][0-9]_*")):
            return (base / "notebooks").resolve()
    raise FileNotFoundError("no folder called notebooks here or above; run inside the repository or pass --notebooks")


def find(root: Path) -> list[Notebook]:
    """All notebooks under ``root`` in order of their names."""
    return [Notebook(f"{path.parent.name}/{path.stem}", path) for path in sorted(root.glob("*/*.ipynb"))]


def select(notebooks: Iterable[Notebook], selectors: Iterable[str]) -> list[Notebook]:
    """The notebooks that any of ``selectors`` means: ``all``, a topic (``smoothing`` or ``01_smoothing``), any part of
    the name, or the path of an ipynb file. Raises ValueError with the nearest names for one that means nothing."""
    notebooks = list(notebooks)
    chosen: dict[str, Notebook] = {}
    for selector in selectors:
        for notebook in _meant(notebooks, selector):
            chosen[notebook.name] = notebook
    return [chosen[name] for name in sorted(chosen)]


def _meant(notebooks: list[Notebook], selector: str) -> list[Notebook]:
    path = Path(selector)
    if selector.endswith(".ipynb") and path.is_file():
        path = path.resolve()
        return [Notebook(f"{path.parent.name}/{path.stem}", path)]
    word = selector.lower().strip("/").removesuffix(".ipynb").removeprefix("notebooks/")
    if word == "all":
        return notebooks
    # a whole topic or a whole slug first, so that `smoothing` does not also run another topic's smoothing notebook
    for part in (lambda n: n.name.split("/")[0], lambda n: n.name.split("/")[-1]):
        exact = [n for n in notebooks if word in (part(n), part(n).lstrip("0123456789").lstrip("_"))]
        if exact:
            return exact
    found = [n for n in notebooks if word and word in n.name.lower()]
    if not found:
        known = {p.lstrip("0123456789").lstrip("_") for n in notebooks for p in n.name.split("/")} | {"all"}
        raise ValueError(f"no notebook is called {selector!r}; {nearest(word, known)}")
    return found
