from .compare import Comparison as Comparison
from .compare import compare as compare
from .compare import holm as holm
from .evaluate import evaluate as evaluate
from .result import Result as Result
from .result import mean_interval as mean_interval
from .tune import tune as tune
