from __future__ import annotations

import re

import pytest

from labkit.workbook import index

VERDICT = {"claim": "c <1>", "paper": "a1", "says": "x & y", "dataset": "digits", "effect": 0.5, "low": 0.25,
           "high": 1.0, "runs": 20, "verdict": "supported", "seconds": None}


@pytest.fixture
def out(fake_run, tmp_path):
    out = tmp_path / "out"
    about = {"title": "Does <it> help?", "question": "Why & when?"}
    fake_run(out, "01_smoothing/01_when", "k1", [VERDICT], about=about, started="2026-01-01T10:00")
    both = [VERDICT, VERDICT | {"claim": "d", "verdict": "contradicted"}]
    fake_run(out, "01_smoothing/01_when", "k2", both, about=about, started="2026-02-01T10:00")
    failed = fake_run(out, "02_noise/01_elr", "k3.failed", status="failed", error="In [2]: E: <b>\nmore")
    (failed / "executed.ipynb").unlink()  # killed before it began
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "papers.csv").write_text(
        "key,authors,year,title,topic,notebook,status\na1,A & B,2020,On T,s,n,d\n")
    return out


def test_cards_ledger_and_links(out, tmp_path):
    page = index.build(out, tmp_path / "notebooks").read_text()
    for text in ("Does &lt;it&gt; help?", "Why &amp; when?", "1 earlier run<", "Smoothing</h2>", "Noise</h2>",
                 "2 claims", "In [2]: E: &lt;b&gt;", "1 contradicted", "dataset=digits", "2026-02-01 10:00", "12.0 s"):
        assert text in page, text
    assert "more" not in page and 'href="02_noise/01_elr/k3.failed/record.json"' in page
    both = page + (out / "ledger.html").read_text()
    links = re.findall(r'href="([^"]+)"', both)
    assert "01_smoothing/01_when/k2/report.html" in links
    for link in links:
        assert (out / link).is_file(), link
    assert "http" not in both and "<script" not in both


def test_the_html_ledger_names_the_papers(out, tmp_path):
    index.build(out, tmp_path / "notebooks")
    page = (out / "ledger.html").read_text()
    assert "A &amp; B (2020): On T" in page and "+0.5 [+0.25, +1]" in page and "c &lt;1&gt;" in page
    index.build(out)
    assert "<td>a1</td>" in (out / "ledger.html").read_text()  # without the table, the key
    assert (out / "ledger.csv").read_text().count("\n") == 3 and (out / "ledger.md").read_text().count("\n") == 4


def test_missing_reports_are_made_and_nothing_is_written_twice(out):
    index.build(out)
    assert (out / "01_smoothing/01_when/k1/report.html").is_file()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    index.build(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == before
    page = out / "01_smoothing/01_when/k1/report.html"
    page.write_text("old style")
    index.build(out)
    assert page.read_text() == "old style"
    index.build(out, render_again=True)
    assert "<main>" in page.read_text()


def test_an_empty_folder_says_what_to_do(tmp_path):
    page = index.build(tmp_path).read_text()
    assert "No runs here yet" in page and "0 claims" in page
    assert "No verdicts yet" in (tmp_path / "ledger.html").read_text()
