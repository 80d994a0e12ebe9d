from __future__ import annotations

import pytest

from labkit.workbook.notebook import find, folder_of_notebooks, select


@pytest.fixture
def several(write, tmp_path):
    for name in ("00_start/01_tour", "01_smoothing/01_when", "01_smoothing/02_how"):
        write(tmp_path, name)
    write(tmp_path, "05_calibration/01_smoothing_again")
    return find(tmp_path)


def names(found):
    return [notebook.name for notebook in found]


@pytest.mark.parametrize(("selectors", "chosen"), [
    (["all"], 4), (["smoothing"], ["01_smoothing/01_when", "01_smoothing/02_how"]), (["tour"], ["00_start/01_tour"]),
    (["01_smoothing"], 2), (["01_smoothing/02_how"], ["01_smoothing/02_how"]), (["HOW"], ["01_smoothing/02_how"]),
    (["again"], ["05_calibration/01_smoothing_again"]), (["how", "tour"], ["00_start/01_tour", "01_smoothing/02_how"]),
    (["tour", "01_tour"], ["00_start/01_tour"]), (["notebooks/00_start/01_tour.ipynb"], ["00_start/01_tour"]),
])
def test_a_selector_means_a_topic_a_notebook_or_a_part(several, selectors, chosen):
    found = names(select(several, selectors))
    assert found == chosen if isinstance(chosen, list) else len(found) == chosen


def test_a_path_selects_its_file_even_outside(several, write, tmp_path):
    other = write(tmp_path / "elsewhere", "mine/own")
    assert [(n.name, n.path) for n in select(several, [str(other.path)])] == [("mine/own", other.path.resolve())]


def test_an_unknown_selector_names_the_nearest(several):
    with pytest.raises(ValueError, match=r"no notebook is called 'smothing'; did you mean 'smoothing'"):
        select(several, ["tour", "smothing"])
    with pytest.raises(ValueError, match="no notebook is called ''"):
        select(several, [""])


def test_a_notebook_needs_one_parameters_cell(write, cell, tmp_path):
    with pytest.raises(ValueError, match="01_a/01_none: expected one code cell tagged 'parameters', found 0"):
        _ = write(tmp_path, "01_a/01_none", parameters=None).parameters
    with pytest.raises(ValueError, match="found 2"):
        _ = write(tmp_path, "01_a/02_two", cell("x: int = 1", ["parameters"])).parameters
    with pytest.raises(ValueError, match="01_a/03_bad: parameters cell, line 1"):
        _ = write(tmp_path, "01_a/03_bad", parameters="x = 1").parameters


def test_a_foreign_kernel_is_named_with_what_to_do(write, tmp_path):
    assert write(tmp_path, "01_a/01_own").kernel_problem == ""
    assert write(tmp_path, "01_a/02_bare", spec={}).kernel_problem == ""
    problem = write(tmp_path, "01_a/03_r", spec={"name": "ir", "language": "R"}).kernel_problem
    assert "its kernel is 'ir' (R), expected 'python3'" in problem and "JupyterLab" in problem
    assert write(tmp_path, "01_a/04_env", spec={"name": "my-env", "language": "python"}).kernel_problem


def test_a_damaged_file_is_named(write, tmp_path):
    notebook = write(tmp_path, "01_a/01_b")
    notebook.path.write_text(notebook.path.read_text()[:50])
    with pytest.raises(ValueError, match=r"01_b.ipynb: not a notebook, the file is not JSON"):
        _ = notebook.content
    notebook = write(tmp_path, "01_a/02_c")
    notebook.path.write_text('{"nbformat": 3, "worksheets": []}')
    with pytest.raises(ValueError, match="expected a notebook of format 4"):
        _ = notebook.content


def test_the_folder_is_found_upwards(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "01_topic" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "01_topic" / "deep")
    assert folder_of_notebooks() == tmp_path / "notebooks"
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        folder_of_notebooks(tmp_path / "nowhere")
