from __future__ import annotations

import json

import pytest

from labkit.workbook.check import check_notebook


@pytest.fixture
def problems(write, tmp_path):
    def of(*cells, name="01_a/01_b", change=None, **options):
        path = write(tmp_path, name, *cells, **options).path
        if change:
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))
        return check_notebook(path)
    return of


def test_a_good_notebook_has_no_problems(problems, cell):
    good = ["import labkit as lk\np = lk.parameters(globals())", "%matplotlib inline\nrate = 3 / 4", "url = 'https://x.org/a'",
            cell("# Title\n![ours](figure.png) [link](https://x.org)", kind="markdown"), "\n".join(["x = 1"] * 25),
            "'m/s'; 'a/b/c'; '/'; 'and/or'; f'{1}/x'"]
    assert problems(*good) == []


@pytest.mark.parametrize(("source", "says"), [
    ("!pip install torch", "cell 2 installs something"), ("%pip install x", "cell 2 installs something"),
    ("import os\nos.system('pip install x')", "cell 2 installs something"),
    ("open('/home/me/data.csv')", "names the absolute path '/home/me/data.csv'"),
    ("x = '/data'", "names the absolute path"), (r"x = 'C:\\data'", "names the absolute path"),
    ("x = '~/data'", "names the absolute path"), ("input('name?')", "calls input()"),
    ("import sys\nsys.path.append('..')", "touches sys.path"), ("\n".join(["x = 1"] * 26), "cell 2 has 26 lines"),
    ("def f(:", "cell 2 does not parse: line 1"),
])
def test_a_cell_that_does_not_travel_is_told(problems, source, says):
    found = problems(source)
    assert len(found) == 1 and says in found[0], found


@pytest.mark.parametrize("source", ["![x](https://x.org/a.png)", "<img src='//x.org/a.png'>",
                                    '<script type="x" src="http://x.org/a.js"></script>'])
def test_markdown_from_the_network_is_told(problems, cell, source):
    found = problems(cell(source, kind="markdown"))
    assert len(found) == 1 and "from the network" in found[0]


@pytest.mark.parametrize("change", [
    lambda c: c["cells"][1].update(outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}]),
    lambda c: c["cells"][1].update(execution_count=3),
])
def test_committed_outputs_are_told(problems, change):
    found = problems("x = 1", change=change)
    assert len(found) == 1 and "cell 2 has outputs saved in it; strip them" in found[0]


@pytest.mark.parametrize(("options", "says"), [
    ({"parameters": None}, "expected one code cell tagged 'parameters', found 0"),
    ({"parameters": "x = 3"}, "expected `name: type = literal"),
    ({"parameters": "x: int = 1 + 1  # help"}, "is not a literal"),
    ({"parameters": ""}, "declares nothing"),
    ({"parameters": "x: int = 1"}, "parameter 'x' has no help"),
    ({"spec": {"name": "conda-env", "language": "python"}}, "expected exactly name 'python3' and language 'python'"),
    ({"spec": {"name": "python3"}}, "language None"),
    ({"spec": {"name": "ir", "language": "R"}}, "the kernelspec is 'ir'"),
    ({"name": "topic/01_b"}, "expected NN_topic/NN_slug"),
])
def test_the_contract_of_a_file_is_told(problems, options, says):
    found = problems(**options)
    assert len(found) == 1 and says in found[0], found


@pytest.mark.parametrize(("field", "value", "says"), [
    ("title", "", "expected a text"), ("question", None, "expected a text"), ("gpu", "no", "expected true or false"),
    ("datasets", "digits", "expected a list"), ("papers", None, "expected a list"),
    ("minutes", 3, "expected a mapping"),
    ("minutes", {"smoke": 1, "report": 2}, "minutes.full is None"),
    ("minutes", {"smoke": True, "report": 2, "full": 3}, "minutes.smoke is True"),
])
def test_missing_metadata_are_told(problems, field, value, says):
    found = problems(change=lambda c: c["metadata"]["labkit"].update({field: value}))
    assert len(found) == 1 and says in found[0] and f"metadata.labkit.{field}" in found[0], found


def test_a_file_that_is_no_notebook_is_one_problem(tmp_path):
    (tmp_path / "x.ipynb").write_text("{")
    assert len(check_notebook(tmp_path / "x.ipynb")) == 1
