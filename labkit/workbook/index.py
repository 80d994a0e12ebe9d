"""The pages over many runs: ``index.html`` with a card per notebook, and the ledger in its three forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import ledger, records
from .report import css, duration, render_or_note


def build(out: Path, notebooks: Path | None = None, profiles: Iterable[str] = ("report", "full"), *,
          render_again: bool = False) -> Path:
    """Writes ``index.html``, ``ledger.csv``, ``ledger.md`` and ``ledger.html`` into ``out``; returns the index.

    ``notebooks`` is the notebooks folder, beside whose parent ``data/papers.csv`` names the papers. Reports that are
    missing are made; with ``render_again`` all of them are. Files that would not change are left as they are.
    """
    runs = list(records.gather(out))
    for folder, _ in runs:
        if (folder / "executed.ipynb").is_file() and (render_again or not (folder / "report.html").is_file()):
            render_or_note(folder)
    rows = ledger.rows(out, profiles)
    known = ledger.papers(notebooks.parent / "data" / "papers.csv") if notebooks else {}
    records.write_text(out / "ledger.csv", ledger.to_csv(rows))
    records.write_text(out / "ledger.md", ledger.to_markdown(rows))
    page = _environment()
    counts = Counter(row["verdict"] for row in rows)
    shared = {"css": css(), "counts": [(verdict, counts[verdict]) for verdict in ledger.VERDICTS if counts[verdict]]}
    rows_shown = [row | {"interval": ledger.interval(row), "source": cite(row["paper"], known)} for row in rows]
    records.write_text(out / "ledger.html", page.get_template("ledger.html.j2").render(rows=rows_shown, **shared))
    records.write_text(out / "index.html", page.get_template("index.html.j2").render(
        topics=cards(out, runs), claims=len(rows), **shared))
    return out / "index.html"


def cards(out: Path, runs: list[tuple[Path, records.Record]]) -> dict[str, list[dict[str, Any]]]:
    """By topic, one card per notebook and data set, as in the ledger: the newest run, and links to the earlier ones."""
    by_notebook: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for folder, record in reversed(runs):  # newest first
        counts = Counter(str(verdict.get("verdict")) for verdict in ledger.verdicts_of(folder))
        page = next(name for name in ("report.html", "executed.ipynb", "record.json") if (folder / name).is_file())
        by_notebook.setdefault((record.notebook, str(record.parameters.get("dataset", ""))), []).append({
            "record": record, "took": duration(record.seconds), "counts": sorted(counts.items()),
            "link": (folder / page).relative_to(out).as_posix(), "when": record.started.replace("T", " ")[:16],
            "parameters": ", ".join(f"{name}={value}" for name, value in record.parameters.items()),
            "error": record.error.splitlines()[0] if record.error else ""})
    topics: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(by_notebook):
        newest, *earlier = by_notebook[name]
        topics.setdefault(name[0].split("/")[0], []).append(newest | {"earlier": earlier})
    return topics


def cite(key: str, known: dict[str, dict[str, str]]) -> str:
    """``Authors (year): Title`` of a paper's key; the key itself when the table does not have it."""
    paper = known.get(key)
    return f"{paper['authors']} ({paper['year']}): {paper['title']}" if paper else key


def _environment() -> Any:
    import jinja2
    return jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True)
