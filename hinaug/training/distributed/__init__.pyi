from .columns import Columns as Columns
from .ranks import Ranks as Ranks
from .ranks import joined as joined
