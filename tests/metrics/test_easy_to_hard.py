from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.metrics import crossing, gap_recovered


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_gap_is_the_ratio_where_there_is_a_gap(easy, hard, none):
    found = float(gap_recovered(easy, hard, none, least=0.05))
    if hard - none < 0.05:
        assert np.isnan(found)
    else:
        assert found == pytest.approx((easy - none) / (hard - none))


def test_its_fixed_points():
    assert gap_recovered([0.9, 0.5, 0.4], 0.9, 0.5).tolist() == pytest.approx([1, 0, -0.25])
    assert np.isnan(gap_recovered(0.9, 0.5, 0.5)) and np.isnan(gap_recovered(0.9, 0.3, 0.5))
    with pytest.raises(ValueError, match="above 0"):
        gap_recovered(1, 1, 0, least=0)


def test_where_curves_cross():
    rates = [0.0, 0.2, 0.4]
    assert crossing(rates, above=[0.7, 0.7, 0.7], below=[0.9, 0.8, 0.6]) == pytest.approx(0.3)
    assert crossing(rates, [0.7] * 3, [0.6, 0.9, 0.6]) == 0.0
    assert crossing(rates, [0.8] * 3, [0.9, 0.8, 0.7]) == pytest.approx(0.2)
    assert np.isnan(crossing(rates, [0.1] * 3, [0.9, 0.8, 0.6]))
    with pytest.raises(ValueError, match="increasing"):
        crossing([0.2, 0.1], [0, 0], [1, 1])
