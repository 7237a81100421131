from .delta import Delta as Delta
from .delta import merge as merge
from .hin import HIN as HIN
from .schema import Column as Column
from .schema import EdgeType as EdgeType
from .schema import Schema as Schema
