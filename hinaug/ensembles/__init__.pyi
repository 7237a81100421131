from .adarank import AdaRank as AdaRank
from .base import Ensemble as Ensemble
from .rank_fusion import RankFusion as RankFusion
from .selection import EnsembleSelection as EnsembleSelection
from .stacking import Stacking as Stacking
from .weighted import Weighted as Weighted
