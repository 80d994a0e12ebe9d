"""Notebook 05_calibration/03_regularisers_as_smoothing."""

from __future__ import annotations

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import made_up


def against(other: str, setting: str, acls, theirs):
    """ACLS and a rival at two strengths each, one of which is far too unsure: validation must leave it out."""
    settings = {
        ("ACLS", ("margin", 6.0)): acls,
        ("ACLS", ("margin", 2.0)): (0.8, 0.2),
        (other, (setting, 0.1)): theirs,
        (other, (setting, 0.3)): (0.8, 0.2),
    }
    return {"runs": made_up(settings), "tuned": tuned}


def pair(other: str, setting: str):
    """ACLS sound and the rival too sure; then the other way round."""
    return (
        lambda: against(other, setting, (0.8, 0.8), (0.8, 0.9)),
        lambda: against(other, setting, (0.8, 0.9), (0.8, 0.8)),
    )


CASES = {
    "acls-calibrates-better-than-smoothing": pair("smoothing", "smoothing"),
    "acls-calibrates-better-than-margins": pair("MbLS", "margin"),
    "acls-needs-growth": pair("conditional only", "margin"),
    "acls-needs-a-condition": pair("adaptive only", "weight"),
}
