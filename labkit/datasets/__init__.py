"""Where x and clean y come from: bundled sets, synthetic ones with known truth, downloads, and folders of your own.

>>> load("digits")
Data digits: 1,797 × (64,), 10 classes
"""

from __future__ import annotations

import inspect

from labkit.datasets.adult import adult, find_adult
from labkit.datasets.base import Data, Split
from labkit.datasets.bundled import breast_cancer, digits, wine
from labkit.datasets.candidate_sets import candidate_sets, captioned, find_candidate_sets
from labkit.datasets.captions import caption_prompts, captions
from labkit.datasets.cifar_h import cifar10h, find_votes
from labkit.datasets.cifar_n import (
    HUMAN_MATRICES,
    cifar10n,
    find_cifar_n,
    human_matrix,
    load_cifar100_n,
    load_cifar_n,
)
from labkit.datasets.collages import collages, label_sets
from labkit.datasets.download import cache_folder
from labkit.datasets.events import events
from labkit.datasets.hierarchical import class_groups, hierarchical_mixture, hierarchy
from labkit.datasets.idx import read_idx
from labkit.datasets.images import cifar10, fashion_mnist, find_cifar10, find_fashion_mnist
from labkit.datasets.label_errors import LABEL_ERRORS, LabelErrors, find_label_errors, load_label_errors
from labkit.datasets.latent_shift import latent_shift
from labkit.datasets.local import data_folder, local
from labkit.datasets.merged import merged
from labkit.datasets.ordinal import diabetes_levels, ordinal
from labkit.datasets.people import people
from labkit.datasets.precincts import Precincts, drawn_precincts, find_precincts, load_precincts, precincts, senc
from labkit.datasets.predictions import Predictions, drawn_predictions, load_predictions
from labkit.datasets.preferences import preferences, utility
from labkit.datasets.rotated import rotated_digits
from labkit.datasets.segmentation import digit_canvas, digit_masks
from labkit.datasets.sets import sets_of
from labkit.datasets.synthetic import Mixture, gaussian_mixture, gaussians
from labkit.datasets.texts import TextModel, Vocabulary, text_model, texts
from labkit.names import look_up, nearest

__all__ = [
    "HUMAN_MATRICES", "LABEL_ERRORS", "NAMES", "Data", "LabelErrors", "Mixture", "Precincts", "Predictions", "Split",
    "TextModel", "Vocabulary", "available", "cache_folder", "caption_prompts", "class_groups", "data_folder",
    "drawn_precincts", "drawn_predictions", "find_label_errors", "gaussian_mixture", "hierarchical_mixture",
    "human_matrix", "label_sets", "latent_shift", "load", "load_cifar100_n", "load_cifar_n", "load_label_errors",
    "load_precincts", "load_predictions", "merged", "read_idx", "sets_of", "text_model", "utility",
]  # fmt: skip

LOADERS = {
    "digits": digits, "breast_cancer": breast_cancer, "wine": wine, "diabetes_levels": diabetes_levels,
    "rotated_digits": rotated_digits, "digit_masks": digit_masks, "digit_canvas": digit_canvas,
    "gaussians": gaussians, "hierarchy": hierarchy,
    "ordinal": ordinal, "events": events, "texts": texts, "preferences": preferences, "captions": captions,
    "people": people, "precincts": precincts,
    "collages": collages, "captioned": captioned,
    "fashion_mnist": fashion_mnist, "cifar10": cifar10, "cifar10h": cifar10h, "cifar10n": cifar10n, "adult": adult,
    "senc": senc, "candidate_sets": candidate_sets, "local": local,
}  # fmt: skip
NAMES = tuple(LOADERS)


def load(name: str, **options) -> Data:
    """The data set ``name`` (one of `NAMES`); ``options`` are those of its function in this package.

    ValueError for an unknown name and TypeError for an unknown option, with the nearest known ones.

    >>> load("digits", flat=False).shape
    (1, 8, 8)
    >>> load("gaussians", n=500, separation=3.0).posterior.shape
    torch.Size([500, 3])
    """
    loader = look_up("dataset", name, LOADERS)
    known = inspect.signature(loader).parameters
    for option in options:
        if option not in known:
            hint = nearest(option, known) if known else "it has none"
            raise TypeError(f"load({name!r}) has no option {option!r}; {hint}")
    if name == "local" and "folder" not in options:
        raise TypeError("load('local') needs the folder: load('local', folder='my-set')")
    return loader(**options)


def available() -> dict[str, str]:
    """Each name with where `load` would take it from now. Reads no network and no pixels."""
    where = {
        **dict.fromkeys(("digits", "breast_cancer", "wine"), "bundled with scikit-learn"),
        "diabetes_levels": "bundled with scikit-learn, in levels",
        "rotated_digits": "bundled with scikit-learn, turned",
        "digit_masks": "drawn on digits bundled with scikit-learn, a class per pixel",
        "digit_canvas": "drawn on digits bundled with scikit-learn in three inks, a class per pixel",
        **dict.fromkeys(("gaussians", "ordinal", "texts"), "drawn, with known posterior"),
        "hierarchy": "drawn in groups of like classes, with known posterior", "events": "drawn, event sequences",
        "preferences": "drawn, with known utility", "captions": "drawn, pairs of image and caption",
        "collages": "drawn on digits bundled with scikit-learn, one or two a picture, with known posterior",
        "people": "drawn, with attributes and known posterior",
        "captioned": "drawn, faces with the names of a caption as candidates, with known posterior",
        "precincts": "drawn, voters of precincts with known tables",
    }  # fmt: skip
    for name, find in (("fashion_mnist", find_fashion_mnist), ("cifar10", find_cifar10)):
        try:
            here, cached = find(), cache_folder() / f"{name}.npz"
            where[name] = "LABKIT_DATA" if here else f"cache {cached}" if cached.exists() else "download from OpenML"
        except (ValueError, FileNotFoundError) as error:
            where[name] = f"error: {error}"
    where["cifar10h"] = "LABKIT_DATA" if find_votes() else "absent: the votes come from LABKIT_DATA only"
    where["cifar10n"] = "LABKIT_DATA" if find_cifar_n() else "absent: the human labels come from LABKIT_DATA only"
    where["candidate_sets"] = "LABKIT_DATA" if find_candidate_sets() else "absent: the sets come from LABKIT_DATA only"
    for name, find, download in (("adult", find_adult, "OpenML"), ("senc", find_precincts, "CRAN")):
        try:
            where[name] = "LABKIT_DATA" if find() else f"download from {download}, kept in {cache_folder()}"
        except ValueError as error:
            where[name] = f"error: {error}"
    where["local"] = "a folder of yours: load('local', folder=...)"
    return where
