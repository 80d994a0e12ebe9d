"""Finished runs and half-done lanes on disk. Everything is written beside its place and renamed into it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch

from labkit.fleet.runs import Run


class Store:
    """A folder of runs, one file each, named by the run's key; None keeps nothing.

    Raises:
        OSError: the folder cannot be made or written, said before any training.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".write-test-"):
                    pass
            except OSError as error:
                raise OSError(
                    f"results cannot be kept in {self.folder}: {error.strerror or error}; "
                    "give a folder that can be written, or out=None to keep nothing"
                ) from error

    def load(self, key: str) -> Run | None:
        """The finished run of that key, or None. A damaged file is reported, set aside and trained again."""
        if self.folder is None or not (path := self.folder / f"{key}.npz").exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                meta = json.loads(str(held["meta"]))
                tensors = {k: torch.from_numpy(held[k]) for k in held.files if k != "meta"}
        except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
            aside = path.with_suffix(".damaged")
            os.replace(path, aside)
            print(f"{path} is damaged ({error}); moved to {aside.name}, that run is trained again")
            return None
        return Run.from_flat(meta, tensors)

    def save(self, run: Run) -> None:
        if self.folder is None:
            return
        meta, tensors = run.to_flat()
        arrays = {k: v.cpu().numpy() for k, v in tensors.items()}
        self._write(f"{run.key}.npz", lambda file: np.savez(file, meta=json.dumps(meta), **arrays))

    def lane_name(self, keys: list[str]) -> str:
        return "lane-" + hashlib.sha256("".join(keys).encode()).hexdigest()[:24] + ".pt"

    def save_lane(self, keys: list[str], snapshot: dict) -> None:
        self._write(self.lane_name(keys), lambda file: torch.save(snapshot, file))

    def load_lane(self, keys: list[str], device) -> dict | None:
        if self.folder is None or not (path := self.folder / self.lane_name(keys)).exists():
            return None
        try:
            return torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises many kinds here; whichever it is, the lane can be trained again
            os.replace(path, path.with_suffix(".damaged"))
            print(f"{path} is damaged ({type(error).__name__}); those runs start again")
            return None

    def drop_lane(self, keys: list[str]) -> None:
        if self.folder is not None:
            (self.folder / self.lane_name(keys)).unlink(missing_ok=True)

    def _write(self, name: str, write) -> None:
        handle, beside = tempfile.mkstemp(dir=self.folder, prefix=f".{name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.replace(beside, self.folder / name)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
