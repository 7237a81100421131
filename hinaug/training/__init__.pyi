from .estimator import Estimator as Estimator
from .loop import Trained as Trained
from .loop import train as train
from .run import Epoch as Epoch
from .validation import Validation as Validation
