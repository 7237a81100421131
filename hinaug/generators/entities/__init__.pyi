from .aggregation import Aggregation as Aggregation
from .synthesis import Synthesis as Synthesis
from .vae import VAE as VAE
from .wgan import WGAN as WGAN
from .joint_vae import JointVAE as JointVAE
from .moments import PopularNodes as PopularNodes
from .moments import SecondMoment as SecondMoment
