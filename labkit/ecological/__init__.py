"""Ecological inference: what is inside the tables of which only the margins are known.

Unit i (a precinct, a bag) has ``rows[i, r]`` members of every group and ``columns[i, c]`` of every party; sought are
the shares ``beta[i, r, c]`` of the parties within the groups. In the words of label proportions: the group is the only
feature, a categorical one, ``beta`` is the classifier P(party | group), and the columns are the class counts of a bag.

Arrays are NumPy's, float64; P units, R rows (groups), C columns (parties).
"""

from labkit.ecological.bounds import aggregated_bounds, bounds, tomography
from labkit.ecological.hierarchy import Hierarchy, multinomial_dirichlet, several
from labkit.ecological.mixing import effective_size, split_rhat
from labkit.ecological.regression import goodman, neighbourhood, rake
from labkit.ecological.shared import (
    exact_fit,
    exact_log_likelihood,
    mean_field_fit,
    mean_field_log_likelihood,
)

__all__ = [
    "Hierarchy",
    "aggregated_bounds",
    "bounds",
    "effective_size",
    "exact_fit",
    "exact_log_likelihood",
    "goodman",
    "mean_field_fit",
    "mean_field_log_likelihood",
    "multinomial_dirichlet",
    "neighbourhood",
    "rake",
    "several",
    "split_rhat",
    "tomography",
]
