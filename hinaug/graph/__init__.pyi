from .delta import Delta as Delta
from .hin import HIN as HIN
from .merge import merge as merge
from .schema import Column as Column
from .schema import EdgeType as EdgeType
from .schema import Schema as Schema
