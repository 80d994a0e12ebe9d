"""Annotators: clean labels in, evidence out."""

from labkit.annotate.base import Annotator, Chain
from labkit.annotate.noise import Clean, Human, PairFlip, Symmetric, Transition
from labkit.annotate.raters import Raters
from labkit.annotate.votes import HumanVotes, Votes

__all__ = [
    "Annotator", "Chain", "Clean", "Human", "HumanVotes", "PairFlip", "Raters", "Symmetric", "Transition", "Votes",
]  # fmt: skip
