"""What several metrics compute from the same logits, computed once."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from torch import Tensor

_last = threading.local()


def shared(function: Callable) -> Callable:
    """Decorator: ``function(logits, *options)`` is kept until other logits come.

    The same logits are the same tensor *object*: the chunks of ``over_runs`` are, and nobody writes to them. Nobody may
    write to a result either.
    """

    @functools.wraps(function)
    def known(logits: Tensor, *options):
        if getattr(_last, "logits", None) is not logits:
            _last.logits, _last.results = logits, {}
        key = (function, *options)
        if key not in _last.results:
            _last.results[key] = function(logits, *options)
        return _last.results[key]

    return known


def forget() -> None:
    """Let go of the last logits and of what was computed from them."""
    _last.logits, _last.results = None, {}
