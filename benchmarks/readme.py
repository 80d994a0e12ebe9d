"""Fills the README's ledger, speed tables and picture from what was measured; invents nothing.

make ledger                                                  # reports, data/ledger.csv, then this
python benchmarks/fleet.py --memory --save data/speed.json   # the speed tables' numbers
python benchmarks/sweeps.py --save data/sweeps.json
python benchmarks/count_loss.py --save data/count_loss.json
python benchmarks/metrics.py --save data/metrics_speed.json
python benchmarks/readme.py --reports reports
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
VERDICTS = ("supported", "contradicted", "inconclusive", "underpowered")
PICTURE = ("01_smoothing/01_when_does_smoothing_help", "gaussians", "Calibration error")
# accuracy in per cent with 95 % intervals on Fashion-MNIST: notebook, words of the cell that shows the table, heading
REFERENCES = {
    "bag_sizes": ("03_proportions/02_accuracy_by_bag_size", "agg(cell)", "Label proportions: members per bag"),
    "candidate_sets": (
        "04_partial/09_every_method_by_ambiguity", "assign(cost=", "Candidate sets: how often a wrong class is in one",
    ),
}
NUMBERS = re.compile(r"(\d+\.\d)(?: ± (\d+\.\d)| \[(-?\d+\.\d), (-?\d+\.\d)\])")


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
            effect, low, high = (f"{float(row[k]):+.4f}" if row[k] else "-" for k in ("effect", "low", "high"))
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


def counts_table(measured: dict) -> str:
    """The step against the proportion loss, the cost by bag size, and what many classes cost and lose."""
    step = next(row for row in measured["step"] if row["compiled"])
    sizes = [row for row in measured["sizes"] if "bag size" in row]
    growth = next(row for row in measured["sizes"] if "growth exponent per bag, from 256" in row)
    shown = [row for row in sizes if row["bag size"] in (16, 64, 256, 1024, 4096)]
    lines = [
        f"{step['step']}: a step takes {step['count likelihood ms']:.0f} ms with the exact count likelihood and "
        f"{step['proportion loss ms']:.0f} ms with the proportion loss, **{step['ratio']:.2f}** times "
        f"({step['ratios from']:.2f} to {step['to']:.2f} over turns).",
        "",
        "| two classes, bag of | " + " | ".join(f"{row['bag size']:,}" for row in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
        "| exact loss and gradient, ms a bag | " + " | ".join(f"{row['exact ms per bag']:.3g}" for row in shown) + " |",
        "",
        f"From 256 on it grows with the power {growth['growth exponent per bag, from 256']:.2f} of the bag size.",
        "",
        "| classes | bag | exact, ms | saddlepoint, ms | its largest error, nats | of a posterior: largest | mean |",
        "|---" * 7 + "|",
    ]
    for row in measured["classes"]:
        lines.append(
            f"| {row['classes']} | {row['bag size']} | {row['exact ms']:.2f} | {row['saddlepoint ms']:.2f} "
            f"| {row['error in nats']:.2f} | {row['error of a posterior']:.3f} | {row['its mean']:.4f} |"
        )
    return "\n".join(lines)


def metrics_table(measured: dict) -> str:
    """Milliseconds per run and metric on both sides, for each size of the test set."""
    sizes = measured["sizes"]
    heads = [f"{s['examples']:,} examples: labkit, ms | peer, ms | ratio" for s in sizes]
    lines = [f"| metric | peer | {' | '.join(heads)} |", "|---" * (2 + 3 * len(sizes)) + "|"]
    for rows in zip(*(s["metrics"] for s in sizes)):
        cells = [f"{row['labkit ms']:.2f} | {row['peer ms']:.2f} | **{row['ratio']:.1f}**" if row["peer"]
                 else f"{row['labkit ms']:.2f} | - | -" for row in rows]  # fmt: skip
        lines.append(f"| {rows[0]['metric']} | {rows[0]['peer'] or '-'} | {' | '.join(cells)} |")
    cells = [f"| | **{s['ratio']:.1f}**" for s in sizes]
    return "\n".join([*lines, f"| the ten with a peer, one by one | | {' | '.join(cells)} |"])


def reference_rows(html: str) -> list[dict]:
    """A table of a notebook, methods by settings, as tidy rows: method, setting, mean, low, high (per cent)."""
    table = ElementTree.fromstring(html[html.index("<table") : html.index("</table>") + len("</table>")])
    lines = [["".join(cell.itertext()).strip() for cell in row] for row in table.iter("tr")]
    settings, rows = lines[0][1:], []
    for method, *cells in (line for line in lines[1:] if any(line[1:])):  # not the line with the index's name
        for setting, cell in zip(settings, cells):
            if found := NUMBERS.fullmatch(cell):
                mean, half, low, high = found.groups()
                bounds = (float(mean) - float(half), float(mean) + float(half)) if half else (float(low), float(high))
                rows.append({"method": method, "setting": setting, "mean": float(mean)}
                            | {name: round(bound, 1) for name, bound in zip(("low", "high"), bounds)})  # fmt: skip
    return rows


def reference_table(rows: list[dict]) -> str:
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    lines = [f"| method | {' | '.join(settings)} |", "|---" * (len(settings) + 1) + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = {row["setting"]: row for row in rows if row["method"] == method}
        cells = ["{mean} [{low}, {high}]".format(**mine[s]) if s in mine else "-" for s in settings]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def executed(reports: Path, notebook: str, dataset: str):
    """Cells of the newest good runs of a notebook on a data set, newest first, with the run's record."""
    for path in sorted(reports.glob(f"{notebook}/*/record.json"), key=lambda p: p.stat().st_mtime, reverse=True):
        record = json.loads(path.read_text())
        if record["status"] == "ok" and record["parameters"].get("dataset") == dataset:
            for cell in json.loads((path.parent / "executed.ipynb").read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    yield record, "".join(cell["source"]), [output.get("data", {}) for output in cell["outputs"]]


def references(reports: Path) -> str:
    """data/reference_*.csv from full runs among the reports, and all of them as tables for the README."""
    parts = []
    for name, (notebook, words, heading) in REFERENCES.items():
        path = ROOT / "data" / f"reference_{name}.csv"
        for record, source, outputs in executed(reports, notebook, "fashion_mnist"):
            if record["profile"] == "full" and words in source:
                rows = reference_rows(next("".join(data["text/html"]) for data in outputs if "text/html" in data))
                with path.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
                break
        if path.exists():
            short = notebook.split("/")[1].split("_", 1)[1]
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            parts += [f"{heading} (`labkit run {short} --profile full`):", reference_table(rows)]
    return "\n\n".join(parts)


def fill(text: str, mark: str, content: str) -> str:
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def picture(reports: Path) -> bytes | None:
    """The figure under the cell that draws it, from the newest executed notebook of that data set."""
    notebook, dataset, words = PICTURE
    for _, source, outputs in executed(reports, notebook, dataset):
        if words in source:
            for data in outputs:
                if "image/png" in data:
                    return base64.b64decode(data["image/png"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    reports = parser.parse_args().reports
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with (ROOT / "data" / "ledger.csv").open(newline="", encoding="utf-8") as file:
        text = fill(text, "ledger", ledger_table(list(csv.DictReader(file))))
    for name, table in (("speed", speed_table), ("sweeps", sweeps_table), ("count_loss", counts_table),
                        ("metrics_speed", metrics_table)):  # fmt: skip
        text = fill(text, name, table(json.loads((ROOT / "data" / f"{name}.json").read_text())))
    text = fill(text, "references", references(reports))
    if (found := picture(reports)) is not None:
        (ROOT / "data" / "readme.png").write_bytes(found)
    (ROOT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
