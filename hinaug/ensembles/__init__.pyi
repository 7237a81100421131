from .adarank import AdaRank as AdaRank
from .base import Ensemble as Ensemble
from .base import split_valid as split_valid
from .rank_fusion import RankFusion as RankFusion
from .score_fusion import ScoreFusion as ScoreFusion
from .selection import EnsembleSelection as EnsembleSelection
from .stacking import Stacking as Stacking
from .weighted import Weighted as Weighted
