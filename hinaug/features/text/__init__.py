"""Text as features: encoders of the BERT family, and text columns turned into vectors."""

from hinaug.features.text.encoder import TextEncoder, embed_text

__all__ = ["TextEncoder", "embed_text"]
