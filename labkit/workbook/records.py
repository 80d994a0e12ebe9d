"""``record.json``: the only truth about how a run ended. Papermill's own metadata says "completed" of killed runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

STATUSES = ("ok", "failed", "timeout", "killed", "widget_error")


@dataclass(frozen=True)
class Record:
    """One run. ``started`` is UTC in ISO form, ``seconds`` wall clock, ``cells`` seconds per executed cell."""

    status: str
    notebook: str
    key: str
    profile: str
    parameters: dict[str, Any]
    started: str
    seconds: float
    error: str = ""
    cells: list[float] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    device: str = ""
    worker: str = "local"
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; expected one of {', '.join(STATUSES)}")

    @property
    def title(self) -> str:
        return self.about.get("title", self.notebook)


def write(folder: Path, record: Record) -> None:
    write_text(folder / "record.json", json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def read(folder: Path) -> Record:
    """The record in ``folder``. Raises FileNotFoundError without one, ValueError for one that is damaged."""
    path = folder / "record.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{f.name: content[f.name] for f in fields(Record) if f.name in content})
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a record ({error}); delete its folder and run again") from None


def finished(folder: Path) -> bool:
    """Whether ``folder`` holds a run that ended well and need not be repeated."""
    try:
        return read(folder).status == "ok"
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def gather(out: Path) -> Iterator[tuple[Path, Record]]:
    """Every run under ``out`` (``topic/slug/key``), oldest first; a damaged record is named on stderr and left out."""
    found = []
    for path in out.glob("*/*/*/record.json"):
        if path.parent.name.startswith(".") or path.relative_to(out).parts[0] == "checkpoints":
            continue  # still being written, left behind by a killed runner, or a fleet's own file
        try:
            found.append((path.parent, read(path.parent)))
        except ValueError as error:
            print(f"labkit: {error}", file=sys.stderr)
    yield from sorted(found, key=lambda run: (run[1].started, str(run[0])))


def write_text(path: Path, content: str) -> bool:
    """Writes beside and renames; returns whether anything changed. Two writers at once leave one whole file."""
    try:
        if path.read_text(encoding="utf-8") == content:
            return False
    except (OSError, UnicodeDecodeError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(content, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True
