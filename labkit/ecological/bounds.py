"""What the margins of a table force its cells to be: no model, no error."""

from __future__ import annotations

import numpy as np


def bounds(rows, columns) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest share of every column within every row that the margins allow, two arrays ``(P, R, C)``.

    ``[max(0, G - (N - T)) / G, min(G, T) / G]`` with G the row's members, T the column's and N all: everybody in the
    column who does not fit into the other rows must be in this one. A row without members has the bounds 0 and 1.

    Args:
        rows: ``(P, R)`` members. columns: ``(P, C)``, with the same totals.

    Raises:
        ValueError: margins of other shapes, below 0, or with other totals.

    Source: Duncan, Davis (1953), "An alternative to ecological correlation", American Sociological Review 18; King
    (1997), A Solution to the Ecological Inference Problem, ch. 5.
    """
    rows, columns = margins(rows, columns)
    g, t = rows[:, :, None], columns[:, None, :]
    n = rows.sum(1)[:, None, None]
    some = np.where(g > 0, g, 1.0)
    low, high = np.maximum(0, g - (n - t)) / some, np.minimum(g, t) / some
    return np.where(g > 0, low, 0.0), np.where(g > 0, high, 1.0)


def aggregated_bounds(rows, columns) -> tuple[np.ndarray, np.ndarray]:
    """The same for the shares over all units, ``(R, C)``: bounds of the units, weighted by the row's members.

    At least as narrow as the bounds from the summed margins: units add what a total hides.
    """
    rows, columns = margins(rows, columns)
    weights = rows[:, :, None] / np.where(rows.sum(0) > 0, rows.sum(0), 1.0)[:, None]
    low, high = bounds(rows, columns)
    return (weights * low).sum(0), np.where(rows.sum(0)[:, None] > 0, (weights * high).sum(0), 1.0)


def tomography(rows, columns, one: int = 0, other: int = 1, column: int = 0) -> np.ndarray:
    """King's line of every unit: two ends ``(P, 2, 2)`` of the segment that the pair of shares must lie on or below.

    With two rows the shares b1, b2 of the column fulfil ``X_1 b1 + X_2 b2 = T / N`` exactly, hence
    ``b2 = T / (N X_2) - b1 X_1 / X_2``; ``[i, e] = (b1, b2)`` at end e. With more rows the others take an unknown part
    of the column: the segment is the upper edge, drawn as if they took as little of it as they can. A unit without
    members in one of the two rows has NaN.

    Source: King (1997), ch. 6.
    """
    rows, columns = margins(rows, columns)
    if one == other:
        raise ValueError(f"a line needs two rows, got {one} twice")
    a, b, t = rows[:, one], rows[:, other], columns[:, column]
    rest = rows.sum(1) - a - b
    outside = rows.sum(1) - t  # members of the other columns: as many of the rest as possible are there
    t = np.minimum(t - np.maximum(0, rest - outside), a + b)
    with np.errstate(invalid="ignore", divide="ignore"):
        first = np.maximum(0, t - b) / a, np.minimum(b, t) / b
        second = np.minimum(a, t) / a, np.maximum(0, t - a) / b
    ends = np.stack([np.stack(first, -1), np.stack(second, -1)], 1)
    return np.where(((a > 0) & (b > 0))[:, None, None], ends, np.nan)


def margins(rows, columns) -> tuple[np.ndarray, np.ndarray]:
    """Both margins as float64, checked."""
    rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
    if rows.ndim != 2 or columns.ndim != 2 or len(rows) != len(columns) or not len(rows):
        raise ValueError(f"margins have shapes (units, rows) and (units, columns), got {rows.shape}, {columns.shape}")
    if not (rows >= 0).all() or not (columns >= 0).all():
        raise ValueError("margins are numbers of members from 0")
    apart = np.abs(rows.sum(1) - columns.sum(1)) > 1e-6 * np.maximum(rows.sum(1), 1)
    if apart.any() or (rows.sum(1) == 0).any():
        i = int((apart | (rows.sum(1) == 0)).argmax())
        raise ValueError(
            f"the margins of a unit count the same members, at least one; unit {i} has "
            f"{rows[i].sum():g} in its rows and {columns[i].sum():g} in its columns"
        )
    return rows, columns
