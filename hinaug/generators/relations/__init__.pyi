from .relation import RelationGenerator as RelationGenerator
from .reliability import Reliability as Reliability
from .reliability import reliability as reliability
from .reliability import with_truth as with_truth
from .written import WrittenRelation as WrittenRelation
from .written import WrittenReviews as WrittenReviews
