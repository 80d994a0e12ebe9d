"""Belief propagation: labels of single examples from counts of bags and from neighbours that are alike."""

from labkit.propagation.count_factor import count_messages
from labkit.propagation.graph import Graph, neighbour_graph
from labkit.propagation.sum_product import Beliefs, energy, propagate

__all__ = ["Beliefs", "Graph", "count_messages", "energy", "neighbour_graph", "propagate"]
