from __future__ import annotations

import json

import pytest

from labkit.workbook import keys
from labkit.workbook.keys import data_identity, package_digest, run_key
from labkit.workbook.notebook import Notebook

VALUES = {"dataset": "digits", "seeds": 3}


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("LABKIT_DATA", raising=False)


def edited(notebook: Notebook, change) -> Notebook:
    content = json.loads(notebook.path.read_text())
    change(content)
    notebook.path.write_text(json.dumps(content))
    return Notebook(notebook.name, notebook.path)


def test_a_copy_under_another_name_is_another_run(write, tmp_path):
    # else two equal notebooks would wait for each other and share their checkpoints
    one, two = (write(tmp_path, name, "print(1)") for name in ("01_a/01_b", "01_a/02_c"))
    assert run_key(one, VALUES, "report") != run_key(two, VALUES, "report")


def test_what_decides_the_numbers_is_in_the_key_and_nothing_else(write, tmp_path, monkeypatch):
    notebook = write(tmp_path, "01_a/01_b", "print(1)")
    key = run_key(notebook, VALUES, "report")
    assert len(key) == 64 and key == run_key(notebook, dict(reversed(VALUES.items())), "report")
    noise = {"outputs": [{"output_type": "stream"}], "execution_count": 7, "id": "z"}
    same = edited(notebook, lambda c: c["cells"][1].update(noise))
    assert run_key(same, VALUES, "report") == key
    as_lines = edited(notebook, lambda c: c["cells"][1].update(source=["print", "(1)"]))
    assert run_key(as_lines, VALUES, "report") == key
    assert run_key(notebook, VALUES | {"seeds": 4}, "report") != key
    assert run_key(notebook, VALUES, "smoke") != key
    assert run_key(edited(notebook, lambda c: c["cells"][1].update(source="print(2)")), VALUES, "report") != key
    edited(notebook, lambda c: c["cells"][1].update(source="print(1)"))
    assert run_key(Notebook(notebook.name, notebook.path), VALUES, "report") == key
    tagged = edited(notebook, lambda c: c["cells"][1]["metadata"].update(tags=["check"]))
    assert run_key(tagged, VALUES, "report") != key
    edited(notebook, lambda c: c["cells"][1]["metadata"].update(tags=[]))
    monkeypatch.setattr(keys, "package_version", lambda: "9.9")
    assert run_key(Notebook(notebook.name, notebook.path), VALUES, "report") != key


def test_a_changed_package_has_another_digest_but_a_changed_page_has_not(tmp_path, monkeypatch):
    for name in ("losses/gce.py", "workbook/keys.py", "workbook/parameters.py", "workbook/report.py", "cli.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a = 1")
    monkeypatch.setattr(keys, "__file__", str(tmp_path / "workbook" / "keys.py"))

    def digest():
        return package_digest.__wrapped__()

    first = digest()
    for name, counts in (("workbook/report.py", False), ("cli.py", False), ("workbook/parameters.py", True),
                         ("losses/gce.py", True)):
        before = digest()
        (tmp_path / name).write_text("a = 2")
        assert (digest() != before) is counts, name
    (tmp_path / "losses" / "new.py").write_text("")
    assert digest() != first


def test_another_data_folder_is_another_run_wherever_it_lies(write, tmp_path, monkeypatch):
    notebook = write(tmp_path, "01_a/01_b")
    wants = {"dataset": "fashion_mnist"}
    assert data_identity(notebook, wants) == ""
    identities = []
    for place, content in (("one", b"a" * 300_000), ("two", b"a" * 300_000), ("three", b"a" * 299_999 + b"b")):
        (tmp_path / place / "set").mkdir(parents=True)
        (tmp_path / place / "set" / "images").write_bytes(content)
        monkeypatch.setenv("LABKIT_DATA", str(tmp_path / place))
        identities.append(data_identity(notebook, wants))
    assert identities[0] == identities[1] != identities[2]  # the same files elsewhere; the same size with another end
    assert data_identity(notebook, {"dataset": "digits"}) == ""
    assert data_identity(notebook, {"datasets": ["digits", "cifar10"]}) == identities[2]
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder, and the run wants fashion_mnist"):
        data_identity(notebook, wants)


def test_the_sets_from_folders_are_those_that_are_not_bundled_or_drawn():
    from labkit.datasets import NAMES, available
    here = available()
    assert set(here) == set(NAMES)
    assert {n for n, where in here.items() if not where.startswith(("bundled", "drawn"))} == set(keys.FROM_FOLDERS)


def test_without_a_dataset_parameter_the_metadata_say_what_is_read(write, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    assert data_identity(write(tmp_path, "01_a/01_b", about={"datasets": ["digits"]}), {"seeds": 1}) == ""
    assert data_identity(write(tmp_path, "01_a/02_b", about={"datasets": ["digits", "cifar10"]}), {"seeds": 1})
