"""Party registration by race in precincts: what a registrar publishes (two margins) and what it hides (the cells).

A precinct is a bag of voters. Its group sizes (the inputs) and its party counts (the counts of the bag) are public; the
table of groups by parties inside is what ecological inference wants. Here it is known, so every answer can be scored.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from labkit.datasets.base import Data
from labkit.datasets.download import cache_folder, sha256
from labkit.datasets.local import data_folder, folders
from labkit.streams import generator

GROUPS, PARTIES = ("white", "black", "natam"), ("dem", "rep", "non")
CELLS = [f"{group}{party}" for group in ("wh", "bl", "natam") for party in PARTIES]
COLUMNS = ("county", "precinct", "total", *GROUPS, *PARTIES, *CELLS)
SENC_CELLS = "e2b835657bb26d484a3dd9cc796498e587e25fe83e45ea42f5cc4acfa0fccea9"  # all cells as int64
CRAN = "https://cran.r-project.org/src/contrib/"
TARBALLS = ("eiPack_0.2-2.tar.gz", "Archive/eiPack/eiPack_0.2-2.tar.gz")  # CRAN archives a version when it is replaced

# What `drawn_precincts` imitates: counted from the table of eiPack, no numbers of single precincts. Per group: mean
# shares of the parties, how alike precincts are (the sum of the parameters of a Dirichlet distribution), and how the
# log odds against the last party move with the group's own share of the precinct.
SHARES = np.array([[0.47, 0.37, 0.16], [0.89, 0.045, 0.065], [0.89, 0.06, 0.05]])
CONCENTRATIONS = np.array([12.0, 80.0, 70.0])
OWN_SHARE = np.array([[-1.0, 0.7, 0.0], [1.2, 0.0, 0.0], [1.2, 0.0, 0.0]])
MEAN_SHARE = np.array([0.70, 0.24, 0.06])


@dataclass(frozen=True, eq=False)
class Precincts:
    """P tables of R groups by C parties.

    Raises:
        ValueError: cells that are no whole numbers from 0 of shape (P, R, C) for these names, or an empty precinct.
    """

    cells: np.ndarray  # (P, R, C) int64, the truth that only a scorer may look at
    groups: tuple[str, ...]
    parties: tuple[str, ...]
    names: tuple[str, ...] = ()  # P names
    source: str = ""

    def __post_init__(self) -> None:
        cells = np.asarray(self.cells)
        if cells.ndim != 3 or cells.shape[1:] != (len(self.groups), len(self.parties)):
            raise ValueError(
                f"cells have shape (precincts, {len(self.groups)} groups, {len(self.parties)} parties), "
                f"got {cells.shape}"
            )
        if cells.dtype.kind not in "iu" or (cells < 0).any():
            raise ValueError(f"cells are whole numbers from 0, got {cells.dtype}, smallest {cells.min()}")
        if (cells.sum((1, 2)) == 0).any():
            raise ValueError(f"precinct {int((cells.sum((1, 2)) == 0).argmax())} has no voters; leave it out")
        if self.names and len(self.names) != len(cells):
            raise ValueError(f"{len(cells)} precincts have {len(self.names)} names")
        object.__setattr__(self, "cells", cells.astype(np.int64))

    @property
    def rows(self) -> np.ndarray:
        """(P, R): members of every group."""
        return self.cells.sum(2)

    @property
    def columns(self) -> np.ndarray:
        """(P, C): voters of every party."""
        return self.cells.sum(1)

    @property
    def totals(self) -> np.ndarray:
        """(P,): voters."""
        return self.cells.sum((1, 2))

    @property
    def shares(self) -> np.ndarray:
        """(P, R, C): the share of each party in each group, the truth; NaN where a group has no member."""
        with np.errstate(invalid="ignore"):
            return self.cells / self.rows[:, :, None]

    def check_margins(self, rows, columns, totals) -> Precincts:
        """Itself, if its cells add up to these (P, R), (P, C) and (P,) numbers; else ValueError with the first gap."""
        for what, own, given in (
            ("groups", self.rows, rows),
            ("parties", self.columns, columns),
            ("totals", self.totals, totals),
        ):
            given = np.asarray(given)
            apart = own != given if own.shape == given.shape else np.ones(len(own), bool)
            if apart.any():
                p = int(apart.reshape(len(own), -1).any(1).argmax())
                found = given[p].tolist() if p < len(given) else "nothing"
                raise ValueError(f"precinct {p}: its cells add up to {what} {own[p].tolist()}, the table says {found}")
        return self

    def voters(self, name: str) -> Data:
        """Every voter as an example: x (n, R) says the group, y the party, ``side["precinct"]`` the bag."""
        p, r, c = (
            torch.from_numpy(np.repeat(index.reshape(-1), self.cells.reshape(-1)))
            for index in np.indices(self.cells.shape)
        )
        return Data(
            name,
            torch.nn.functional.one_hot(r, len(self.groups)).float(),
            c,
            self.parties,
            source=self.source,
            side={"precinct": p},
        )

    def __repr__(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return (
            f"Precincts: {len(self.cells)} of {len(self.groups)} groups by {len(self.parties)} parties, "
            f"{int(self.totals.sum()):,} voters{source}"
        )


def load_precincts(download: Callable[[str], bytes] | None = None) -> Precincts:
    """212 precincts of eight counties in south-east North Carolina, 2001: party registration by race, 366,290 voters.

    From any file under ``LABKIT_DATA`` that holds the table (plain or gzip, blanks or commas), else from the cache,
    else from the R package on CRAN; never unless its cells are the published ones. FileNotFoundError when it
    is nowhere.
    Data: North Carolina General Assembly, 2001 redistricting base. Lau, Moore, Kellermann (2007), eiPack: R x C
    Ecological Inference and Higher-Dimension Data Management, R News 7(2). Licence of the package: GPL (>= 2).

    download: stands in for the network, address to bytes.
    """
    file = find_precincts()
    raw, source = (file.read_bytes(), f"local: {file.name}") if file else (_fetched(download or _download), "eiPack")
    table = read_table(raw, str(file or "the table of eiPack"))
    cells = table[CELLS].to_numpy(np.int64).reshape(-1, len(GROUPS), len(PARTIES))
    if (found := sha256(cells.astype("<i8"))) != SENC_CELLS:
        raise ValueError(
            f"{file or 'eiPack'}: the cells should have SHA-256 {SENC_CELLS}, found {found}: damaged, or "
            "another table; get data/senc.tab.gz of the R package eiPack again"
        )
    names = tuple(f"{county}: {precinct}" for county, precinct in zip(table["county"], table["precinct"]))
    made = Precincts(cells, GROUPS, PARTIES, names, source)
    return made.check_margins(table[list(GROUPS)], table[list(PARTIES)], table["total"])


def senc() -> Data:
    """The voters of `load_precincts` one by one: x (366290, 3) is the group, y the party, the precinct on the side."""
    return load_precincts().voters("senc")


def precincts(n: int = 212, context: float = 1.0, seed: int = 0) -> Data:
    """The voters of `drawn_precincts` one by one: x (voters, 3) is the group, y the party, the precinct on the side."""
    return drawn_precincts(n, context, seed).voters("precincts")


def drawn_precincts(n: int = 212, context: float = 1.0, seed: int = 0) -> Precincts:
    """Made-up precincts that resemble the real ones in their margins, their spread and their aggregation bias.

    Sizes are log-normal, group shares logistic-normal; the party shares of a group are Dirichlet around a mean that
    moves with the group's share of the precinct, and voters are drawn from them.

    context: how strongly it moves; 1 as in the real table (a white majority votes otherwise than a white minority: the
        share of Democrats among whites falls by about 0.3 as their own share goes from 0 to 1), 0 not at all.
    """
    if n < 1 or not context >= 0:
        raise ValueError(f"expected n from 1 and context from 0, got n={n}, context={context}")
    rng = generator(seed, "data")
    sizes = np.clip(rng.lognormal(np.log(1600), 0.6, n), 200, 4600).round().astype(np.int64)
    logits = np.array([0.0, -1.5, -5.0]) + np.array([0.0, 1.3, 2.2]) * rng.standard_normal((n, 3))
    weights = np.exp(logits)
    rows = rng.multinomial(sizes, weights / weights.sum(1, keepdims=True))
    own = rows / sizes[:, None] - MEAN_SHARE
    odds = SHARES * np.exp(context * own[:, :, None] * OWN_SHARE)
    mean = odds / odds.sum(2, keepdims=True)
    gamma = rng.gamma(mean * CONCENTRATIONS[:, None])
    cells = rng.multinomial(rows, gamma / gamma.sum(2, keepdims=True))
    return Precincts(cells, GROUPS, PARTIES, source="drawn, not real")


def find_precincts() -> Path | None:
    """A file under ``LABKIT_DATA`` whose first line names the columns of the table."""
    root = data_folder()
    for _, files in folders(root) if root else ():
        for file in files:
            if set(_first_line(file)) >= set(COLUMNS):
                return file
    return None


def read_table(raw: bytes, where: str) -> pd.DataFrame:
    """The bytes of the table (plain or gzip, columns apart by blanks or commas) as numbers and names."""
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
        table = pd.read_csv(io.StringIO(text), sep="," if "," in text.split("\n", 1)[0] else " ")
        return table.astype(dict.fromkeys(COLUMNS[2:], np.int64))
    except (OSError, EOFError, zlib.error, ValueError, KeyError) as error:
        raise ValueError(
            f"{where}: no table of precincts can be read from it ({error}); it is truncated or damaged, get it again"
        ) from error


def _first_line(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            zipped = opened.read(2) == b"\x1f\x8b"
        with gzip.open(file) if zipped else file.open("rb") as opened:
            line = opened.readline(2048).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return []
    return [name.strip('"') for name in line.strip().replace(",", " ").split()]


def _fetched(download: Callable[[str], bytes]) -> bytes:
    """The table's file from the cache, else out of the package's tarball (and then kept)."""
    path = cache_folder() / "senc.tab.gz"
    if path.exists():
        return path.read_bytes()
    said = []
    for tarball in TARBALLS:
        try:
            with tarfile.open(fileobj=io.BytesIO(download(CRAN + tarball))) as package:
                raw = package.extractfile("eiPack/data/senc.tab.gz").read()
        except (OSError, EOFError, tarfile.TarError, KeyError) as error:  # no network is an OSError
            said.append(f"{tarball}: {type(error).__name__}: {error}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.part")
        beside.write_bytes(raw)
        beside.replace(path)
        return raw
    raise FileNotFoundError(
        f"the precincts are not here and could not be downloaded from {CRAN} ({'; '.join(said)}). Put data/senc.tab.gz "
        "of the R package eiPack into the folder LABKIT_DATA; drawn_precincts() needs no file"
    )


def _download(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()
