from .copies import Copies as Copies
from .copies import copies as copies
from .membership import Membership as Membership
from .membership import membership as membership
