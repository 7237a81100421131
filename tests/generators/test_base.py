"""What every generator shares: the size that is asked for."""

import pytest

from hinaug.errors import ParameterError
from hinaug.generators.base import resolve_size


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 0), (7, 7), (0.25, 10), (1.5, 60), (10**30, 10**30)]
)
def test_a_whole_number_is_a_count_and_a_float_a_share(size, expected):
    assert resolve_size(size, 40, "nodes") == expected


@pytest.mark.parametrize("size", [None, -1, float("nan"), float("inf"), 1e308, True, "3"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ParameterError) as raised:
        resolve_size(size, 40, "nodes")
    assert raised.value.asked is size
