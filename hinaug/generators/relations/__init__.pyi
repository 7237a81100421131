from .relation import RelationGenerator as RelationGenerator
