"""Text as features: encoders of the BERT family and other views, columns turned into vectors."""

from hinaug.features.text.adapt import adapt, linked_texts
from hinaug.features.text.embed import embed_text
from hinaug.features.text.encoder import TextEncoder
from hinaug.features.text.static import StaticEncoder
from hinaug.features.text.views import TextViews, TfIdfEncoder

__all__ = [
    "StaticEncoder",
    "TextEncoder",
    "TextViews",
    "TfIdfEncoder",
    "adapt",
    "embed_text",
    "linked_texts",
]
