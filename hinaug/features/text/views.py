"""Several views of a text side by side, and the view of its words: tf-idf with a truncated SVD."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from hinaug.errors import NotFittedError, ParameterError
from hinaug.features.text.encoder import TextEncoder
from hinaug.features.text.static import StaticEncoder
from hinaug.features.text.texts import filled, texts_of


def _fingerprint(texts: list[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


@dataclass
class TfIdfEncoder:
    """Words of a text, weighed by how rare they are, as a few dense numbers.

    With n_w times that word w is in a text, N texts and d_w of them with w, a text has
    (1 + log n_w) (log((1 + N) / (1 + d_w)) + 1) for w, scaled to length 1 (Salton and Buckley,
    1988), projected on the first `dim` right singular vectors (Deerwester et al., 1990). It wins
    over BERT where texts are full of names.

    Parameters
    ----------
    dim
        Numbers a vector, at most; fewer where the texts hold fewer words.
    min_texts
        Words in fewer texts are left out.
    words
        Words in a row that are counted together, at most.

    Learned by `fit`: `words_`, `idf_`, `axes_`; `fitted_texts_`, how many different texts it was
    fitted on, and `fitted_on_`, a hash of them. Fit it on the texts of train alone: words and
    weights come from every text that `fit` is given.

    Raises ParameterError where the texts hold no word often enough, NotFittedError before `fit`.

    Example
    -------
    >>> encoder = TfIdfEncoder(dim=2, min_texts=1).fit(["red amp", "red guitar", "blue drum"])
    >>> encoder.encode(["an amp", None]).shape, encoder.fitted_texts_
    ((2, 2), 3)
    """

    dim: int = 256
    min_texts: int = field(default=2, kw_only=True)
    words: int = field(default=1, kw_only=True)

    def fit(self, texts: Sequence[str | None]) -> Self:
        """Learn words, weights and axes from texts; blank ones do not count, equal ones once."""
        from sklearn.utils.extmath import randomized_svd

        given, rows = texts_of(texts)
        unique = list(dict.fromkeys(given[k] for k in rows))
        counter = self._counter()
        try:
            x = counter.fit_transform(unique)
        except ValueError as error:
            raise ParameterError(
                f"TfIdfEncoder: {len(unique):,} texts hold no word that {self.min_texts} of them "
                "have; lower min_texts or give more texts",
                asked=self.min_texts,
                there=len(unique),
            ) from error
        self._counter_ = counter
        self.words_ = list(counter.get_feature_names_out())
        self.idf_ = counter.idf_.astype(np.float32)
        _, _, axes = randomized_svd(x, min(self.dim, *x.shape), random_state=0)
        self.axes_ = np.ascontiguousarray(axes.T, np.float32)
        self.fitted_texts_, self.fitted_on_ = len(unique), _fingerprint(unique)
        return self

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, d]; NaN for a text that is None or blank, zeros where no word is known."""
        if not hasattr(self, "axes_"):
            raise NotFittedError("TfIdfEncoder: call fit with texts of train before encode")
        given, rows = texts_of(texts)
        shown = [given[k] for k in rows]
        axes = self.axes_
        x = self._counter_.transform(shown) @ axes if shown else np.zeros((0, axes.shape[1]))
        return filled(np.asarray(x, np.float32), rows, len(given))

    def _counter(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            sublinear_tf=True,
            min_df=self.min_texts,
            ngram_range=(1, self.words),
            dtype=np.float32,
        )


def _encoder(view: Any) -> Any:
    """A view by name, or an encoder as it is."""
    if view == "tfidf":
        return TfIdfEncoder()
    if view in ("static", "potion"):
        return StaticEncoder()
    if isinstance(view, str):
        return TextEncoder(view)
    if not callable(getattr(view, "encode", None)):
        raise ParameterError(
            f"views: {view!r} is no encoder; give 'tfidf', 'static', the name of a model such as "
            "'minilm', or an object with encode(texts)",
            asked=view,
        )
    return view


@dataclass
class TextViews:
    """Several encoders of a text side by side, each centred and scaled to the same mean length.

    With r_i what view v gives for text i, and m its mean over the texts of `fit`, the text gets
    (r_i - m) / mean_j |r_j - m|, so that a view counts as much as another, however wide or long.

    Parameters
    ----------
    views
        "tfidf", "static" (see `StaticEncoder`), the name of a model for `TextEncoder`, such as
        "minilm", or any object with `encode(texts)`. Those that have `fit` are fitted.

    Learned by `fit`: `encoders_`, `means_`, `lengths_`, and `fitted_texts_`, how many different
    texts they come from. Fit on the texts of train alone.

    Raises ParameterError where a view knows no word of any text, NotFittedError before `fit`.

    Example
    -------
    >>> views = TextViews([TfIdfEncoder(2, min_texts=1)]).fit(["red amp", "blue amp", "red drum"])
    >>> x = views.encode(["red amp", "blue amp", "red drum"])
    >>> round(float(np.linalg.norm(x, axis=1).mean()), 3)
    1.0
    """

    views: Sequence[Any] = ("tfidf", "static")

    def fit(self, texts: Sequence[str | None]) -> Self:
        """Fit the views that can be fitted; learn the mean and the length of each."""
        given, rows = texts_of(texts)
        unique = list(dict.fromkeys(given[k] for k in rows))
        if isinstance(self.views, str) or not len(self.views) or not unique:
            raise ParameterError(
                f"TextViews: views={self.views!r}, {len(unique):,} texts: a list of at least one "
                "view and at least one text are needed",
                asked=self.views,
                there=len(unique),
            )
        self.encoders_ = [_encoder(view) for view in self.views]
        self.means_, self.lengths_ = [], []
        for encoder in self.encoders_:
            if hasattr(encoder, "fit"):
                encoder.fit(unique)
            x = np.asarray(encoder.encode(unique), np.float32)
            if np.isnan(x).all():
                raise ParameterError(
                    f"TextViews: {type(encoder).__name__} knows no word of the {len(unique):,} "
                    "texts; leave this view out",
                    asked=type(encoder).__name__,
                    there=len(unique),
                )
            self.means_.append(np.nanmean(x, axis=0, dtype=np.float64).astype(np.float32))
            length = float(np.nanmean(np.linalg.norm(x - self.means_[-1], axis=1)))
            self.lengths_.append(length if length > 1e-9 else 1.0)
        self.fitted_texts_, self.fitted_on_ = len(unique), _fingerprint(unique)
        return self

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, sum of widths]; NaN for a text that is None or blank. A view without a vector
        for a text counts as its mean.
        """
        if not hasattr(self, "encoders_"):
            raise NotFittedError("TextViews: call fit with texts of train before encode")
        given, rows = texts_of(texts)
        shown = [given[k] for k in rows]
        parts = []
        for encoder, mean, length in zip(self.encoders_, self.means_, self.lengths_, strict=True):
            x = np.asarray(encoder.encode(shown), np.float32) if shown else mean.reshape(1, -1)[:0]
            parts.append(np.nan_to_num((x - mean) / np.float32(length)))
        return filled(np.concatenate(parts, axis=1), rows, len(given))
