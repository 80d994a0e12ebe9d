"""Made-up texts whose true posterior is known exactly: what does an edited text still say about its class?

A text is a row of word ids; id 0 fills up what is shorter. Content words come in synonym sets of equal size: words
``1 .. S`` are the first set, ``S + 1 .. 2S`` the second, and so on; stop words have the highest ids. Word order
carries nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.datasets.base import Data
from labkit.streams import generator


@dataclass(frozen=True)
class Vocabulary:
    """``sets`` synonym sets of ``synonyms`` words each, then ``stops`` stop words."""

    sets: int = 50
    synonyms: int = 4
    stops: int = 20

    @property
    def content(self) -> int:
        """Number of content words; their ids are ``1 .. content``."""
        return self.sets * self.synonyms

    @property
    def size(self) -> int:
        """Number of ids, the padding 0 included."""
        return 1 + self.content + self.stops


@dataclass(frozen=True, eq=False)
class TextModel:
    """Words are drawn one by one, independently given the class: ``log_words[k, w] = log P(word w | class k)``.

    Column 0, the padding, is 0 in every row, so that it says nothing. Classes are equally likely.
    """

    vocabulary: Vocabulary
    log_words: Tensor  # (K, size) float64

    def sample(self, n: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
        """n texts of ``length / 2`` to ``length`` words from the stream ``(seed, "data")``: ids (n, width), y (n,).

        ``width`` is one and a half times ``length``: augmentation that inserts words needs room.
        """
        rng = generator(seed, "data")
        y = rng.integers(len(self.log_words), size=n)
        count = rng.integers(max(1, length // 2), length + 1, size=n)
        p = self.log_words.exp().numpy()
        p[:, 0] = 0
        cumulative = np.cumsum(p / p.sum(1, keepdims=True), 1)
        uniform = rng.random((n, length))
        words = (uniform[:, :, None] > cumulative[y][:, None, :]).sum(-1).clip(1, self.vocabulary.size - 1)
        texts = np.zeros((n, length * 3 // 2), np.int64)
        texts[:, :length] = np.where(np.arange(length) < count[:, None], words, 0)
        return torch.from_numpy(texts), torch.from_numpy(y)

    def posterior(self, texts: Tensor) -> Tensor:
        """``P(class | text)``: ids (n, L) -> (n, K) float64. What is drawn word by word is naive Bayes, exactly."""
        return torch.softmax(self.log_words.T[texts.long()].sum(-2), -1)


def text_model(classes: int = 4, sets: int = 50, synonyms: int = 4, stops: int = 20, sharpness: float = 1.0,
               strangers: float = 0.2, stop_share: float = 0.4) -> TextModel:
    """The `TextModel` behind ``load("texts")``; the language itself is fixed by these numbers, never by a seed.

    sharpness: how much classes differ: standard deviation over classes of the log-frequency of a meaning.
    strangers: share of content words that stand in a synonym set but mean what another set means ("bank" beside
        "shore"). At 0 replacing a word by a synonym leaves the posterior exactly as it was.
    stop_share: share of stop words in a text; they say nothing about the class.
    """
    if classes < 2 or sets < 2 or synonyms < 2 or stops < 1:
        raise ValueError(f"expected at least 2 classes, 2 sets, 2 synonyms and 1 stop word, got classes={classes}, "
                         f"sets={sets}, synonyms={synonyms}, stops={stops}")
    if not 0 <= strangers <= 1 or not 0 < stop_share < 1 or not sharpness >= 0:
        raise ValueError(f"expected strangers in [0, 1], stop_share in (0, 1) and sharpness from 0, got "
                         f"strangers={strangers}, stop_share={stop_share}, sharpness={sharpness}")
    vocabulary = Vocabulary(sets, synonyms, stops)
    rng = generator(0, "data", 1)
    frequency = torch.log_softmax(torch.from_numpy(sharpness * rng.standard_normal((classes, sets))), 1)
    meaning = np.arange(vocabulary.content) // synonyms
    stranger = rng.permutation(vocabulary.content)[: round(strangers * vocabulary.content)]
    meaning[stranger] = meaning[np.roll(stranger, 1)]  # they swap meanings, so every meaning keeps its number of words
    log_words = torch.zeros(classes, vocabulary.size, dtype=torch.float64)
    content = frequency[:, torch.from_numpy(meaning)] - np.log(synonyms) + np.log(1 - stop_share)
    log_words[:, 1 : 1 + vocabulary.content] = content
    log_words[:, 1 + vocabulary.content :] = np.log(stop_share / stops)
    return TextModel(vocabulary, log_words)


def texts(n: int = 2000, length: int = 16, classes: int = 4, sets: int = 50, synonyms: int = 4, stops: int = 20,
          sharpness: float = 1.0, strangers: float = 0.2, stop_share: float = 0.4, seed: int = 0) -> Data:
    """n texts of `text_model` (see there for the options): x (n, 3/2 length) word ids as floats, y, exact posterior.

    ``seed`` moves the draws, never the language.
    """
    if n < 1 or length < 2:
        raise ValueError(f"expected n >= 1 texts of length >= 2, got n={n}, length={length}")
    model = text_model(classes, sets, synonyms, stops, sharpness, strangers, stop_share)
    x, y = model.sample(n, length, seed)
    names = tuple(f"topic {k}" for k in range(len(model.log_words)))
    return Data("texts", x.float(), y, names, posterior=model.posterior(x))


__all__ = ["TextModel", "Vocabulary", "text_model", "texts"]
