"""Annotators: clean labels in, evidence out."""

from labkit.annotate.bags import AttributeBags, ClusteredBags, DirichletBags, LaplaceCounts, RandomBags
from labkit.annotate.base import Annotator, Chain
from labkit.annotate.candidates import (
    ClassCandidates,
    FlippedCandidates,
    InstanceCandidates,
    TopCandidates,
    UniformCandidates,
)
from labkit.annotate.complementary import (
    ComplementaryLabels,
    OneOfTheShown,
    biased_complement,
    uniform_complement,
)
from labkit.annotate.crowd import Crowd
from labkit.annotate.domains import Domains
from labkit.annotate.instance import (
    CIFAR10_FLIPS,
    DIGIT_FLIPS,
    Asymmetric,
    InstanceDependent,
    MarginBased,
    margin_strength,
)
from labkit.annotate.masks import NoisyMasks, label_iou, matched
from labkit.annotate.noise import Clean, Human, PairFlip, Symmetric, Transition
from labkit.annotate.part import OnlyWhere
from labkit.annotate.placed import ByPlace
from labkit.annotate.proportional import ProportionalFlip
from labkit.annotate.raters import Raters
from labkit.annotate.recorded import (
    DealtAnew,
    DrawnFrom,
    GivenCandidates,
    HumanLabels,
    OnlyTheRight,
    observed_transition,
)
from labkit.annotate.trusted import Trusted
from labkit.annotate.votes import HumanVotes, Votes
from labkit.annotate.weak import weak_posterior

__all__ = [
    "CIFAR10_FLIPS", "DIGIT_FLIPS", "Annotator", "Asymmetric", "AttributeBags", "ByPlace", "Chain", "ClassCandidates",
    "Clean", "ClusteredBags", "ComplementaryLabels", "Crowd", "DealtAnew", "DirichletBags", "Domains", "DrawnFrom",
    "FlippedCandidates", "GivenCandidates", "Human", "HumanLabels", "HumanVotes", "InstanceCandidates",
    "InstanceDependent", "LaplaceCounts", "MarginBased", "NoisyMasks", "OneOfTheShown", "OnlyTheRight", "OnlyWhere",
    "PairFlip", "ProportionalFlip", "RandomBags", "Raters", "Symmetric", "TopCandidates", "Transition", "Trusted",
    "UniformCandidates", "Votes", "biased_complement", "label_iou", "margin_strength", "matched",
    "observed_transition", "uniform_complement", "weak_posterior",
]  # fmt: skip
