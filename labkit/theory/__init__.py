"""What can be computed or simulated without training a network: rates, bounds, small exact models."""

from labkit.theory import bag_risk, identifiability, knowledge_transfer, signal_strength

__all__ = ["bag_risk", "identifiability", "knowledge_transfer", "signal_strength"]
