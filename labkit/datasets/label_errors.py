"""Real label errors in published test sets: what a model thought of every label, what people said of the suspects.

Northcutt, Athalye, Mueller (2021), Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks, NeurIPS
Datasets and Benchmarks. Confident learning named suspects, and (at least) five workers looked at each of them. The
answers are Apache-2.0 and not part of this package: they are read from the folder ``LABKIT_DATA`` (repository
cleanlab/label-errors, or the same as one npz and one JSON file a set). The counts below are facts counted from them.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labkit.datasets.archive import read_npz, sniff_npz
from labkit.datasets.download import sha256
from labkit.datasets.local import data_folder, folders
from labkit.names import look_up

# name -> SHA-256 of the given labels as bytes, labels, suspects shown to people, and how many of them are wrong: fewer
# than three of the people chose the given label, the rule that gives the paper's numbers
LABEL_ERRORS = {
    "cifar10": ("cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5", 10_000, 275, 54),
    "cifar100": ("4dad7d09c7c97d33f6cb928d705cf4196221316fd6e31bdd978a08ed9103ee0b", 10_000, 2235, 585),
    "mnist": ("ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5", 10_000, 100, 15),
    "20news": ("9db045bcab36067ecc3bb08dbd77335d454f6d057e828f249a2a28d6d69c0f04", 7532, 93, 82),
    "imdb": ("9964888963efd7b88e0af0bfafab25966b83719200f7a4bbfc1dc3bf45e4ea97", 25_000, 1310, 725),
}
NEEDED = 3  # people who must choose the given label for it to stand


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """One test set of n labels, m of which were suspects and shown to people.

    This is for looking at detectors; it is no `Data`, and nothing here is ever shown to a method that learns.

    Attributes:
        given: (n,) int64, the labels of the test set. predicted: (n,) int64, a cross-validated model's answer.
        probs: (n, K) float64, its out-of-fold probabilities; None where they were not published (CIFAR-100).
        reviewed: (m,) int64, positions of the suspects; None where they are not known (IMDB names its texts).
        votes: (m, c) int64, answers per choice. choices: the c names; the first is "given".
    """

    name: str
    given: np.ndarray
    predicted: np.ndarray
    probs: np.ndarray | None
    reviewed: np.ndarray | None
    votes: np.ndarray
    choices: tuple[str, ...] = field(default=("given", "guessed"))

    @property
    def wrong(self) -> np.ndarray:
        """(m,) booleans: fewer than three people chose the given label."""
        return self.votes[:, 0] < NEEDED

    def __repr__(self) -> str:
        return (
            f"LabelErrors {self.name}: {len(self.given):,} labels, {len(self.votes):,} suspects shown to people, "
            f"{int(self.wrong.sum()):,} of them wrong"
        )


def load_label_errors(name: str = "cifar10") -> LabelErrors:
    """One of the five sets of `LABEL_ERRORS`.

    ValueError for an unknown name or files that do not belong together; FileNotFoundError when they are not there.
    """
    digest, n, suspects, _ = look_up("set of label errors", name, LABEL_ERRORS)
    file = _find_labels(digest, n)
    if file is None:
        root = data_folder()
        raise FileNotFoundError(
            f"no label errors of {name}: expected an npz with given_label and cv_predicted_label ({n},) "
            f"{f'under {root.absolute()}' if root else 'in the folder LABKIT_DATA, which is not set'}; the authors' "
            "repository cleanlab/label-errors has them. LABEL_ERRORS has the counts"
        )
    arrays = read_npz(file)
    given, predicted = (arrays[key].astype(np.int64) for key in ("given_label", "cv_predicted_label"))
    probs = arrays["cv_predicted_prob"].astype(np.float64) if "cv_predicted_prob" in arrays else None
    records = _find_records(file, given, suspects)
    if records is None:
        raise ValueError(
            f"{file}: the labels are here, but no JSON file beside them holds {suspects} answers on these labels; get "
            "the file of that set in the folder mturk again"
        )
    choices = tuple(records[0]["mturk"])
    places = [record["id"] for record in records]
    return LabelErrors(
        name, given, predicted, probs, np.array(places) if isinstance(places[0], int) else None,
        np.array([[record["mturk"][choice] for choice in choices] for record in records]), choices,
    )  # fmt: skip


def find_label_errors() -> list[str]:
    """The sets that are in ``LABKIT_DATA``."""
    return [name for name, (digest, n, *_) in LABEL_ERRORS.items() if _find_labels(digest, n) is not None]


def _find_labels(digest: str, n: int) -> Path | None:
    """The npz file whose labels have this sum."""
    root = data_folder()
    for _, files in folders(root) if root else ():
        for file in files:
            held = sniff_npz(file) or {}
            if held.keys() >= {"given_label", "cv_predicted_label"} and held["given_label"][1] == (n,):
                labels = read_npz(file, only=["given_label"])["given_label"]
                if sha256(labels.astype(np.uint8)) == digest:
                    return file
    return None


def _find_records(beside: Path, given: np.ndarray, suspects: int) -> list[dict] | None:
    """Answers from the JSON file (gzip or not) in the same folder that speaks of these labels."""
    for file in sorted(beside.parent.iterdir()):
        if not file.name.endswith((".json", ".json.gz")):
            continue
        try:
            raw = file.read_bytes()
            records = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
            if len(records) == suspects and all(_speaks_of(record, given) for record in records):
                return records
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            continue  # another file, or a damaged one: the caller says what is missing
    return None


def _speaks_of(record: dict, given: np.ndarray) -> bool:
    place, label = record["id"], record["given_original_label"]
    if isinstance(place, int):
        return "given" in record["mturk"] and bool(given[place] == label)
    return next(iter(record["mturk"])) == "given" and label in ("Negative", "Positive")
