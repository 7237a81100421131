from .guards import Guards as Guards
from .paraphrase import MaskedParaphrase as MaskedParaphrase
from .paraphrase import Paraphrase as Paraphrase
from .paraphrase import ParaphrasedText as ParaphrasedText
from .translation import BackTranslation as BackTranslation
from .written import WrittenCategory as WrittenCategory
from .written import WrittenText as WrittenText
