"""Contract kits: does a method keep its contract? For methods of the package and of your own.

    from hinaug.testing import check_predictor
    check_predictor(MyPredictor(("user", "rates", "item")))

| kit                        | for                                                   |
|----------------------------|-------------------------------------------------------|
| `check_predictor`          | every LinkPredictor                                   |
| `check_folds_in`           | new users without a refit                             |
| `check_folds_in_items`     | new items without a refit                             |
| `check_vectors`            | scores that are products of vectors                   |
| `check_generator`          | every Generator                                       |
| `check_entity_generator`   | generators of whole nodes                             |
| `check_whole_nodes`        | nodes with all their links, columns and records       |
| `check_relation_generator` | generators of links                                   |
| `check_saving`             | saved, copied and pickled, a method stays the same    |
| `check_no_training_set`    | a saved method does not give away its training set    |

Each raises AssertionError that says which rule was broken and what to do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
