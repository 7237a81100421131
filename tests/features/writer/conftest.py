import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from tiny_writer import save_tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("llama"))
