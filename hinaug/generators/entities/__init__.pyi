from .aggregation import Aggregation as Aggregation
from .synthesis import Synthesis as Synthesis
from .vae import VAE as VAE
from .wgan import WGAN as WGAN
