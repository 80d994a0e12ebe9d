"""The notebook contract, checked without running anything: what continuous integration refuses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .notebook import PROFILES, Notebook, tags, text

LONGEST_CELL = 25  # lines of code; what is longer belongs into the package
FIELDS = {"title": str, "question": str, "minutes": dict, "gpu": bool, "datasets": list, "papers": list}
_INSTALL = re.compile(r"^\s*[!%]\s*(pip|conda|mamba|uv)\b|\bpip3?\s+install\b", re.MULTILINE)
_ABSOLUTE = re.compile(r"(/[\w.-]+){2,}/?|/(home|tmp|mnt|data|content|root)\b.*|~/.*|[A-Za-z]:[\\/].*")
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def check_notebook(path: Path) -> list[str]:
    """What is wrong with the notebook at ``path``, one sentence each; an empty list is a good notebook."""
    notebook = Notebook(f"{path.parent.name}/{path.stem}", path)
    try:
        notebook.content  # noqa: B018  (reading it is the first check)
    except ValueError as error:
        return [str(error)]
    return [*_metadata(notebook), *_parameters(notebook), *_cells(notebook)]


def _metadata(notebook: Notebook) -> Iterator[str]:
    if not re.fullmatch(r"\d\d_\w+/\d\d_\w+", notebook.name):
        yield f"its name is {notebook.name!r}; expected NN_topic/NN_slug"
    spec = notebook.content.get("metadata", {}).get("kernelspec", {})
    if (spec.get("name"), spec.get("language")) != ("python3", "python"):
        yield (f"the kernelspec is {spec.get('name')!r} with language {spec.get('language')!r}; expected exactly name "
               "'python3' and language 'python'")
    for name, kind in FIELDS.items():
        if not isinstance(notebook.about.get(name), kind) or notebook.about[name] == "":
            yield f"metadata.labkit.{name} is {notebook.about.get(name)!r}; expected {_article(kind)}"
    minutes = notebook.about.get("minutes")
    if isinstance(minutes, dict):
        for profile in PROFILES:
            if isinstance(minutes.get(profile), bool) or not isinstance(minutes.get(profile), (int, float)):
                yield f"metadata.labkit.minutes.{profile} is {minutes.get(profile)!r}; expected a number of minutes"


def _parameters(notebook: Notebook) -> Iterator[str]:
    try:
        if not notebook.parameters:
            yield "the parameters cell declares nothing; expected `name: type = literal  # help` lines"
        for parameter in notebook.parameters:
            if not parameter.help:
                yield f"parameter {parameter.name!r} has no help; say what it does after a #"
    except ValueError as error:
        yield str(error).removeprefix(f"{notebook.name}: ")


def _cells(notebook: Notebook) -> Iterator[str]:
    for number, cell in enumerate(notebook.cells, start=1):
        source = text(cell)
        if cell["cell_type"] == "markdown":
            if re.search(r"!\[[^\]]*\]\(\s*(https?:)?//|<(img|script|iframe)[^>]+(https?:)?//", source):
                yield f"cell {number} shows an image or script from the network; keep it beside the notebook or make it"
            continue
        if cell["cell_type"] != "code":
            continue
        if cell.get("outputs") or cell.get("execution_count") is not None:
            yield f"cell {number} has outputs saved in it; strip them (nbstripout NOTEBOOK) before committing"
        lines = len(source.rstrip().splitlines())
        if lines > LONGEST_CELL and "parameters" not in tags(cell):
            yield f"cell {number} has {lines} lines; move what is over {LONGEST_CELL} into the package"
        if _INSTALL.search(source):
            yield f"cell {number} installs something; the environment is made once, outside (README)"
        yield from (f"cell {number} {problem}" for problem in _code(source))


def _code(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(_MAGIC.sub(r"\1pass", source))
    except SyntaxError as error:
        yield f"does not parse: line {error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ABSOLUTE.fullmatch(node.value):
            yield f"names the absolute path {node.value!r}; data come through labkit, files go to LABKIT_RUN_FOLDER"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "input":
            yield "calls input(); nobody answers a headless run, make it a parameter"
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path":
            yield "touches sys.path; labkit is installed with `pip install -e .`"


def _article(kind: Any) -> str:
    return {str: "a text", dict: "a mapping smoke/report/full to minutes", bool: "true or false", list: "a list"}[kind]
