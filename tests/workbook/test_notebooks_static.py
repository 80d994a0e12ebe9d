"""The committed notebooks keep the contract, fit every profile, and are read by papermill as we read them."""

from __future__ import annotations

from pathlib import Path

from labkit.workbook.check import check_notebook
from labkit.workbook.keys import FROM_FOLDERS
from labkit.workbook.notebook import PROFILES, find
from labkit.workbook.profiles import load, resolve

ROOT = Path(__file__).resolve().parents[2] / "notebooks"


def problems(root: Path) -> list[str]:
    """All that is wrong with the notebooks in ``root``: each alone, with the profiles, and with papermill's reading."""
    from labkit.workbook.execute import light_imports
    with light_imports():
        from papermill import inspect_notebook

    notebooks = find(root)
    found = [f"{n.name}: {problem}" for n in notebooks for problem in check_notebook(n.path)]
    if found or not notebooks:
        return found
    presets = load(root, notebooks)
    for notebook in notebooks:
        for profile in PROFILES:
            resolve(notebook, presets[profile])  # raises for a value that does not fit
        if list(inspect_notebook(notebook.path)) != [p.name for p in notebook.parameters]:
            found.append(f"{notebook.name}: papermill reads other parameters than labkit")
    titles = [notebook.about["title"] for notebook in notebooks]
    return found + [f"two notebooks are called {title!r}" for title in set(titles) if titles.count(title) > 1]


def test_the_committed_notebooks_are_in_order():
    assert problems(ROOT) == []


def test_this_check_can_fail(write, tmp_path):
    write(tmp_path, "01_a/01_b", "x = 1")
    assert problems(tmp_path) == []
    write(tmp_path, "01_a/02_c", "x = 1")
    assert problems(tmp_path) == ["two notebooks are called 'Tiny'"]
    write(tmp_path, "01_a/02_c", "!pip install x")
    found, = problems(tmp_path)
    assert found.startswith("01_a/02_c: cell 2 installs something")


def test_the_committed_profiles_name_what_a_profile_is_for():
    """smoke is small and offline, report is offline, full is at the size of the papers."""
    import yaml

    content = yaml.load((ROOT / "profiles.yaml").read_text(), Loader=yaml.BaseLoader)
    assert set(content) == set(PROFILES)
    seeds = [int(content[profile]["common"]["seeds"]) for profile in PROFILES]
    assert seeds == [3, 20, 20] and content["smoke"]["common"]["device"] == "cpu"
    assert content["full"]["common"]["dataset"] == "fashion_mnist"
    offline = {value.get("dataset") for profile in ("smoke", "report") for value in content[profile].values()}
    assert not offline & set(FROM_FOLDERS)
    for notebook in find(ROOT):  # what a notebook declares itself must be offline too
        (declared,) = (p.default for p in notebook.parameters if p.name == "dataset")
        assert declared not in FROM_FOLDERS, notebook.name
