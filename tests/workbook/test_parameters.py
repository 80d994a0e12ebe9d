from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.workbook.parameters import Parameter, parameters, parse

CELL = """\
# Comments may stand anywhere.
dataset: str = "digits"  # which data (one of: digits, wine)

seeds: int = 20  # how many runs (from 1)
rate: float = 0  # how often a label is wrong (0 to 1)
warm: bool = True
shift: float = -1e-3  # may be negative
alphas: list[float] = [0, 0.1]  # smoothing (0 to 1)
names: list[str] = []  # may contain a # sign
"""


def one(kind, help="", name="x"):
    return Parameter(name, kind, None, help)


def test_a_cell_becomes_declarations_with_plain_defaults():
    found = {p.name: p for p in parse(CELL)}
    assert [(p.name, p.type) for p in found.values()] == [
        ("dataset", "str"), ("seeds", "int"), ("rate", "float"), ("warm", "bool"), ("shift", "float"),
        ("alphas", "list[float]"), ("names", "list[str]")]
    assert found["rate"].default == 0.0 and isinstance(found["rate"].default, float)  # equal runs get equal keys
    assert all(isinstance(value, float) for value in found["alphas"].default)
    assert found["shift"].default == -0.001
    assert found["names"].help == "may contain a # sign"
    assert found["dataset"].constraint == (("digits", "wine"), None, None)
    assert found["rate"].constraint == ((), 0.0, 1.0)
    assert found["seeds"].constraint == ((), 1.0, None)


def test_papermill_reads_the_same_names_from_the_allowed_forms(write, tmp_path):
    from labkit.workbook.execute import light_imports
    with light_imports():
        from papermill import inspect_notebook

    notebook = write(tmp_path, "01_a/01_b", parameters=CELL)
    assert list(inspect_notebook(notebook.path)) == [p.name for p in notebook.parameters]


@pytest.mark.parametrize(("source", "says"), [
    ("seeds = 3", "expected `name: type = literal"),
    ("import os", "expected `name: type = literal"),
    ("seeds: int", "expected `name: type = literal"),
    ("a.b: int = 3", "expected `name: type = literal"),
    ("x: float | None = 1.0", "the type must be bool, int, float, str or list"),
    ("x: tuple[int] = (1,)", "the type must be"),
    ("x: list[list[int]] = []", "the type must be"),
    ("x: int = 2 + 3", "2 + 3 is not a literal"),
    ("x: float = float('nan')", "is not a literal"),
    ("x: float = 1e999", "a finite number"),
    ("x: list[int] = [\n  1,\n]", "on one line"),
    ("x: str = 'a=b'", "single '='"),
    ("x: int = 3  # = three", "single '='"),
    ("x: int = 3\nx: int = 4", "line 2 ('x: int = 4'): 'x' is declared twice"),
    ("x: int = 1.5", "expects int; got 1.5"),
    ("x: int = True", "expects int; got True"),
    ("x: float = 2  # (0 to 1)", "expects float, from 0 to 1; got 2"),
    ("x: str = 'c'  # (one of: a, b)", "one of: a, b; got 'c'"),
    ("x: str = 'c'  # (from 1)", "needs a number"),
    ("x: int = (", "not Python: line 1"),
])
def test_anything_else_in_the_cell_is_refused_with_its_line(source, says):
    with pytest.raises(ValueError, match=r"line \d") as caught:
        parse(source)
    assert says in str(caught.value)


@pytest.mark.parametrize(("kind", "text", "value"), [
    ("float", "1e-3", 0.001), ("float", "5", 5.0), ("float", ".5", 0.5), ("float", "+2", 2.0),
    ("float", "-1.5E2", -150.0),
    ("str", "no", "no"), ("str", "010", "010"), ("str", "null", "null"), ("str", " a b ", " a b "), ("str", "", ""),
    ("int", "10", 10), ("int", "-3", -3), ("int", "0", 0), ("bool", "true", True), ("bool", "False", False),
    ("list[float]", "[1, 0.5]", [1.0, 0.5]), ("list[float]", "1,1e-3", [1.0, 0.001]), ("list[int]", "7", [7]),
    ("list[str]", "a, no ,c", ["a", "no", "c"]), ("list[str]", '["a,b"]', ["a,b"]), ("list[str]", "", []),
    ("list[str]", "[a, b]", ["a", "b"]), ("list[int]", ["1", "2"], [1, 2]), ("list[bool]", "true,false", [True, False]),
])
def test_text_is_read_by_the_declared_type(kind, text, value):
    got = one(kind).from_text(text)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(("kind", "text"), [
    ("int", "010"), ("int", "1e3"), ("int", "1.0"), ("int", "true"), ("int", ""), ("float", "nan"), ("float", "inf"),
    ("float", "1e999"), ("float", "1,5"), ("float", "no"), ("bool", "yes"), ("bool", "1"), ("bool", "no"),
    ("list[int]", "1,,2"), ("list[int]", "[1, true]"), ("list[int]", "[1, [2]]"), ("list[float]", '["1"]'),
    ("int", ["1"]), ("str", ["a"]),
])
def test_text_of_another_type_is_refused(kind, text):
    with pytest.raises((TypeError, ValueError), match="parameter 'x' expects"):
        one(kind).from_text(text)


def test_live_values_are_coerced_to_plain_ones_and_nothing_else_passes():
    assert type(one("int").check(np.int64(4))) is int
    assert type(one("float").check(np.float32(0.5))) is float
    assert one("list[float]").check((1, 2)) == [1.0, 2.0]
    for kind, value in [("int", True), ("float", False), ("int", 1.0), ("bool", 1), ("str", b"a"), ("str", None),
                        ("list[int]", 3), ("list[str]", "ab"), ("float", float("nan")), ("float", "1")]:
        with pytest.raises((TypeError, ValueError), match="expects"):
            one(kind).check(value)


def test_constraints_hold_for_every_element():
    rates = one("list[float]", "noise (0 to 1)")
    assert rates.from_text("0,1") == [0.0, 1.0]
    with pytest.raises(ValueError, match=r"list\[float\], from 0 to 1; got \[0.5, 1.5\]"):
        rates.from_text("0.5,1.5")
    assert one("int", "(one of: 2, 4)").from_text("4") == 4
    with pytest.raises(ValueError, match="one of: 2, 4; got 3"):
        one("int", "(one of: 2, 4)").from_text("3")
    assert one("int", "as in (Smith, 2019)").from_text("-9") == -9  # parentheses that are no constraint


def test_live_parameters_are_checked_against_the_source_of_the_cell():
    namespace = {"In": ["", "import labkit as lk", CELL, "seeds = 5", "p = lk.parameters(globals())"],
                 "dataset": "wine", "seeds": 5, "rate": 0, "warm": False, "shift": 1, "alphas": [1], "names": ["a"]}
    p = parameters(namespace)
    assert (p.dataset, p.seeds, p.rate, p.alphas) == ("wine", 5, 0.0, [1.0])
    assert list(vars(p)) == [d.name for d in parse(CELL)]
    with pytest.raises(AttributeError, match="unknown parameter 'seed'; did you mean 'seeds'"):
        _ = p.seed
    with pytest.raises(AttributeError, match="change 'seeds' in the parameters cell"):
        p.seeds = 6
    with pytest.raises(AttributeError):
        del p.seeds
    with pytest.raises(ValueError, match="'seeds' expects int, from 1; got 0"):
        parameters(namespace | {"seeds": 0})
    with pytest.raises(TypeError, match="'seeds' expects int; got '5'"):
        parameters(namespace | {"seeds": "5"})


@pytest.mark.parametrize("first", ["", "from __future__ import annotations\n"])
def test_live_parameters_without_a_kernel_come_from_annotations(first):
    namespace: dict = {}
    source = first + "a: int = 3\nb: list[float] = [1]\nc: str = 'x'\nd: dict = {}"
    exec(compile(source, "cell", "exec", dont_inherit=True), namespace)
    assert vars(parameters(namespace)) == {"a": 3, "b": [1.0], "c": "x"}
    with pytest.raises(TypeError, match="'a' expects int"):
        parameters(namespace | {"a": 0.5})
    with pytest.raises(ValueError, match="run the cell tagged 'parameters'"):
        parameters({"x": 1})


scalars = {"bool": st.booleans(), "int": st.integers(), "float": st.floats(allow_nan=False, allow_infinity=False),
           "str": st.text()}


@given(st.sampled_from(sorted(scalars)).flatmap(lambda kind: st.tuples(st.just(kind), scalars[kind])))
def test_every_value_survives_its_own_spelling(pair):
    kind, value = pair
    text = value if kind == "str" else json.dumps(value)
    assert one(kind).from_text(text) == value
    assert one(f"list[{kind}]").from_text(json.dumps([value, value])) == [value, value]
