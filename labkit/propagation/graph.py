"""Who resembles whom: a graph of nearest neighbours, weighted by a kernel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from labkit.names import look_up


class Graph(NamedTuple):
    """Undirected pairs of n examples: ``edges`` ``(e, 2)``, each pair once; ``weights`` ``(e,)`` similarities kappa."""

    edges: Tensor
    weights: Tensor
    n: int


def neighbour_graph(x: Tensor, neighbours: int = 5, scale: float | None = None, metric: str = "cosine") -> Graph:
    """Each example joined to its nearest; ``kappa_ij = exp(-|x_i - x_j| / scale)`` (Matern 1/2).

    A pair is an edge if either is among the other's neighbours, and counts once. Cosine distances rank as Euclidean
    distances between rows of length 1 do, so those are searched.
    Havaldar, Sharma, Sareen, Shanmugam, Raghuveer (2024), section 3; 5 neighbours and scale 1 are theirs.

    Args:
        x: ``(n, ...)`` inputs or embeddings, finite. neighbours: of each example, below n; 0 joins nobody.
        scale: length after which similarity falls by e, above 0. Published 1, which means something else for every
            unit the inputs are measured in; None is the median distance of joined pairs.
        metric: "cosine" (published; for inputs of many dimensions) or "euclidean": who is near.

    Raises:
        ValueError: an unknown metric, more neighbours than other examples, or inputs that are not finite.
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    look_up("metric", metric, dict.fromkeys(("cosine", "euclidean")))
    flat = x.detach().flatten(1).double()
    n = len(flat)
    if not 0 <= neighbours < max(n, 1):
        raise ValueError(f"each of {n} examples has from 0 to {n - 1} neighbours, got neighbours = {neighbours}")
    if not flat.isfinite().all():
        raise ValueError(f"inputs must be finite; {int((~flat.isfinite()).any(1).sum())} of {n} rows are not")
    if neighbours == 0:
        return Graph(torch.zeros(0, 2, dtype=torch.long, device=x.device), flat.new_zeros(0), n)
    rows = flat.cpu().numpy()
    search = NearestNeighbors(n_neighbors=neighbours).fit(normalize(rows) if metric == "cosine" else rows)
    nearest = torch.from_numpy(search.kneighbors(return_distance=False)).to(x.device)  # never the example itself
    own = torch.arange(n, device=x.device)[:, None].expand_as(nearest)
    pairs = torch.stack([torch.minimum(own, nearest), torch.maximum(own, nearest)], -1).flatten(0, 1)
    edges = torch.unique(pairs, dim=0)
    distance = (flat[edges[:, 0]] - flat[edges[:, 1]]).norm(dim=-1)
    length = distance.median().clamp_min(1e-12) if scale is None else scale
    return Graph(edges, torch.exp(-distance / length), n)
