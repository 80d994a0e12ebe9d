"""Shared by all tests: small data, one thread a test process, no network, caches of their own."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; more threads only wait for one another
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("labkit", deadline=None, derandomize=True)  # seeded, and never timed
settings.load_profile("labkit")


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """Nothing a test measures or downloads is remembered outside it."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("LABKIT_CHECKPOINTS", raising=False)


@pytest.fixture(scope="session")
def small():
    """600 points of a three-class mixture."""
    import labkit as lk

    return lk.load("gaussians", n=600, classes=3, separation=2.0, seed=0)
