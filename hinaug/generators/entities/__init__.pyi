from .aggregation import Aggregation as Aggregation
from .cfgan import CFGAN as CFGAN
from .joint_gan import JointGAN as JointGAN
from .joint_vae import JointVAE as JointVAE
from .moments import PopularNodes as PopularNodes
from .moments import SecondMoment as SecondMoment
from .synthesis import Synthesis as Synthesis
