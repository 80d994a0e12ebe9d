"""What can be computed or simulated without training a network: rates, bounds, small exact models."""

from labkit.theory import knowledge_transfer

__all__ = ["knowledge_transfer"]
