from .axes import PrincipalAxes as PrincipalAxes
from .axes import nearest_graph as nearest_graph
from .axes import principal_axes as principal_axes
from .columns import Features as Features
from .text import TextEncoder as TextEncoder
from .text import embed_text as embed_text
