from .kits import check_entity_generator as check_entity_generator
from .kits import check_predictor as check_predictor
from .kits import check_relation_generator as check_relation_generator
