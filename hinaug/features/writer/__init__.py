"""Writers: whatever turns prompts into texts, such as a language model, a server or a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
