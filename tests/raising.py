"""`raises`: an error is told by its class, its attributes and the names in it, not by its English."""

import re
from typing import Any

import pytest


def raises(kind: type[BaseException], *, names: str = "", **attributes: Any) -> Any:
    """`pytest.raises` for an error of a class whose attributes have these values.

    names: a word that stands in the message whatever its language, such as a parameter or a file.
    """

    def fits(error: BaseException) -> bool:
        found = {name: getattr(error, name, None) for name in attributes}
        named = re.search(rf"(?<!\w){re.escape(names)}(?!\w)", str(error)) if names else True
        return found == attributes and bool(named)

    return pytest.raises(kind, check=fits)
