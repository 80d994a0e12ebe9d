"""Profiles (smoke, report, full) as preset parameter values, and the full values of one run.

``notebooks/profiles.yaml`` is ``{profile: {common: {name: value}, NN_topic/NN_slug: {name: value}}}``. Order of
precedence: the notebook's own default, ``common`` (for parameters the notebook has), its own entry, ``-p``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..names import look_up, nearest
from .notebook import PROFILES, Notebook


def load(root: Path, notebooks: Iterable[Notebook]) -> dict[str, dict[str, dict[str, Any]]]:
    """The profiles of the folder ``root``; empty ones without a file. Raises ValueError for an unknown profile,
    notebook or parameter in the file: a misspelt preset would otherwise silently run the defaults."""
    path = root / "profiles.yaml"
    if not path.is_file():
        return {profile: {} for profile in PROFILES}
    import yaml

    try:
        # BaseLoader leaves every scalar as text: YAML 1.1 would make `no` a bool, `010` an eight and `1e-3` a string.
        # The declared type of the parameter reads the text instead.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    notebooks = list(notebooks)
    names = [notebook.name for notebook in notebooks]
    declared = _declared(notebooks)
    for profile, entries in content.items():
        if profile not in PROFILES:
            raise ValueError(f"{path}: unknown profile {profile!r}; {nearest(profile, PROFILES)}")
        for name, values in _mapping(entries, f"{path}: {profile}").items():
            if name != "common" and name not in names:
                raise ValueError(f"{path}: {profile} names the notebook {name!r}; {nearest(name, names)}")
            for parameter in _mapping(values, f"{path}: {profile}: {name}"):
                if name == "common" and parameter not in declared:
                    raise ValueError(f"{path}: {profile}: common sets {parameter!r}, which no notebook has; "
                                     + nearest(parameter, declared))
    return {profile: content.get(profile) or {} for profile in PROFILES}


def resolve(notebook: Notebook, presets: Mapping[str, Mapping[str, Any]], overrides: Iterable[tuple[str, str]] = ()
            ) -> dict[str, Any]:
    """Every parameter of ``notebook`` with its value under one profile's ``presets`` and the ``-p`` pairs.

    Raises ValueError for an unknown parameter (with the nearest known ones) or a value that does not fit.
    """
    declared = {parameter.name: parameter for parameter in notebook.parameters}
    common = {name: text for name, text in (presets.get("common") or {}).items() if name in declared}
    values = {name: parameter.default for name, parameter in declared.items()}
    # only what is left in force is read: `digits` of `common` need not fit a notebook whose own entry replaces it
    for name, text in {**common, **(presets.get(notebook.name) or {}), **dict(overrides)}.items():
        try:
            values[name] = look_up("parameter", name, declared).from_text(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{notebook.name}: {error}") from None
    return values


def _declared(notebooks: Iterable[Notebook]) -> set[str]:
    names: set[str] = set()
    for notebook in notebooks:
        try:
            names |= {parameter.name for parameter in notebook.parameters}
        except ValueError:
            continue  # a broken notebook is reported when it is asked for, not when another one runs
    return names


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) and value not in (None, ""):
        raise ValueError(f"{where}: expected `name: value` lines, got {value!r}")
    return value or {}
