from .encode import ShardedEncoder as ShardedEncoder
from .recommend import recommend as recommend
from .shards import Recommend as Recommend
from .shards import in_shards as in_shards
