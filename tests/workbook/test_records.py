from __future__ import annotations

import pytest

from labkit.workbook import records
from labkit.workbook.records import Record


def record(**fields):
    return Record(**{"status": "ok", "notebook": "01_a/01_b", "key": "k", "profile": "report", "seconds": 1.5,
                     "parameters": {"seeds": 3}, "started": "2026-01-01T00:00:00"} | fields)


def test_a_record_survives_the_file(tmp_path):
    written = record(error="ü", cells=[0.1], versions={"torch": "2"}, about={"title": "T"})
    records.write(tmp_path, written)
    assert records.read(tmp_path) == written and written.title == "T" and record().title == "01_a/01_b"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="unknown status 'completed'; expected one of ok, failed, timeout"):
        record(status="completed")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"status": "ok"}'])
def test_a_damaged_record_is_named_and_counts_as_unfinished(tmp_path, content, capsys):
    folder = tmp_path / "01_a" / "01_b" / "k"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(content)
    with pytest.raises(ValueError, match=r"record.json is not a record .*delete its folder and run again"):
        records.read(folder)
    assert not records.finished(folder)
    assert list(records.gather(tmp_path)) == []
    assert "is not a record" in capsys.readouterr().err


def test_gather_is_by_time_and_leaves_out_what_is_being_written(tmp_path):
    for key, started, status in (("new", "2026-02", "ok"), ("old", "2026-01", "failed"), (".part", "2026-03", "ok")):
        folder = tmp_path / "01_a" / "01_b" / key
        folder.mkdir(parents=True)
        records.write(folder, record(started=started, status=status))
    (tmp_path / "checkpoints" / "k" / "run").mkdir(parents=True)
    (tmp_path / "checkpoints" / "k" / "run" / "record.json").write_text("a fleet's own")
    assert [folder.name for folder, _ in records.gather(tmp_path)] == ["old", "new"]
    assert records.finished(tmp_path / "01_a" / "01_b" / "new")
    assert not records.finished(tmp_path / "01_a" / "01_b" / "old")
    assert not records.finished(tmp_path / "nowhere")


def test_text_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "file"
    assert records.write_text(path, "one") and not records.write_text(path, "one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        records.write_text(path, "two")
    assert path.read_text() == "one" and [p.name for p in path.parent.iterdir()] == ["file"]
