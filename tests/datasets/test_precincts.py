from __future__ import annotations

import gzip
import importlib
import io
import tarfile

import numpy as np
import pytest

from labkit.datasets.download import sha256
from labkit.datasets.precincts import Precincts, drawn_precincts, find_precincts, load_precincts

module = importlib.import_module("labkit.datasets.precincts")  # the package has a function of that name
SMALL = np.array([[[5, 3, 2], [4, 1, 0], [0, 0, 0]], [[1, 2, 3], [9, 0, 1], [2, 0, 1]]])


def written(cells=SMALL, comma=False) -> bytes:
    """The table as eiPack has it: quoted names, a number before every row, and one header word less (or commas)."""
    apart, lines = ("," if comma else " "), []
    lines.append(apart.join(f'"{name}"' for name in module.COLUMNS))
    for i, table in enumerate(cells):
        numbers = [table.sum(), *table.sum(1), *table.sum(0), *table.ravel()]
        first = [] if comma else [f'"{i + 1}"']
        lines.append(apart.join([*first, '"Bladen"', f'"OLD MILL {i}"', *map(str, numbers)]))
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(module, "SENC_CELLS", sha256(SMALL.astype("<i8")))


@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_table_is_found_by_its_header(known, data_root, comma, zipped):
    (data_root / "a").mkdir()
    (data_root / "a" / "other.txt").write_text("county precinct\n1 2\n")
    (data_root / "a" / "image").write_bytes(bytes(range(256)))
    raw = written(comma=comma)
    (data_root / "b").write_bytes(gzip.compress(raw) if zipped else raw)
    assert find_precincts() == data_root / "b"
    held = load_precincts()
    np.testing.assert_array_equal(held.cells, SMALL)
    assert held.names == ("Bladen: OLD MILL 0", "Bladen: OLD MILL 1") and held.source == "local: b"
    assert "2 of 3 groups by 3 parties, 34 voters" in repr(held)


def test_another_table_is_not_taken_for_it(known, data_root):
    (data_root / "b").write_bytes(written(SMALL + 1))
    with pytest.raises(ValueError, match="should have SHA-256"):
        load_precincts()
    wrong = written().replace(b'"OLD MILL 1" 19', b'"OLD MILL 1" 20')
    (data_root / "b").write_bytes(wrong)
    with pytest.raises(ValueError, match="precinct 1: its cells add up to totals 19, the table says 20"):
        load_precincts()
    (data_root / "b").write_bytes(written()[:-60] + b" x\n")
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_precincts()
    (data_root / "b").write_bytes(gzip.compress(written())[:-20])
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_precincts()


def package(raw: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("eiPack/data/senc.tab.gz")
        entry.size = len(raw)
        tar.addfile(entry, io.BytesIO(raw))
    return made.getvalue()


def test_without_a_folder_the_package_is_asked_once(known):
    asked = []

    def download(address):
        asked.append(address)
        if "Archive" not in address:
            raise OSError("not found")
        return package(gzip.compress(written()))

    np.testing.assert_array_equal(load_precincts(download).cells, SMALL)
    assert [a.rsplit("/", 1)[1] for a in asked] == ["eiPack_0.2-2.tar.gz"] * 2
    np.testing.assert_array_equal(load_precincts(None).cells, SMALL)  # from the cache now
    assert len(asked) == 2


def test_without_a_network_it_is_said_what_to_do(known):
    def nothing(address):
        raise OSError("no network")

    with pytest.raises(FileNotFoundError, match=r"no network.*LABKIT_DATA; drawn_precincts"):
        load_precincts(nothing)
    with pytest.raises(FileNotFoundError, match="KeyError"):
        load_precincts(lambda address: package(b"")[:0] or _empty_tar())


def _empty_tar() -> bytes:
    made = io.BytesIO()
    tarfile.open(fileobj=made, mode="w:gz").close()
    return made.getvalue()


def test_margins_shares_and_voters():
    held = Precincts(SMALL, module.GROUPS, module.PARTIES)
    np.testing.assert_array_equal(held.rows, [[10, 5, 0], [6, 10, 3]])
    np.testing.assert_array_equal(held.columns, [[9, 4, 2], [12, 2, 5]])
    np.testing.assert_array_equal(held.totals, [15, 19])
    assert np.isnan(held.shares[0, 2]).all()
    np.testing.assert_allclose(held.shares[1, 1], [0.9, 0, 0.1])
    data = held.voters("small")
    assert data.n == 34 and data.shape == (3,) and data.classes == module.PARTIES
    counted = np.zeros_like(SMALL)
    np.add.at(counted, (data.side["precinct"].numpy(), data.x.argmax(1).numpy(), data.y.numpy()), 1)
    np.testing.assert_array_equal(counted, SMALL)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (SMALL[:, :2], "shape"),
        (SMALL - 1, "whole numbers from 0"),
        (SMALL / 1, "whole numbers from 0"),
        (SMALL * np.array([1, 0])[:, None, None], "precinct 1 has no voters"),
    ],
)
def test_tables_that_cannot_be_are_refused(cells, says):
    with pytest.raises(ValueError, match=says):
        Precincts(cells, module.GROUPS, module.PARTIES)
    with pytest.raises(ValueError, match="names"):
        Precincts(SMALL, module.GROUPS, module.PARTIES, names=("one",))


def test_drawn_precincts_are_seeded_and_know_their_context():
    one, same, other = (drawn_precincts(60, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.cells, same.cells)
    assert not np.array_equal(one.cells, other.cells) and one.source == "drawn, not real"

    def slope(context):
        held = drawn_precincts(800, context)
        white = held.rows[:, 0] / held.totals
        return np.polyfit(white, held.shares[:, 0, 0], 1, w=np.sqrt(held.rows[:, 0]))[0]

    assert abs(slope(0.0)) < 0.06 and -0.4 < slope(1.0) < -0.2 and slope(2.0) < -0.4
    with pytest.raises(ValueError, match="context from 0"):
        drawn_precincts(10, -1)


def test_voters_can_be_loaded_by_name():
    data = module.precincts(n=3)
    assert data.name == "precincts" and data.n == drawn_precincts(3).totals.sum()


def test_the_real_table(real_data):
    held = load_precincts()
    assert held.cells.shape == (212, 3, 3) and held.totals.sum() == 366_290
    assert held.names[0] == "Bladen: ABBOTTS"
    np.testing.assert_array_equal(held.cells[0], [[272, 60, 23], [126, 1, 7], [1, 0, 0]])
