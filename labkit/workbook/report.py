"""``report.html``: an executed notebook as one page that needs no network.

Code is folded away, images are embedded, LaTeX becomes MathML, and no script, style sheet or image comes from outside.
On top: parameters, commit, device, versions and duration from the record.
"""

from __future__ import annotations

import html
import json
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import records
from .execute import light_imports
from .notebook import tags

_HERE = Path(__file__).parent
# latex2mathml reads these environments under other names
_ENVIRONMENTS = {"aligned": "split", "alignedat": "split", "gathered": "split", "gather": "split", "gather*": "split",
                 "dcases": "cases", "equation*": "equation"}
_CONVERTED = {"align", "align*", "array", "bmatrix", "Bmatrix", "cases", "equation", "matrix", "pmatrix", "smallmatrix",
              "split", "vmatrix", "Vmatrix"}  # of any other environment only its inside, or nothing, would be left
_FROM_OUTSIDE = re.compile(
    r"""<(script|iframe|link|img|source|video|audio|embed|object)\b[^>]*?\b(?:src|href|data)\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    r"""[^>]*>(?:\s*</\1>)?""", re.IGNORECASE)


def mathml(latex: str, block: bool = False) -> str:
    """``latex`` as a MathML element; the source in ``<code>`` where it cannot be converted.

    >>> mathml("x^2")[:5]
    '<math'
    """
    import latex2mathml.converter

    source = re.sub(r"\\(begin|end)\{(\w+\*?)\}",
                    lambda m: rf"\{m[1]}{{{_ENVIRONMENTS.get(m[2], m[2])}}}", latex.strip())
    try:
        if not set(re.findall(r"\\begin\{([^}]*)", source)) <= _CONVERTED:
            raise ValueError("an unknown environment")
        converted = latex2mathml.converter.convert(source, display="block" if block else "inline")
    except Exception:  # the converter fails in its own many ways (StopIteration among them); the reader gets the source
        converted = "\\"
    if "<mi>\\" in converted or converted == "\\":  # a command it does not know comes back with its backslash
        return f'<code class="latex">{html.escape(latex)}</code>'
    return re.sub(r"&(?!#?\w+;)", "&amp;", converted)


def without_outside(page: str) -> str:
    """``page`` with every script, style sheet, frame or image from the network replaced by a link to it."""
    return _FROM_OUTSIDE.sub(lambda m: f'<a href="{m[2]}">{m[1].lower()} left out: needs a network</a>', page)


@lru_cache(maxsize=1)
def exporter() -> Any:
    """The nbconvert exporter of our template; built once a process (its imports take about a second)."""
    with light_imports():
        from nbconvert.exporters.html import HTMLExporter
        from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from jinja2 import pass_context
    from pygments.formatters import HtmlFormatter

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return mathml(body, block=True)

        def inline_math(self, body: str) -> str:
            return mathml(body)

        def latex_environment(self, name: str, body: str) -> str:
            return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", block=True)

    class Exporter(HTMLExporter):
        @pass_context
        def markdown2html(self, context: Any, source: str) -> str:
            renderer = Renderer(escape=False, attachments=context.get("cell", {}).get("attachments", {}),
                                embed_images=True, exclude_anchor_links=True,
                                path=context.get("resources", {}).get("metadata", {}).get("path", ""))
            return MarkdownWithMath(renderer=renderer).render(source)

    made = Exporter(template_file=str(_HERE / "report.html.j2"), embed_images=True)
    made.register_filter("latex", lambda text: mathml(text.strip().strip("$"), block=text.strip().startswith("$$")))
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    made.code_css = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"
    return made


def render(folder: Path) -> Path:
    """Writes ``folder/report.html`` from its record and executed notebook; returns the path."""
    record = records.read(folder)
    with light_imports():
        import nbformat
    notebook = nbformat.from_dict(_joined(json.loads((folder / "executed.ipynb").read_text(encoding="utf-8"))))
    made = exporter()
    resources = {"metadata": {"path": str(folder), "name": record.title},
                 "labkit": {"record": record, "css": css(), "code_css": made.code_css, "facts": facts(record)}}
    page, _ = made.from_notebook_node(notebook, resources=resources)
    records.write_text(folder / "report.html", without_outside(page))
    return folder / "report.html"


def render_or_note(folder: Path) -> None:
    """``render``; what goes wrong with a page is told but does not lose a run that may have taken hours."""
    try:
        render(folder)
    except Exception as error:
        print(f"labkit: no report for {folder}: {type(error).__name__}: {error}", file=sys.stderr)


def facts(record: records.Record) -> list[tuple[str, str]]:
    """What stands on top of a report, as (name, value)."""
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    commit = record.commit[:12] + (" and uncommitted changes" if record.commit.endswith("+") else "")
    return [("profile", record.profile), ("duration", duration(record.seconds)),
            ("device", record.device or "not stated"), ("started", record.started.replace("T", " ")[:16] + " UTC"),
            ("commit", commit or "none"), ("versions", versions), ("run", record.key[:16])]


def duration(seconds: float) -> str:
    """``75`` as ``1 min 15 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@lru_cache(maxsize=1)
def css() -> str:
    return (_HERE / "page.css").read_text(encoding="utf-8")


def _joined(notebook: dict[str, Any]) -> dict[str, Any]:
    """Texts whole, which the format lets be lists of lines, and without the cells that papermill added: parameters and
    error stand on top of the page."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    notebook["cells"] = [cell for cell in notebook["cells"] if not added & set(tags(cell))]
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", ()):
            for name in ("text", *output.get("data", ())):
                place = output if name == "text" else output["data"]
                if isinstance(place.get(name), list) and not name.endswith("json"):
                    place[name] = "".join(place[name])
    return notebook
