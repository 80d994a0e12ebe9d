from __future__ import annotations

import gzip
import importlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from labkit.datasets.adult import digest, find_adult, read_adult

module = importlib.import_module("labkit.datasets.adult")  # the package has a function of that name
PEOPLE = [
    "39, State-gov, 77516, Bachelors, 13, Never-married, Clerical, Not-in-family, White, Male, 217, 0, 4, Cuba, <=50K",
    "50, ?, 83311, Masters, 14, Divorced, Exec-managerial, Husband, White, Male, 0, 0, 13, ?, >50K",
    "38, Private, 215646, HS-grad, 9, Divorced, Sales, Husband, Black, Female, 0, 0, 40, Cuba, <=50K",
    "28, Private, 1000, HS-grad, 9, Divorced, Sales, Wife, Black, Female, 0, 99, 40, Peru, >50K",
    "61, Private, 2000, Masters, 14, Divorced, Sales, Wife, White, Female, 0, 99, 20, Cuba, >50K",
]
TRAIN, TEST = "\n".join(PEOPLE[:3]) + "\n\n", "|1x3 Cross validator\n" + ".\n".join(PEOPLE[3:]) + ".\n"


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(module, "TRAIN", digest(read_adult(TRAIN.encode())))
    monkeypatch.setattr(module, "TEST", digest(read_adult(TEST.encode())))


def test_a_part_is_read_in_every_form_it_comes_in():
    table = read_adult(TEST.encode())
    assert table["income"].tolist() == [">50K", ">50K"] and table["age"].tolist() == [28, 61]
    header = ",".join([*module.COLUMNS, "income"]) + "\n"
    other = read_adult(gzip.compress((header + "\n".join(PEOPLE[3:]).replace(", ", ",")).encode()))
    pd.testing.assert_frame_equal(table, other)
    assert read_adult(TRAIN.encode())["workclass"].tolist() == ["State-gov", "?", "Private"]
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_adult(TRAIN.replace("39", "old").encode())
    with pytest.raises(ValueError, match="labels are"):
        read_adult(TRAIN.replace("<=50K", "poor").encode())


def test_the_parts_are_found_by_content(known, data_root):
    (data_root / "x").mkdir()
    (data_root / "x" / "table.csv").write_text("a,b\n1,2\n")
    (data_root / "x" / "one").write_text(TEST)
    (data_root / "x" / "two.gz").write_bytes(gzip.compress(TRAIN.encode()))
    assert {k: v[0].name for k, v in find_adult().items()} == {"train": "two.gz", "test": "one"}
    data = module.adult()
    assert data.test.tolist() == [3, 4] and data.y.tolist() == [0, 1, 0, 1, 1] and data.source == "local: UCI"
    assert data.side["occupation"].tolist() == [0, 1, 2, 2, 2]
    assert data.side["native_country"].tolist() == [
        1,
        0,
        1,
        2,
        1,
    ]
    assert data.classes == ("<=50K", ">50K")
    ages = np.array([39, 50, 38, 28, 61.0])
    np.testing.assert_allclose(data.x[:, 0], (ages - ages[:3].mean()) / ages[:3].std(), rtol=1e-5)
    flags = data.x[:, 6:]
    assert set(flags.unique().tolist()) == {0.0, 1.0} and (flags.sum(1) == 8).all()
    assert (flags[:, :3].argmax(1) == data.side["workclass"]).all()


def test_a_part_that_is_missing_or_another_is_said(known, data_root):
    assert find_adult() == {}
    (data_root / "one").write_text(TEST)
    with pytest.raises(ValueError, match=r"test \(.*one\)"):
        find_adult()
    (data_root / "two").write_text(TRAIN.replace("39", "40"))
    with pytest.raises(ValueError, match="two looks like a part"):
        find_adult()
    (data_root / "three").write_text(TRAIN)
    assert set(find_adult()) == {"train", "test"}  # a stranger beside both parts does not matter


def openml(order):
    rows = pd.concat([read_adult({"train": TRAIN, "test": TEST}[part].encode()) for part in order], ignore_index=True)
    rows["workclass"] = rows["workclass"].where(rows["workclass"] != "?").astype("category")
    rows["age"] = rows["age"].astype(float)
    return lambda **options: SimpleNamespace(data=rows.drop(columns="income"), target=rows["income"])


@pytest.mark.parametrize("order", [("train", "test"), ("test", "train")])
def test_openml_has_both_parts_in_one_table(known, monkeypatch, order):
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", openml(order))
    data = module.adult()
    assert data.y.tolist() == [0, 1, 0, 1, 1] and data.test.tolist() == [3, 4] and data.source == "OpenML"


def test_openml_in_another_order_has_no_official_test_part(known, monkeypatch):
    mixed = openml(("train", "test"))().data.iloc[::-1].reset_index(drop=True)
    labels = openml(("train", "test"))().target.iloc[::-1].reset_index(drop=True)
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", lambda **o: SimpleNamespace(data=mixed, target=labels))
    data = module.adult()
    assert data.test is None and "could not be told" in data.source
    short = lambda **o: SimpleNamespace(data=mixed[:4], target=labels[:4])
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", short)
    with pytest.raises(ValueError, match="expected 5 rows, found 4"):
        module.adult()


def test_without_a_network_it_is_said_what_to_do(known, monkeypatch):
    def nothing(**options):
        raise OSError("no network")

    monkeypatch.setattr("labkit.datasets.download.fetch_openml", nothing)
    with pytest.raises(FileNotFoundError, match=r"no network.*adult\.data"):
        module.adult()


def test_the_real_table(real_data):
    data = module.adult()
    assert data.x.shape == (48_842, 108) and len(data.test) == 16_281
    assert data.y[:32_561].sum() == 7841 and data.y[32_561:].sum() == 3846
    assert int(data.side["occupation"].max()) == 14
    assert data.x[:32_561, :6].mean(0).abs().max() < 1e-5
