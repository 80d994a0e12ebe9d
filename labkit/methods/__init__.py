"""Methods, each written for one run."""

from labkit.methods.able import ABLE
from labkit.methods.adversarial import RegionalAdversarial
from labkit.methods.base import Batch, Method, Start
from labkit.methods.batch_calibration import DCA, MDCA, MMCE
from labkit.methods.belief_propagation import BeliefPropagation
from labkit.methods.brier import Brier
from labkit.methods.candidate_distillation import CanDist
from labkit.methods.candidates import CAVL, LWS, PRODEN, RC, AverageCandidates
from labkit.methods.co_teaching import CoTeaching, CoTeachingPlus, JoCoR
from labkit.methods.complementary import (
    DiscriminativeComplementary,
    ExponentialSurrogate,
    MultipleComplementary,
    NegativeLearning,
    OrderPreserving,
    PairwiseComparison,
)
from labkit.methods.complementary_estimation import ComplementaryEstimation
from labkit.methods.contrastive import SoftContrastive
from labkit.methods.correction import (
    BackwardCorrection,
    ForwardCorrection,
    NoiseAdaptation,
    Reweighting,
    TRevision,
    VolMinNet,
)
from labkit.methods.cr_dpll import CRDPLL
from labkit.methods.cross_entropy import CrossEntropy, EvidenceLikelihood
from labkit.methods.distillation import Distillation
from labkit.methods.distributionally_robust import ALDRKL, LDRKL
from labkit.methods.divide_mix import DivideMix
from labkit.methods.domain_adversarial import DomainAdversarial
from labkit.methods.early_learning import ELR, ELRPlus
from labkit.methods.easy_llp import EasyLLP
from labkit.methods.gen_bags import GenBags
from labkit.methods.hidden_labels import Alternating, OnlinePseudoLabels
from labkit.methods.implicit_posterior import ImplicitPosterior
from labkit.methods.label_perturbation import AdaptivePerturbation
from labkit.methods.llp_vat import LLPVAT
from labkit.methods.llpfc import LLPFC
from labkit.methods.logit_penalties import LogitPenalty, MaxSup, SmoothingWithoutErrorTerm
from labkit.methods.long_tail import LogitAdjustment, SmallLoss
from labkit.methods.loss_mixture import DynamicBootstrap
from labkit.methods.margins import ACLS, MbLS
from labkit.methods.mean_map import LMM, MeanMap
from labkit.methods.meta_correction import EnhancedMetaLabelCorrection, MetaLabelCorrection
from labkit.methods.mixbag import MixBag
from labkit.methods.mixup import Mixup
from labkit.methods.neighbours import CollectiveBootstrapping
from labkit.methods.nested_dropout import FeatureDropout, NestedCoTeaching, NestedDropout
from labkit.methods.ordinal import AdjacentSmoothing, GaussianOrdinal, OrdinalSmoothing
from labkit.methods.overlap import Overlap
from labkit.methods.part import OnPart
from labkit.methods.partial_distillation import ConfidenceDistillation, SimilarityDistillation, TopKDistillation
from labkit.methods.peer import CORES, FDivergence, PeerLoss
from labkit.methods.per_example import PerExampleSmoothing
from labkit.methods.pico import PiCO
from labkit.methods.pixel_neighbours import NACL, SVLS
from labkit.methods.progressive_early_stopping import ConfidentExamples
from labkit.methods.proportions import CountEM, CountLikelihood, OneAgainstRestCounts, ProportionLoss
from labkit.methods.purification import POP
from labkit.methods.rankmixup import RankMixup
from labkit.methods.representation_calibration import RepresentationCalibration
from labkit.methods.robust import AGCE, AUL, GCE, MAE, RLL, SCE, ActivePassive, JensenShannon, TruncatedGCE
from labkit.methods.self_evolution import SelfEvolutionMixup
from labkit.methods.small_loss_pixels import SmallLossPixels
from labkit.methods.smoothing import ConfidencePenalty, Focal, LabelSmoothing
from labkit.methods.soft_targets import (
    AdaptiveFocal,
    DualFocal,
    GeneralisedSmoothing,
    HardBootstrapping,
    OnlineSmoothing,
    SoftBootstrapping,
    ThresholdedConfidencePenalty,
)
from labkit.methods.sparse_over_parameterisation import SparseOverParameterisation
from labkit.methods.spherical import SphericalSoftmax, TaylorSoftmax, ZLoss
from labkit.methods.tabasco import SelectedOnly
from labkit.methods.temporal import TemporalSmoothing
from labkit.methods.text_augmentation import RandomPolicy, SoftEDA
from labkit.methods.transport import ROT
from labkit.methods.trusted import GoldLossCorrection, TrustedCrossEntropy
from labkit.methods.unbiased_complementary import UnbiasedComplementary
from labkit.methods.valen import VALEN
from labkit.methods.watched import Watched
from labkit.methods.watched_bags import WatchedBags
from labkit.names import look_up

METHODS = {
    "able": ABLE,
    "acls": ACLS,
    "active_passive": ActivePassive,
    "adaptive_focal": AdaptiveFocal,
    "adaptive_perturbation": AdaptivePerturbation,
    "adjacent_smoothing": AdjacentSmoothing,
    "agce": AGCE,
    "aldr_kl": ALDRKL,
    "alternating": Alternating,
    "aul": AUL,
    "average_candidates": AverageCandidates,
    "backward_correction": BackwardCorrection,
    "belief_propagation": BeliefPropagation,
    "can_dist": CanDist,
    "brier": Brier,
    "cavl": CAVL,
    "co_teaching": CoTeaching,
    "co_teaching_plus": CoTeachingPlus,
    "collective_bootstrapping": CollectiveBootstrapping,
    "complementary_estimation": ComplementaryEstimation,
    "confidence_distillation": ConfidenceDistillation,
    "confidence_penalty": ConfidencePenalty,
    "confident_examples": ConfidentExamples,
    "cores": CORES,
    "count_em": CountEM,
    "count_likelihood": CountLikelihood,
    "cr_dpll": CRDPLL,
    "cross_entropy": CrossEntropy,
    "dca": DCA,
    "discriminative_complementary": DiscriminativeComplementary,
    "distillation": Distillation,
    "divide_mix": DivideMix,
    "domain_adversarial": DomainAdversarial,
    "dual_focal": DualFocal,
    "dynamic_bootstrap": DynamicBootstrap,
    "easy_llp": EasyLLP,
    "elr": ELR,
    "elr_plus": ELRPlus,
    "enhanced_meta_label_correction": EnhancedMetaLabelCorrection,
    "evidence_likelihood": EvidenceLikelihood,
    "exponential_surrogate": ExponentialSurrogate,
    "f_divergence": FDivergence,
    "feature_dropout": FeatureDropout,
    "focal": Focal,
    "forward_correction": ForwardCorrection,
    "gaussian_ordinal": GaussianOrdinal,
    "gce": GCE,
    "gen_bags": GenBags,
    "generalised_smoothing": GeneralisedSmoothing,
    "gold_loss_correction": GoldLossCorrection,
    "hard_bootstrapping": HardBootstrapping,
    "implicit_posterior": ImplicitPosterior,
    "jensen_shannon": JensenShannon,
    "jocor": JoCoR,
    "label_smoothing": LabelSmoothing,
    "ldr_kl": LDRKL,
    "llpfc": LLPFC,
    "lmm": LMM,
    "llp_vat": LLPVAT,
    "logit_adjustment": LogitAdjustment,
    "logit_penalty": LogitPenalty,
    "lws": LWS,
    "mae": MAE,
    "maxsup": MaxSup,
    "mbls": MbLS,
    "mdca": MDCA,
    "mean_map": MeanMap,
    "meta_label_correction": MetaLabelCorrection,
    "mix_bag": MixBag,
    "mixup": Mixup,
    "mmce": MMCE,
    "multiple_complementary": MultipleComplementary,
    "nacl": NACL,
    "negative_learning": NegativeLearning,
    "nested_co_teaching": NestedCoTeaching,
    "nested_dropout": NestedDropout,
    "noise_adaptation": NoiseAdaptation,
    "on_part": OnPart,
    "one_against_rest_counts": OneAgainstRestCounts,
    "online_pseudo_labels": OnlinePseudoLabels,
    "online_smoothing": OnlineSmoothing,
    "order_preserving": OrderPreserving,
    "ordinal_smoothing": OrdinalSmoothing,
    "overlap": Overlap,
    "pairwise_comparison": PairwiseComparison,
    "peer_loss": PeerLoss,
    "per_example_smoothing": PerExampleSmoothing,
    "pico": PiCO,
    "pop": POP,
    "proden": PRODEN,
    "proportion_loss": ProportionLoss,
    "random_policy": RandomPolicy,
    "rank_mixup": RankMixup,
    "rc": RC,
    "regional_adversarial": RegionalAdversarial,
    "representation_calibration": RepresentationCalibration,
    "reweighting": Reweighting,
    "rll": RLL,
    "rot": ROT,
    "sce": SCE,
    "selected_only": SelectedOnly,
    "self_evolution_mixup": SelfEvolutionMixup,
    "similarity_distillation": SimilarityDistillation,
    "small_loss": SmallLoss,
    "small_loss_pixels": SmallLossPixels,
    "smoothing_without_error_term": SmoothingWithoutErrorTerm,
    "soft_bootstrapping": SoftBootstrapping,
    "soft_contrastive": SoftContrastive,
    "soft_eda": SoftEDA,
    "sparse_over_parameterisation": SparseOverParameterisation,
    "spherical_softmax": SphericalSoftmax,
    "svls": SVLS,
    "t_revision": TRevision,
    "taylor_softmax": TaylorSoftmax,
    "temporal_smoothing": TemporalSmoothing,
    "thresholded_confidence_penalty": ThresholdedConfidencePenalty,
    "top_k_distillation": TopKDistillation,
    "truncated_gce": TruncatedGCE,
    "trusted_cross_entropy": TrustedCrossEntropy,
    "unbiased_complementary": UnbiasedComplementary,
    "valen": VALEN,
    "volminnet": VolMinNet,
    "watched": Watched,
    "watched_bags": WatchedBags,
    "z_loss": ZLoss,
}


def get(name: str, **hyperparameters) -> Method:
    """A method by name: ``get("label_smoothing", smoothing=0.2)``."""
    return look_up("method", name, METHODS)(**hyperparameters)


__all__ = [*sorted(m.__name__ for m in METHODS.values()), "METHODS", "Batch", "Method", "Start", "get"]
