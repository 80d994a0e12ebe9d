"""What can be computed or simulated without training a network: rates, bounds, small exact models."""

from labkit.theory import identifiability, knowledge_transfer, signal_strength

__all__ = ["identifiability", "knowledge_transfer", "signal_strength"]
