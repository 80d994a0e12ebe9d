from __future__ import annotations

import pytest

from labkit.workbook.notebook import find
from labkit.workbook.profiles import load, resolve

CELL = "seeds: int = 3  # (from 1)\nrate: float = 0.5\nmethod: str = 'a'\nalphas: list[float] = [0.1]"
YAML = """
smoke:
  common: {seeds: 2, rate: 1e-3, epochs: 4}
report:
  01_a/01_b: {method: no, alphas: [0, 1e-2]}
  common: {seeds: 20}
full:
"""


@pytest.fixture
def loaded(write, tmp_path):
    def load_text(text):
        notebook = write(tmp_path, "01_a/01_b", parameters=CELL)
        write(tmp_path, "01_a/02_c", parameters="epochs: int = 1")
        (tmp_path / "profiles.yaml").write_text(text)
        return notebook, load(tmp_path, find(tmp_path))
    return load_text


def test_order_is_default_common_notebook_override(loaded):
    notebook, presets = loaded(YAML)
    assert resolve(notebook, presets["smoke"]) == {"seeds": 2, "rate": 0.001, "method": "a", "alphas": [0.1]}
    # in YAML 1.1 `no` would be False and 1e-2 a string
    assert resolve(notebook, presets["report"]) == {"seeds": 20, "rate": 0.5, "method": "no", "alphas": [0.0, 0.01]}
    assert resolve(notebook, presets["full"]) == {"seeds": 3, "rate": 0.5, "method": "a", "alphas": [0.1]}
    assert resolve(notebook, presets["report"], [("seeds", "5"), ("seeds", "6")])["seeds"] == 6


def test_a_common_value_need_not_fit_where_a_notebook_has_its_own(loaded):
    notebook, presets = loaded("smoke:\n  common: {seeds: 0}\n  01_a/01_b: {seeds: 7}\nfull:\n  common: {seeds: 0}")
    assert resolve(notebook, presets["smoke"])["seeds"] == 7
    with pytest.raises(ValueError, match="expects int, from 1; got 0"):
        resolve(notebook, presets["full"])


def test_without_a_file_defaults_hold(write, tmp_path):
    notebook = write(tmp_path, "01_a/01_b", parameters=CELL)
    assert resolve(notebook, load(tmp_path, [notebook])["full"])["seeds"] == 3


@pytest.mark.parametrize(("overrides", "says"), [
    ([("sedes", "5")], "01_a/01_b: unknown parameter 'sedes'; did you mean 'seeds'"),
    ([("seeds", "0")], "01_a/01_b: parameter 'seeds' expects int, from 1; got 0"),
    ([("rate", "low")], "01_a/01_b: parameter 'rate' expects float; got 'low'"),
])
def test_overrides_are_strict(loaded, overrides, says):
    notebook, presets = loaded(YAML)
    with pytest.raises(ValueError, match="^" + says.replace("(", r"\(")):
        resolve(notebook, presets["smoke"], overrides)


@pytest.mark.parametrize(("text", "says"), [
    ("smok:\n  common: {}", "unknown profile 'smok'; did you mean 'smoke'"),
    ("smoke:\n  01_a/01_c: {seeds: 1}", "names the notebook '01_a/01_c'; did you mean '01_a/02_c'"),
    ("smoke:\n  common: {sedes: 1}", "common sets 'sedes', which no notebook has; did you mean 'seeds'"),
    ("smoke:\n  common: [seeds]", "expected `name: value` lines"),
    ("smoke: 3", "expected `name: value` lines"),
    ("smoke: {", "is not YAML"),
])
def test_a_misspelt_preset_is_an_error(loaded, text, says):
    with pytest.raises(ValueError, match=r"profiles\.yaml") as caught:
        loaded(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_preset_that_does_not_fit_its_parameter_is_an_error(loaded):
    notebook, presets = loaded("smoke:\n  01_a/01_b: {seeds: many}")
    with pytest.raises(ValueError, match="'seeds' expects int; got 'many'"):
        resolve(notebook, presets["smoke"])
