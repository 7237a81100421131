from .append import append_edges as append_edges
from .folder import MANIFEST as MANIFEST
from .folder import manifest_hash as manifest_hash
from .read import load as load
from .write import save as save
