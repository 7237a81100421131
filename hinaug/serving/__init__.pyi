from .recommend import recommend as recommend
