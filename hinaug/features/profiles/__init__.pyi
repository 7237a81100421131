from .associations import Associations as Associations
from .associations import associations as associations
from .profile import ItemProfile as ItemProfile
from .profile import UserProfile as UserProfile
