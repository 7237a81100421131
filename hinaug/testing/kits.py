"""The kits under their old address; import them from `hinaug.testing`."""

from hinaug.testing.generators import check_entity_generator, check_relation_generator
from hinaug.testing.predictors import check_predictor

__all__ = ["check_entity_generator", "check_predictor", "check_relation_generator"]
