"""Nothing is lost: finished runs are not repeated, killed work goes on, damage is named, divergence is contained."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest
import torch

import labkit as lk
from labkit.fleet.lanes import Lane

QUICK = dict(epochs=3, dtype="float64", batch_size=32, progress=False, lanes=4)
SMOOTHING = lk.methods.LabelSmoothing(lk.sweep(0.0, 0.1))


def test_a_finished_run_is_never_repeated(small, tmp_path, monkeypatch):
    first = lk.fit(small, methods=SMOOTHING, seeds=2, out=tmp_path, **QUICK)
    assert len(list(tmp_path.glob("*.npz"))) == 4 and not list(tmp_path.glob("lane-*"))
    trained = []
    epoch = Lane.train_epoch
    monkeypatch.setattr(Lane, "train_epoch", lambda self: (trained.extend(p.seed for p in self.plans), epoch(self)))
    again = lk.fit(small, methods=SMOOTHING, seeds=2, out=tmp_path, **QUICK)
    assert trained == []
    for x, y in zip(first, again):
        assert x.curves == y.curves and x.answers == y.answers and x.values == y.values
        assert all(torch.equal(x.logits[k], y.logits[k]) for k in x.logits)
        assert all(torch.equal(x.params[k], y.params[k]) for k in x.params)
    lk.fit(small, methods=SMOOTHING, seeds=3, out=tmp_path, **QUICK)
    assert set(trained) == {2}  # only the new seed


def test_an_empty_variable_is_no_folder(small, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CHECKPOINTS", "")
    monkeypatch.chdir(tmp_path)
    lk.fit(small, methods={"a": lk.methods.LabelSmoothing(0.1)}, seeds=1, **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_stored_run_is_found_under_another_name_and_setting(small, tmp_path):
    first = lk.fit(small, methods={"swept": SMOOTHING}, seeds=2, out=tmp_path, **QUICK)
    fixed = lk.methods.LabelSmoothing(0.1)
    again = lk.fit(small, methods={"fixed": fixed, "twice": fixed}, seeds=2, out=tmp_path, **QUICK)
    assert again.settings.to_dict("list") == {"method": ["fixed"] * 2 + ["twice"] * 2, "seed": [0, 1, 0, 1]}
    assert again["twice"].keys == first.where(smoothing=0.1).keys


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 4}, {"batch_size": 16}, {"schedule": "constant"}, {"optimiser": lk.SGD(lr=0.01)},
        {"model": "linear"}, {"annotator": lk.annotate.Symmetric(0.1)}, {"dtype": "float32"}, {"validation": 0.2},
        {"methods": lk.methods.Focal()},
    ],
)  # fmt: skip
def test_whatever_changes_the_numbers_changes_the_key(small, change):
    base = {"methods": lk.methods.CrossEntropy(), "seeds": 1, **QUICK, "epochs": 1}
    key = lambda options: lk.fit(small, options.pop("annotator", None), **options).keys[0]
    assert key(dict(base)) != key({**base, **change})


def test_killed_in_the_middle_the_same_command_finishes_the_rest(small, tmp_path):
    """SIGKILL during training; the second process goes on from the checkpoint and gives the uninterrupted numbers."""
    script = textwrap.dedent(f"""
        import sys, time, labkit as lk
        from labkit.fleet.lanes import Lane
        data = lk.load("gaussians", n=600, classes=3, separation=2.0, seed=0)
        epoch = Lane.train_epoch
        done = []
        def watched(self):
            epoch(self); done.append(self.epoch)
            print(self.epoch, flush=True)
            if sys.argv[1] == "slow" and self.epoch == 4: sys.stdin.readline()  # waits here to be killed
        Lane.train_epoch = watched
        lk.fit(data, methods=lk.methods.Mixup(lk.sweep(0.2, 1.0), ema=0.9), seeds=2, epochs=6, dtype="float64",
               batch_size=32, lanes=4, out={str(tmp_path)!r}, checkpoint_every=0.0, progress=False)
    """)
    first = subprocess.Popen(
        [sys.executable, "-c", script, "slow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    seen = [first.stdout.readline().strip() for _ in range(4)]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert seen == ["1", "2", "3", "4"] and len(list(tmp_path.glob("lane-*.pt"))) == 1
    assert not list(tmp_path.glob("*.npz"))
    second = subprocess.run([sys.executable, "-c", script, "go"], capture_output=True, text=True, check=True)
    assert second.stdout.split() == ["4", "5", "6"]  # checkpoints 1 to 3 were kept; epoch 4's had not been written
    options = dict(
        methods=lk.methods.Mixup(lk.sweep(0.2, 1.0), ema=0.9),
        seeds=2,
        epochs=6,
        dtype="float64",
        batch_size=32,
        lanes=4,
        progress=False,
    )
    resumed = lk.fit(small, out=tmp_path, **options)
    whole = lk.fit(small, **options)
    for x, y in zip(resumed, whole):
        assert x.curves == y.curves and x.answers == y.answers
        assert all(torch.equal(x.logits[k], y.logits[k]) for k in x.logits)
    assert not list(tmp_path.glob("lane-*")) and not list(tmp_path.glob(".*"))


def test_lanes_are_cut_alike_before_and_after_an_interruption(small, tmp_path, monkeypatch):
    options = dict(methods=SMOOTHING, seeds=5, out=tmp_path, checkpoint_every=0.0, **{**QUICK, "lanes": 3})
    epoch, trained = Lane.train_epoch, []

    def interrupted(self):
        if len(trained) == 5:  # three epochs of the first lane of four runs, two of the second
            raise KeyboardInterrupt
        trained.append(len(self.plans))
        epoch(self)

    monkeypatch.setattr(Lane, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lk.fit(small, **options)
    assert trained == [4] * 5
    rest = []
    monkeypatch.setattr(Lane, "train_epoch", lambda self: (rest.append((len(self.plans), self.epoch)), epoch(self)))
    lk.fit(small, **options)
    assert rest == [(4, 2), (2, 0), (2, 1), (2, 2)]
    assert not list(tmp_path.glob("lane-*"))


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_result_is_named_set_aside_and_trained_again(small, tmp_path, capsys, damage):
    lk.fit(small, methods=SMOOTHING, seeds=1, out=tmp_path, **QUICK)
    path = sorted(tmp_path.glob("*.npz"))[0]
    path.write_bytes(path.read_bytes()[:2000] if damage is None else damage)
    again = lk.fit(small, methods=SMOOTHING, seeds=1, out=tmp_path, **QUICK)
    assert len(again) == 2 and path.name in capsys.readouterr().out
    assert path.exists() and path.with_suffix(".damaged").exists()


def test_a_folder_that_cannot_be_written_is_said_before_training(small, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    fit_module = importlib.import_module("labkit.fleet.fit")  # labkit.fleet.fit is the function
    monkeypatch.setattr(fit_module, "prepare", lambda *a: pytest.fail("training began"))
    with pytest.raises(OSError, match=r"results cannot be kept in .*out=None"):
        lk.fit(small, methods=SMOOTHING, seeds=1, out=blocked / "inside", **QUICK)


def test_a_full_disk_leaves_no_torn_file(small, tmp_path, monkeypatch):
    import numpy as np

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        lk.fit(small, methods=SMOOTHING, seeds=1, out=tmp_path, **QUICK)
    assert list(tmp_path.iterdir()) == []


@dataclass
class Exploding(lk.methods.Method):
    """Its loss is not a number from the second epoch on where ``when`` is 1."""

    when: float = 0.0

    def objective(self, net, batch):
        loss = torch.nn.functional.cross_entropy(net(batch.x), batch.evidence.labels)
        return loss + torch.where((batch.progress > 0.4) & (self.when > 0.5), torch.nan, 0.0), {}


def test_a_diverged_run_is_marked_and_the_others_go_on(small):
    runs = lk.fit(small, methods=Exploding(lk.sweep(0.0, 1.0)), seeds=3, **{**QUICK, "lanes": 6})
    assert [run.diverged for run in runs] == [0, 0, 0, 2, 2, 2]
    calm = lk.fit(small, methods=Exploding(0.0), seeds=3, **QUICK)
    for x, y in zip(runs.where(when=0.0), calm):
        torch.testing.assert_close(x.logits["last/test"], y.logits["last/test"], rtol=1e-12, atol=1e-12)
    assert "3 diverged" in repr(runs)
    assert runs.measure("nll")["value"].isna().tolist() == [False] * 3 + [True] * 3
    verdict = lk.judge(runs, lk.Claim("c", "p", "s", "nll", better={"when": 0.0}, than={"when": 1.0}))
    assert verdict.verdict == "underpowered" and verdict.dropped == 3


def test_a_lane_that_has_wholly_diverged_stops_early(small):
    runs = lk.fit(small, methods=Exploding(1.0), seeds=2, **{**QUICK, "epochs": 50})
    assert [r.diverged for r in runs] == [21, 21] and runs.runs[0].answers["last"] == 21


def test_a_function_in_a_field_is_told_by_its_source_and_not_by_its_address():
    from labkit.fleet.plan import describe

    def double(x):
        return 2 * x

    def triple(x):
        return 3 * x

    def told(function):
        return describe({"f": function})

    assert "0x" not in str(told(double)) and told(double) != told(triple)
    assert told(double) == told(double) and "0x" not in str(told(torch.softmax))
