"""Fills the README's ledger, speed tables and picture from what was measured; invents nothing.

make ledger                                                  # reports, data/ledger.csv, then this
python benchmarks/fleet.py --memory --save data/speed.json   # the speed tables' numbers
python benchmarks/sweeps.py --save data/sweeps.json
python benchmarks/readme.py --reports reports
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERDICTS = ("supported", "contradicted", "inconclusive", "underpowered")
PICTURE = ("01_smoothing/01_when_does_smoothing_help", "gaussians", "Calibration error")


def ledger_table(rows: list[dict]) -> str:
    """One folded table per notebook, its verdicts counted in the line that is always seen."""
    parts = []
    for notebook in sorted({row["notebook"] for row in rows}):
        mine = [row for row in rows if row["notebook"] == notebook]
        counts = Counter(row["verdict"] for row in mine)
        said = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
        lines = [
            f"<details><summary><b>{notebook}</b>: {said}</summary>\n",
            "| claim | paper | data | effect [95 %] | runs | verdict |",
            "|---|---|---|---|---|---|",
        ]
        for row in mine:
            effect, low, high = (f"{float(row[k]):+.4f}" for k in ("effect", "low", "high"))
            lines.append(
                f"| {row['says']} | {row['paper']} | {row['dataset']} | {effect} [{low}, {high}] "
                f"| {row['runs']} | **{row['verdict']}** |"
            )
        parts.append("\n".join([*lines, "\n</details>"]))
    return "\n".join(parts)


def speed_table(rows: list[dict]) -> str:
    lines = [
        "| model | plain loop, steps/s | fleet, steps/s | ratio | share of matrix rate | evaluation, bookkeeping |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{row['share of matrix rate']:.0%} (computed: {row['computed']:.0%})" if row["computed"] else "-"
        lines.append(
            f"| {row['case'].split(': ')[1]}, {row['runs']} runs | {row['plain steps/s']:,} | {row['fleet steps/s']:,} "
            f"| **{row['ratio']:.1f}** | {share} | {row['evaluation and bookkeeping']:.0%} |"
        )
    return "\n".join(lines)


def sweeps_table(rows: list[dict]) -> str:
    heads = ("sweep", "runs", "plain loop, s", "fleet, s", "ratio", "fleet again, s", "ratio")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    keys = ("runs", "plain s", "fleet s", "again s")
    for row in [*rows, {"sweep": "all", **{k: sum(row[k] for row in rows) for k in keys}}]:
        runs, plain, first, again = (row[k] for k in keys)
        lines.append(
            f"| {row['sweep'].replace('_', ' ')} | {runs} | {plain:,.0f} | {first:.1f} | **{plain / first:.1f}** "
            f"| {again:.1f} | **{plain / again:.1f}** |"
        )
    return "\n".join(lines)


def fill(text: str, mark: str, content: str) -> str:
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def picture(reports: Path) -> bytes | None:
    """The figure under the cell that draws it, from the newest executed notebook of that data set."""
    notebook, dataset, words = PICTURE
    for record in sorted(reports.glob(f"{notebook}/*/record.json"), key=lambda p: p.stat().st_mtime, reverse=True):
        if json.loads(record.read_text())["parameters"].get("dataset") != dataset:
            continue
        for cell in json.loads((record.parent / "executed.ipynb").read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code" and words in "".join(cell["source"]):
                for output in cell["outputs"]:
                    if "image/png" in output.get("data", {}):
                        return base64.b64decode(output["data"]["image/png"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    reports = parser.parse_args().reports
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with (ROOT / "data" / "ledger.csv").open(newline="", encoding="utf-8") as file:
        text = fill(text, "ledger", ledger_table(list(csv.DictReader(file))))
    for name, table in (("speed", speed_table), ("sweeps", sweeps_table)):
        text = fill(text, name, table(json.loads((ROOT / "data" / f"{name}.json").read_text())))
    if (found := picture(reports)) is not None:
        (ROOT / "data" / "readme.png").write_bytes(found)
    (ROOT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
