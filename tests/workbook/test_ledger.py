from __future__ import annotations

import csv
import io

import pytest

from labkit.workbook import ledger
from labkit.workbook.ledger import COLUMNS, number, rows

VERDICT = {"claim": "ece-falls", "paper": "muller2019smoothing", "says": "smoothing lowers ECE | a lot",
           "dataset": "digits", "effect": 0.0123456789, "low": 0.01, "high": 0.02, "boot_low": 0.01, "boot_high": 0.02,
           "runs": 20, "verdict": "supported", "margin": 0.005, "metric": "ece", "unit": "", "seconds": 3.0,
           "device": "cpu", "versions": "torch 2.13.0"}


def test_the_columns_are_the_documented_ones():
    assert COLUMNS == ("claim", "paper", "notebook", "says", "dataset", "effect", "low", "high", "runs", "verdict",
                       "seconds", "device", "versions")


def test_a_verdict_becomes_a_row(fake_run, tmp_path):
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT])
    row, = rows(tmp_path)
    stated = {name: value for name, value in VERDICT.items() if name in COLUMNS}
    assert row | stated == row
    assert row["notebook"] == "01_a/01_b" and row["run"] == "01_a/01_b/k1"


def test_missing_and_impossible_numbers_are_empty(fake_run, tmp_path):
    odd = {"effect": "nan", "low": float("nan"), "high": float("-inf"), "runs": None, "seconds": None}
    fake_run(tmp_path, "01_a/01_b", "k1", [{"claim": "c", "verdict": "underpowered"} | odd])
    row, = rows(tmp_path)
    assert [row[name] for name in ("effect", "low", "high", "runs", "seconds")] == [None] * 5
    assert row["device"] == "cpu" and row["versions"] == "python 3.11.7, labkit 0.1.0"  # from the record
    assert ledger.to_csv([row]).splitlines()[1] == (
        'c,,01_a/01_b,,digits,,,,,underpowered,,cpu,"python 3.11.7, labkit 0.1.0"')
    assert "– [–, –]" in ledger.to_markdown([row])
    assert [number(v) for v in ("1.5", 2, True, "x", [])] == [1.5, 2.0, 1.0, None, None]


def test_the_newest_good_run_speaks_for_a_dataset(fake_run, tmp_path):
    old, new = "2026-01-01", "2026-02-01"
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT, VERDICT | {"claim": "withdrawn"}], started=old)
    fake_run(tmp_path, "01_a/01_b", "k2", [VERDICT | {"verdict": "contradicted"}], started=new)
    wine = VERDICT | {"dataset": "wine", "verdict": "inconclusive"}
    fake_run(tmp_path, "01_a/01_b", "k3", [wine], started=old, parameters={"dataset": "wine"})
    fake_run(tmp_path, "01_a/01_b", "k4.failed", [VERDICT], started="2026-03", status="failed")
    assert [(row["claim"], row["dataset"], row["verdict"]) for row in rows(tmp_path)] == [
        ("ece-falls", "digits", "contradicted"), ("ece-falls", "wine", "inconclusive")]


def test_a_verdict_without_a_data_set_takes_that_of_its_run(fake_run, tmp_path):
    bare = VERDICT | {"dataset": ""}
    for key, name in (("k1", "drawn"), ("k2", "cifar10")):
        fake_run(tmp_path, "01_a/01_b", key, [bare], parameters={"dataset": name})
    assert [row["dataset"] for row in rows(tmp_path)] == ["cifar10", "drawn"]


def test_smoke_verdicts_stay_out_unless_asked_for(fake_run, tmp_path):
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT], profile="smoke", started="2026-05-01")
    assert rows(tmp_path) == []
    fake_run(tmp_path, "01_a/01_b", "k2", [VERDICT | {"runs": 99}], profile="full", started="2026-01-01")
    assert [row["runs"] for row in rows(tmp_path)] == [99]
    assert [row["runs"] for row in rows(tmp_path, ["smoke"])] == [20]


def test_two_verdicts_of_one_claim_on_one_dataset_are_one_row_and_two_notebooks_are_two(fake_run, tmp_path):
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT, VERDICT | {"runs": 5}])
    fake_run(tmp_path, "01_a/02_c", "k2", [VERDICT])
    assert [(row["notebook"], row["runs"]) for row in rows(tmp_path)] == [("01_a/01_b", 5), ("01_a/02_c", 20)]


@pytest.mark.parametrize("change", [{"claim": None}, {"claim": ""}, {"verdict": "true"}, {"verdict": None}])
def test_a_verdict_that_is_none_is_an_error_naming_the_notebook(fake_run, tmp_path, change):
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT | change])
    with pytest.raises(ValueError, match=r"k1/executed.ipynb: expected a verdict with a 'claim' and one of supported"):
        rows(tmp_path)


def test_a_torn_notebook_has_no_verdicts(fake_run, tmp_path):
    folder = fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT])
    (folder / "executed.ipynb").write_text('{"cells": [')
    assert rows(tmp_path) == []


def test_csv_and_markdown_hold_the_same_rows(fake_run, tmp_path):
    fake_run(tmp_path, "01_a/01_b", "k1", [VERDICT])
    found = rows(tmp_path)
    read, = csv.DictReader(io.StringIO(ledger.to_csv(found)))
    assert list(read) == list(COLUMNS) and read["effect"] == "0.0123457" and read["says"] == VERDICT["says"]
    line = ledger.to_markdown(found).splitlines()[2]
    assert r"smoothing lowers ECE \| a lot" in line and "+0.01235 [+0.01, +0.02]" in line and "**supported**" in line
    assert ledger.to_markdown([]).count("\n") == 2


def test_save_goes_by_the_name(tmp_path):
    ledger.save([], tmp_path / "deep" / "ledger.csv")
    assert (tmp_path / "deep" / "ledger.csv").read_text() == ",".join(COLUMNS) + "\n"
    with pytest.raises(ValueError, match=r"ends in .csv or .md, got 'ledger.xls'"):
        ledger.save([], tmp_path / "ledger.xls")


def test_papers_are_read_by_key(tmp_path):
    assert ledger.papers(tmp_path / "papers.csv") == {}
    (tmp_path / "papers.csv").write_text("key,authors,year,title\na1,\"A, B\",2020,T\n,x,1,y\n")
    known = ledger.papers(tmp_path / "papers.csv")
    assert known == {"a1": {"key": "a1", "authors": "A, B", "year": "2020", "title": "T"}}
