from .written import WrittenCategory as WrittenCategory
from .written import WrittenText as WrittenText
