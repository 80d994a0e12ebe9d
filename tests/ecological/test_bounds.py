from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.ecological import aggregated_bounds, bounds, tomography


@st.composite
def tables(draw, rows=(1, 4), columns=(2, 4)):
    """A few tables of whole numbers, none of them empty."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(*rows)), draw(st.integers(*columns)))
    cells = draw(st.lists(st.integers(0, 9), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    cells = np.array(cells).reshape(shape)
    cells[:, 0, 0] += cells.sum((1, 2)) == 0
    return cells


@given(tables())
def test_bounds_hold_the_truth_and_leave_room_for_a_distribution(cells):
    rows, columns = cells.sum(2), cells.sum(1)
    low, high = bounds(rows, columns)
    some = rows > 0
    truth = cells[some] / rows[some][:, None]
    assert (low[some] <= truth + 1e-12).all() and (truth <= high[some] + 1e-12).all()
    assert (low.sum(2) <= 1 + 1e-12).all() and (high.sum(2) >= 1 - 1e-12).all()
    assert (low[~some] == 0).all() and (high[~some] == 1).all()
    over = rows.sum(0) > 0
    low, high = aggregated_bounds(rows, columns)
    truth = cells.sum(0)[over] / rows.sum(0)[over][:, None]
    assert (low[over] <= truth + 1e-12).all() and (truth <= high[over] + 1e-12).all()
    wide_low, wide_high = bounds(rows.sum(0)[None], columns.sum(0)[None])
    assert (low >= wide_low[0] - 1e-12).all() and (high <= wide_high[0] + 1e-12).all()  # units add what totals hide


@given(tables(rows=(2, 2), columns=(2, 2)))
def test_two_by_two_bounds_are_the_extreme_tables(cells):
    (low, high), rows, columns = bounds(cells.sum(2), cells.sum(1)), cells.sum(2), cells.sum(1)
    for i in range(len(cells)):
        if rows[i, 0]:
            possible = [k for k in range(rows[i, 0] + 1) if 0 <= columns[i, 0] - k <= rows[i, 1]]
            assert low[i, 0, 0] == pytest.approx(min(possible) / rows[i, 0])
            assert high[i, 0, 0] == pytest.approx(max(possible) / rows[i, 0])


def test_one_row_makes_points():
    low, high = bounds([[50, 0]], [[20, 30]])
    np.testing.assert_allclose(low[0, 0], [0.4, 0.6])
    np.testing.assert_allclose(high[0, 0], [0.4, 0.6])


def test_a_hand_made_unit():
    low, high = bounds([[60, 40]], [[70, 30]])  # of 70, at most 40 are in the other row
    np.testing.assert_allclose(low[0], [[30 / 60, 0], [10 / 40, 0]])
    np.testing.assert_allclose(high[0], [[1, 30 / 60], [1, 30 / 40]])


@given(tables(rows=(2, 2), columns=(2, 3)))
def test_the_line_of_two_rows_holds_the_truth(cells):
    rows, columns = cells.sum(2), cells.sum(1)
    for (first, second), table, row, column in zip(tomography(rows, columns), cells, rows, columns):
        if (row == 0).any():
            assert np.isnan(first).all()
            continue
        for b1, b2 in (first, second):  # both ends fulfil T = G1 b1 + G2 b2
            assert row[0] * b1 + row[1] * b2 == pytest.approx(column[0])
            assert min(b1, b2) >= -1e-12 and max(b1, b2) <= 1 + 1e-12
        share = table[:, 0] / row
        assert first[0] - 1e-9 <= share[0] <= second[0] + 1e-9 and second[1] - 1e-9 <= share[1] <= first[1] + 1e-9


@given(tables(rows=(3, 4)))
def test_with_more_rows_the_truth_lies_on_or_below_the_line(cells):
    rows, columns = cells.sum(2), cells.sum(1)
    ends = tomography(rows, columns, 1, 2, 1)
    some = (rows[:, 1:3] > 0).all(1)
    members = (rows[:, None, 1:3] * ends).sum(2)
    assert (cells[:, 1:3, 1].sum(1)[some, None] <= members[some] + 1e-9).all()


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        ([[1, 2]], [[2, 2]], "unit 0 has 3 in its rows and 4 in its columns"),
        ([[0, 0]], [[0, 0]], "at least one"),
        ([[1, -1]], [[0, 0]], "from 0"),
        ([1, 2], [[1, 2]], "got"),
    ],
)
def test_margins_that_cannot_be_are_refused(rows, columns, says):
    with pytest.raises(ValueError, match=says):
        bounds(rows, columns)


def test_a_line_needs_two_rows():
    with pytest.raises(ValueError, match="two rows"):
        tomography([[1, 2]], [[1, 2]], 1, 1)
