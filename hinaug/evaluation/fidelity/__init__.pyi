from .judge import Fidelity as Fidelity
from .judge import fidelity as fidelity
from .tree import Plot as Plot
from .tree import Property as Property
