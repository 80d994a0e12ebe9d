"""UCI Adult: does a person earn more than 50,000 dollars a year? A table with attributes that make natural bags.

Becker, Kohavi (1996), Adult, UCI Machine Learning Repository, doi:10.24432/C5XW20 (CC BY 4.0).
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from labkit.datasets import download
from labkit.datasets.base import Data
from labkit.datasets.local import data_folder, folders

NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
ATTRIBUTES = ("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country")
COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
CLASSES = ("<=50K", ">50K")
# Rows and SHA-256 of the two official parts, as `digest` counts them
TRAIN = (32_561, "b43511ac80486a00e4f35d1c3d76a3cec2c89246510a76a4e455d7e45d4fb4b9")
TEST = (16_281, "b4fb33eebc4e7132a442ff3696ca87564aa4b27c96b63cd346860e4c190f495f")
OPENML = dict(name="adult", version=2)


def adult() -> Data:
    """48,842 people, two classes (23.9 % earn more): x (48842, 108); the official test part is the last 16,281.

    Six numeric columns come first, standardised with mean and standard deviation of the training part; then one column
    of zeros and ones for every value of eight attributes ("?" is a value: unknown). These are not standardised: a
    country that occurs once would lie 180 standard deviations out. ``side`` has the code of each attribute, its values
    in alphabetical order (`values` names them), under its name with "_" for "-": what `AttributeBags` asks for.

    From files under ``LABKIT_DATA`` (UCI's two parts, with or without a header line, plain or gzip), else from OpenML
    through scikit-learn, which keeps its copy. FileNotFoundError when it is nowhere; ValueError when rows are missing.
    """
    found = find_adult()
    if found:
        table, n_test, source = pd.concat([found["train"][1], found["test"][1]]), TEST[0], "local: UCI"
    else:
        table, n_test, source = _from_openml()
    return make(table, n_test, source)


def make(table: pd.DataFrame, n_test: int, source: str = "") -> Data:
    """`Data` from a table with `COLUMNS` and ``income``, whose last ``n_test`` rows are the test part (0: none)."""
    train = np.arange(len(table)) < len(table) - n_test
    numbers = table[list(NUMBERS)].to_numpy(np.float64)
    std = numbers[train].std(0)
    numbers = (numbers - numbers[train].mean(0)) / np.where(std > 0, std, 1.0)
    codes = {name: pd.Categorical(table[name], values(table, name)).codes for name in ATTRIBUTES}
    flags = [np.eye(code.max() + 1)[code] for code in codes.values()]
    return Data(
        "adult", torch.from_numpy(np.concatenate([numbers, *flags], 1)).float(),
        torch.from_numpy((table["income"] == CLASSES[1]).to_numpy(np.int64)), CLASSES,
        torch.arange(len(table) - n_test, len(table)) if n_test else None, source=source,
        side={name.replace("-", "_"): torch.from_numpy(code.astype(np.int64)) for name, code in codes.items()},
    )  # fmt: skip


def values(table: pd.DataFrame, attribute: str) -> list[str]:
    """The values of an attribute in the order of its codes."""
    return sorted(table[attribute].unique())


def read_adult(raw: bytes, where: str = "adult") -> pd.DataFrame:
    """One part as UCI publishes it: blanks after commas or none, "|" comments, labels with or without a final dot."""
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("ascii")
        lines = [line for line in text.split("\n") if line.strip() and not line.startswith(("|", COLUMNS[0]))]
        table = pd.read_csv(io.StringIO("\n".join(lines)), names=[*COLUMNS, "income"], skipinitialspace=True)
        return tidy(table)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(
            f"{where}: no part of Adult can be read from it ({error}); it is truncated or damaged, get it again"
        ) from error


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as whole numbers, attributes as words, "?" for what is unknown, labels as in `CLASSES`."""
    made = table.astype(dict.fromkeys(NUMBERS, np.int64))
    for name in (*ATTRIBUTES, "income"):
        made[name] = made[name].astype(object).where(made[name].notna(), "?").astype(str).str.strip()
    made["income"] = made["income"].str.rstrip(".")
    if not made["income"].isin(CLASSES).all():
        raise ValueError(f"labels are {' and '.join(CLASSES)}, found {sorted(made['income'].unique())[:4]}")
    return made[[*COLUMNS, "income"]].reset_index(drop=True)


def digest(table: pd.DataFrame) -> tuple[int, str]:
    """Number of rows, and SHA-256 over them in their order."""
    text = "\n".join(",".join(map(str, row)) for row in table.itertuples(index=False))
    return len(table), download.sha256(np.frombuffer(text.encode(), np.uint8))


def find_adult() -> dict[str, tuple[Path, pd.DataFrame]]:
    """The two parts under ``LABKIT_DATA``, ``{"train": (file, table), "test": ...}``; empty when neither is there.

    Files are told by their first row and checked as a whole. ValueError when a part is missing and a file that looks
    like one is not.
    """
    root = data_folder()
    found, others = {}, []
    for _, files in folders(root) if root else ():
        for file in filter(_looks_like_adult, files):
            table = read_adult(file.read_bytes(), str(file))
            part = next((name for name, known in (("train", TRAIN), ("test", TEST)) if digest(table) == known), None)
            if part is None:
                others.append(file)
            else:
                found.setdefault(part, (file, table))
    if len(found) == 2:
        return found
    if found or others:
        there = ", ".join([f"{part} ({file})" for part, (file, _) in found.items()] or ["neither part"])
        raise ValueError(
            f"Adult needs UCI's two parts, {TRAIN[0]:,} and {TEST[0]:,} rows; here: {there}"
            + "".join(f"; {file} looks like a part, but its rows are others" for file in others)
            + ". Get adult.data and adult.test again"
        )
    return {}


def _looks_like_adult(file: Path) -> bool:
    """Does the first row (after a header or a comment) have 15 fields that end in a label of Adult?"""
    try:
        with file.open("rb") as opened:
            zipped = opened.read(2) == b"\x1f\x8b"
        with gzip.open(file) if zipped else file.open("rb") as opened:
            lines = [opened.readline(1024).decode("ascii") for _ in range(2)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return False
    fields = [[value.strip() for value in line.split(",")] for line in lines]
    return any(len(row) == len(COLUMNS) + 1 and row[-1].rstrip(".") in CLASSES for row in fields)


def _from_openml(fetch: Callable | None = None) -> tuple[pd.DataFrame, int, str]:
    """All rows, with the official test part last if it can be told (OpenML has both in one table)."""
    where = f"OpenML's {OPENML['name']!r} version {OPENML['version']}"
    try:
        bunch = (fetch or download.fetch_openml)(
            **OPENML, as_frame=True, parser="auto", data_home=str(download.cache_folder() / "openml")
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"adult is not here and could not be downloaded: {where} gave {type(error).__name__}: {error}. With a "
            "network try again; without one, set LABKIT_DATA to a folder with UCI's adult.data and adult.test"
        ) from error
    table = tidy(bunch.data.assign(income=bunch.target))
    if len(table) != TRAIN[0] + TEST[0]:
        raise ValueError(
            f"{where}: expected {TRAIN[0] + TEST[0]:,} rows, found {len(table):,}; delete "
            f"{download.cache_folder() / 'openml'} and try again"
        )
    for n_first in (TEST[0], TRAIN[0]):
        first, second = table[:n_first].reset_index(drop=True), table[n_first:].reset_index(drop=True)
        if {digest(first), digest(second)} == {TRAIN, TEST}:
            parts = (second, first) if n_first == TEST[0] else (first, second)
            return pd.concat(parts), TEST[0], "OpenML"
    return table, 0, "OpenML, the official test part could not be told"
