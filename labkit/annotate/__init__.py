"""Annotators: clean labels in, evidence out."""

from labkit.annotate.base import Annotator, Chain
from labkit.annotate.noise import Clean, Human, PairFlip, Symmetric, Transition

__all__ = ["Annotator", "Chain", "Clean", "Human", "PairFlip", "Symmetric", "Transition"]
