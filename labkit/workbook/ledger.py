"""The ledger: every claim and its verdict, built from nothing but executed notebooks.

A verdict is a display output of type ``application/vnd.labkit.verdict+json``. A notebook's newest good run on a dataset
speaks; runs of the smoke profile check that the code runs, and stay out unless they are asked for.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import records

MIMETYPE = "application/vnd.labkit.verdict+json"
COLUMNS = ("claim", "paper", "notebook", "says", "dataset", "effect", "low", "high", "runs", "verdict", "seconds",
           "device", "versions")
VERDICTS = ("supported", "contradicted", "inconclusive", "underpowered")
_NUMBERS = ("effect", "low", "high", "runs", "seconds")


def verdicts(executed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdict outputs of an executed notebook, as they stand in it."""
    outputs = (output for cell in executed.get("cells", ()) for output in cell.get("outputs", ()))
    found = (output.get("data", {}).get(MIMETYPE) for output in outputs)
    return [verdict for verdict in found if isinstance(verdict, dict)]


def rows(out: Path, profiles: Iterable[str] = ("report", "full")) -> list[dict[str, Any]]:
    """The ledger of the runs under ``out``: dictionaries with the keys COLUMNS, one per (claim, dataset, notebook), and
    ``run``, the folder (relative to ``out``) that a row comes from.

    Numbers are floats or None (NaN and infinity too: an effect that is no number is no effect). Raises ValueError
    naming the notebook whose verdict lacks its claim, its verdict or a known word for it.
    """
    profiles = tuple(profiles)
    newest: dict[tuple, tuple[Path, records.Record]] = {}
    for folder, record in records.gather(out):
        if record.status == "ok" and record.profile in profiles:
            # a whole run replaces the older one on the same dataset, so a claim that was withdrawn goes with it
            newest[record.notebook, json.dumps(record.parameters.get("dataset"))] = folder, record
    ledger: dict[tuple, dict[str, Any]] = {}
    for folder, record in sorted(newest.values(), key=lambda run: run[1].started):
        for verdict in verdicts_of(folder):
            row = _row(verdict, record, folder) | {"run": folder.relative_to(out).as_posix()}
            ledger[row["notebook"], row["claim"], row["dataset"]] = row
    return [ledger[key] for key in sorted(ledger)]


def verdicts_of(folder: Path) -> list[dict[str, Any]]:
    """The verdicts of a run's folder; none where the notebook is missing or was torn by a kill."""
    try:
        return verdicts(json.loads((folder / "executed.ipynb").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def _row(verdict: Mapping[str, Any], record: records.Record, folder: Path) -> dict[str, Any]:
    if not verdict.get("claim") or verdict.get("verdict") not in VERDICTS:
        raise ValueError(f"{folder / 'executed.ipynb'}: expected a verdict with a 'claim' and one of "
                         f"{', '.join(VERDICTS)}; got {verdict.get('claim')!r} and {verdict.get('verdict')!r}")
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    row = {name: str(verdict.get(name) or "") for name in COLUMNS}
    row |= {name: number(verdict.get(name)) for name in _NUMBERS}
    row["runs"] = None if row["runs"] is None else int(row["runs"])
    # a verdict on plain numbers knows no data set; the run was told one
    row["dataset"] = row["dataset"] or str(record.parameters.get("dataset") or "")
    return row | {"notebook": record.notebook, "device": row["device"] or record.device,
                  "versions": row["versions"] or versions}


def number(value: Any) -> float | None:
    """A finite number or None. A kernel sends NaN as the text "nan", because JSON has no such number."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def to_csv(ledger: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in ledger)
    return text.getvalue()


def to_markdown(ledger: Iterable[Mapping[str, Any]]) -> str:
    """A table for people: effect and interval in one column, versions left to the CSV."""
    head = ("claim", "paper", "notebook", "says", "dataset", "effect [95 %]", "runs", "verdict", "seconds", "device")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in ledger:
        cells = (row["claim"], row["paper"], row["notebook"], row["says"], row["dataset"], interval(row),
                 _cell(row["runs"]), f"**{row['verdict']}**", "" if row["seconds"] is None else f"{row['seconds']:.0f}",
                 row["device"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def interval(row: Mapping[str, Any]) -> str:
    """``+0.0123 [+0.0031, +0.0215]``; an effect that is no number is shown as a dash."""
    effect, low, high = (("–" if row[name] is None else f"{row[name]:+.4g}") for name in ("effect", "low", "high"))
    return f"{effect} [{low}, {high}]"


def papers(path: Path) -> dict[str, dict[str, str]]:
    """``papers.csv`` (columns key, authors, year, title, ...) by key; empty where there is no such file."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["key"]: row for row in csv.DictReader(file) if row.get("key")}


def save(ledger: list[dict[str, Any]], path: Path) -> None:
    """Writes ``ledger`` as what the name of ``path`` ends in: csv or md."""
    formats = {".csv": to_csv, ".md": to_markdown}
    if path.suffix not in formats:
        raise ValueError(f"--save takes a name that ends in {' or '.join(formats)}, got {path.name!r}; "
                         "the HTML ledger is made by `labkit report`")
    records.write_text(path, formats[path.suffix](ledger))
