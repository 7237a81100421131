from .deltas import facts_as_delta as facts_as_delta
from .deltas import mentions as mentions
from .dictionary import Dictionary as Dictionary
from .sentences import Fact as Fact
from .sentences import Sentences as Sentences
from .written import WrittenFacts as WrittenFacts
