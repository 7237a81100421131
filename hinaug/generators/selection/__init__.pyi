from .choose import agreed as agreed
from .choose import at_random as at_random
from .choose import diverse as diverse
from .choose import most_confident as most_confident
from .conformal import conformal as conformal
from .denoiser import Denoiser as Denoiser
from .influence import influential as influential
from .influence import influential_on_valid as influential_on_valid
