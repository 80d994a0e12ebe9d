from __future__ import annotations

import pytest

from labkit.workbook.notebook import Notebook
from labkit.workbook.student import student_copy, write_copies


@pytest.fixture
def source(write, cell, tmp_path):
    answer = cell("The answer is 42.", ["solution"], kind="markdown")
    return write(tmp_path / "notebooks", "01_a/01_b", cell("Your task", kind="markdown"),
                 cell("x = 42", ["solution", "check"]), answer, "y = 1")


def test_solutions_are_replaced_and_nothing_else(source):
    before = source.path.read_text()
    made = student_copy(source)
    assert [cell["source"] for cell in made["cells"][1:]] == [
        "Your task", 'raise NotImplementedError("your turn")', "y = 1"]
    assert made["cells"][2]["metadata"]["tags"] == ["exercise", "check"] and made["cells"][2]["outputs"] == []
    assert "42" not in "".join(cell["source"] for cell in made["cells"])
    assert made["metadata"] == source.content["metadata"] and source.path.read_text() == before
    with pytest.raises(NotImplementedError, match="your turn"):  # nothing unsolved runs green
        exec(made["cells"][2]["source"])


def test_the_copy_is_a_notebook_with_the_same_parameters(source, tmp_path):
    path, = write_copies([source], tmp_path / "class")
    assert path == tmp_path / "class" / "01_a" / "01_b.ipynb"
    assert Notebook("01_a/01_b", path).parameters == source.parameters


def test_a_students_work_is_not_written_over(source, tmp_path):
    path, = write_copies([source], tmp_path / "class")
    path.write_text("my work")
    with pytest.raises(FileExistsError, match="may hold somebody's work"):
        write_copies([source], tmp_path / "class")
    assert path.read_text() == "my work"
    write_copies([source], tmp_path / "class", force=True)
    assert "your turn" in path.read_text()
    with pytest.raises(FileExistsError, match="the notebooks folder itself"):
        write_copies([source], tmp_path / "notebooks", force=True)
    assert "42" in source.path.read_text()
