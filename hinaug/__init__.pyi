from .errors import SchemaError as SchemaError
from .evaluation import advise as advise
from .evaluation import compare as compare
from .evaluation import evaluate as evaluate
from .evaluation import tune as tune
from .features import TextEncoder as TextEncoder
from .features import embed_text as embed_text
from .graph import HIN as HIN
from .graph import Delta as Delta
from .graph import Schema as Schema
from .graph import merge as merge
from .io import load as load
from .io import save as save
from .serving import recommend as recommend
from .split import Split as Split
from .split import audit as audit
from .split import cold_items as cold_items
from .split import cold_users as cold_users
from .split import leave_last as leave_last
from .split import random_split as random_split
from .split import temporal_split as temporal_split
from .split import thin as thin

__version__: str
