"""Small networks, written for one run and stackable into a fleet.

Every model is a ``body`` (input to penultimate features) and a linear ``head`` (features to logits). None keeps
running statistics: batch normalisation updates buffers in place and ties examples of a batch together, so the
residual network normalises by group instead (Wu, He, 2018).
"""

from __future__ import annotations

from labkit.models.adversarial import WithDiscriminator, discriminate
from labkit.models.base import Architecture, AsImage, Linear, Model, initialised
from labkit.models.dense import Patches, PatchNet
from labkit.models.labelled import WithLabelHead, consult
from labkit.models.networks import MLP, LeNet, LinearModel, ResNet
from labkit.models.pairs import Scores, TwoTower
from labkit.models.projected import WithProjection, embed, project
from labkit.models.sets import SetNet
from labkit.models.text import BagOfWords
from labkit.names import look_up

MODELS = {"linear": LinearModel(), "mlp": MLP(), "lenet": LeNet(), "resnet": ResNet()}


def architecture(model: str | Architecture) -> Architecture:
    """An architecture by name ("linear", "mlp", "lenet", "resnet") or as it is."""
    if isinstance(model, Architecture):
        return model
    return look_up("model", model, MODELS)

__all__ = [
    "MLP", "MODELS", "Architecture", "AsImage", "BagOfWords", "LeNet", "Linear", "LinearModel", "Model", "PatchNet",
    "Patches", "ResNet", "Scores", "SetNet", "TwoTower", "WithDiscriminator", "WithLabelHead", "WithProjection",
    "architecture", "consult", "discriminate", "embed", "initialised", "project",
]  # fmt: skip
