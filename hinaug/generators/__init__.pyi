from .control import random_delta as random_delta
from .entities import VAE as VAE
from .entities import WGAN as WGAN
from .entities import Aggregation as Aggregation
from .entities import Synthesis as Synthesis
from .relations import RelationGenerator as RelationGenerator
