"""The parameters cell of a notebook: literal only, typed, documented, checked.

A cell tagged ``parameters`` holds lines ``name: type = literal  # help`` and nothing else; type is bool, int, float,
str or a list of one of them. The help may end in a constraint that is enforced: ``(one of: a, b)``, ``(from 1)`` or
``(0 to 1)``; for a list it holds for every element. The same rules check a value from the command line, from
``profiles.yaml`` and, in a live notebook, whatever the reader has just typed into the cell.
"""

from __future__ import annotations

import ast
import io
import json
import math
import numbers
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..names import nearest

SCALARS = ("bool", "int", "float", "str")
_TYPE = re.compile(r"(bool|int|float|str)|list\[\s*(bool|int|float|str)\s*\]")
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CONSTRAINT = re.compile(rf"\((?:one of:(?P<choices>[^()]*)|from (?P<low>{_NUMBER})|"
                         rf"(?P<least>{_NUMBER}) to (?P<most>{_NUMBER}))\)$")


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str
    default: Any = None
    help: str = ""

    @property
    def scalar(self) -> str:
        """The type of one element: ``float`` for ``list[float]``."""
        return self.type.removeprefix("list[").rstrip("]").strip()

    @property
    def is_list(self) -> bool:
        return self.type.startswith("list[")

    def check(self, value: Any) -> Any:
        """``value`` as a plain Python (JSON) value of the declared type; an int is accepted for a float, a bool for
        nothing but a bool. Raises TypeError for another type, ValueError outside the constraint."""
        if not self.is_list:
            return self._element(value, value)
        if not isinstance(value, (list, tuple)):
            raise TypeError(self._refusal(value))
        return [self._element(element, value) for element in value]

    def from_text(self, text: str | list) -> Any:
        """The value that ``text`` spells, read by the declared type and not by guessing: ``no`` stays a string,
        ``1e-3`` is a float, ``010`` is no int. A list is JSON or comma separated."""
        if not self.is_list:
            return self.check(self._scalar_from_text(text))
        if isinstance(text, str):
            stripped = text.strip()
            if stripped.startswith("["):
                try:
                    return self.check(json.loads(stripped))
                except json.JSONDecodeError:
                    stripped = stripped.removeprefix("[").removesuffix("]")  # [a, b], quotes eaten by the shell
            text = [part.strip() for part in stripped.split(",")] if stripped else []
        return self.check([self._scalar_from_text(part) for part in text])

    def _scalar_from_text(self, text: Any) -> Any:
        if not isinstance(text, str):
            raise TypeError(self._refusal(text))
        if self.scalar == "str":
            return text
        word = text.strip()
        if self.scalar == "bool" and word.lower() in ("true", "false"):
            return word.lower() == "true"
        if self.scalar == "int" and re.fullmatch(r"-?(0|[1-9]\d*)", word):
            return int(word)
        if self.scalar == "float" and re.fullmatch(rf"\+?{_NUMBER}", word):
            return float(word)
        raise TypeError(self._refusal(text))

    def _element(self, value: Any, whole: Any) -> Any:
        kind = self.scalar
        if kind == "bool" and isinstance(value, bool):
            plain = value
        elif kind == "str" and isinstance(value, str):
            plain = str(value)
        elif kind == "int" and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            plain = int(value)
        elif kind == "float" and isinstance(value, numbers.Real) and not isinstance(value, bool):
            plain = float(value)
        else:
            raise TypeError(self._refusal(whole))
        if kind == "float" and not math.isfinite(plain):
            raise ValueError(self._refusal(whole, "a finite number"))
        allowed, low, high = self.constraint
        if allowed and plain not in allowed:
            raise ValueError(self._refusal(whole, "one of: " + ", ".join(map(str, allowed))))
        if (low is not None and plain < low) or (high is not None and plain > high):
            raise ValueError(self._refusal(whole, f"from {low:g}" + (f" to {high:g}" if high is not None else "")))
        return plain

    @property
    def constraint(self) -> tuple[tuple, float | None, float | None]:
        """(choices, lowest, highest) from the end of the help; empty and None where it says nothing."""
        found = _CONSTRAINT.search(self.help)
        if not found:
            return (), None, None
        if found["choices"] is not None:
            plain = Parameter(self.name, self.scalar)
            return tuple(plain.from_text(word.strip()) for word in found["choices"].split(",")), None, None
        if self.scalar not in ("int", "float"):
            raise TypeError(f"parameter {self.name!r} is {self.type}, and a range {found[0]} needs a number")
        low = float(found["low"] or found["least"])
        return (), low, None if found["most"] is None else float(found["most"])

    def _refusal(self, value: Any, wanted: str = "") -> str:
        return f"parameter {self.name!r} expects {self.type}{', ' + wanted if wanted else ''}; got {value!r}"


def parse(source: str) -> tuple[Parameter, ...]:
    """The declarations in the source of a parameters cell, in order. Raises ValueError naming the first bad line."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"the parameters cell is not Python: line {error.lineno}: {error.msg}") from None
    lines, comments = source.splitlines(), _comments(source)
    found: dict[str, Parameter] = {}
    for node in tree.body:
        line = lines[node.lineno - 1]
        wrong = f"parameters cell, line {node.lineno} ({line.strip()!r}): "
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            raise ValueError(wrong + "expected `name: type = literal  # help` and nothing else")
        kind = re.sub(r"\s", "", ast.unparse(node.annotation))
        if not _TYPE.fullmatch(kind):
            raise ValueError(wrong + f"the type must be {', '.join(SCALARS)} or list[...] of one of them, not {kind}")
        if node.end_lineno != node.lineno or line.count("=") != 1:
            raise ValueError(wrong + "write it on one line with a single '=' (papermill loses a line with two)")
        name = node.target.id
        if name in found:
            raise ValueError(wrong + f"{name!r} is declared twice")
        try:
            value = ast.literal_eval(node.value)
            found[name] = Parameter(name, kind, value, comments.get(node.lineno, ""))
            # check() also makes the default a plain value: 1 for a float becomes 1.0, so that equal runs get equal keys
            found[name] = Parameter(name, kind, found[name].check(value), found[name].help)
        except (ValueError, TypeError) as error:
            told = str(error).startswith("parameter ")
            raise ValueError(wrong + (str(error) if told else f"{ast.unparse(node.value)} is not a literal")) from None
    return tuple(found.values())


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("#").strip() for t in tokens if t.type == tokenize.COMMENT}


class Parameters(SimpleNamespace):
    """The checked values of a live notebook, by name; fixed, so that a result belongs to the values shown on top."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"parameters are fixed: change {name!r} in the parameters cell and run the notebook again")

    __delattr__ = lambda self, name: self.__setattr__(name, None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"unknown parameter {name!r}; {nearest(name, vars(self))}")


def parameters(namespace: Mapping[str, Any]) -> Parameters:
    """The notebook's parameters, checked once more: ``p = lk.parameters(globals())`` in the cell after them.

    The declarations (types and constraints) are read from the source of the parameters cell where a kernel keeps it
    (``In``), else the types from ``__annotations__``. Raises TypeError or ValueError for a value that does not fit.
    """
    declared: tuple[Parameter, ...] = ()
    for source in reversed(namespace.get("In", ())):
        try:
            declared = parse(source)
        except ValueError:
            continue
        if declared:
            break
    else:
        # int is a class with a name; list[int] and a postponed "int" are best read as text
        kinds = {name: kind.__name__ if isinstance(kind, type) else str(kind)
                 for name, kind in namespace.get("__annotations__", {}).items()}
        declared = tuple(Parameter(name, kind) for name, kind in kinds.items() if _TYPE.fullmatch(kind))
    if not declared:
        raise ValueError("no parameters here: run the cell tagged 'parameters' (lines `name: type = literal  # help`) "
                         "first, then p = lk.parameters(globals())")
    return Parameters(**{p.name: p.check(namespace[p.name]) for p in declared})
