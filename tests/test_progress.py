"""Progress: silent lines when headless, a bar when watched."""

from __future__ import annotations

import io

from labkit import progress


def test_headless_is_what_the_runner_says(monkeypatch):
    for told, expected in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("LABKIT_HEADLESS", told)
        assert progress.headless() is expected


def test_one_line_per_some_seconds(monkeypatch):
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    clock = iter([0.0, 1.0, 5.0, 11.0, 11.0, 12.0, 25.0, 25.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    bar = progress.Progress(100, "epochs", every=10.0, stream=out)
    for _ in range(5):
        bar.advance(10, "mixup")
    bar.close()
    assert out.getvalue().splitlines() == [
        "mixup: 30 of 100 epochs, 11 s, about 26 s left",
        "mixup: 50 of 100 epochs, 25 s, about 25 s left",
    ]


def test_silence_and_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_HEADLESS", "0")
    quiet = progress.Progress(10, show=False)
    quiet.advance(10)
    assert quiet.bar is None
    shown = progress.Progress(10)
    shown.advance(4, "focal")
    assert shown.bar is not None and shown.bar.n == 4
    shown.close()
    assert capsys.readouterr().out == ""
