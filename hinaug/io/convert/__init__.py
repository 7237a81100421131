"""Graphs to and from PyG HeteroData, networkx, scipy, pandas and Parquet, one form a file.

`to_x` shows the graph as seen through its deltas: external ids in the user's own type (text as
soon as generated nodes are among them), generated rows included. `from_x` makes one Delta of the
generated rows, so `from_x(to_x(hin)).equals(hin)`; for networkx, up to the order of edges.

No form keeps the masked rows, which cells a delta filled, which columns it added, or where one
delta ends and the next begins. What else is lost on the way out and back:

    form      lost
    Parquet   nothing
    pandas    lineage; the type of a column without a value
    networkx  categories that nothing uses; without `graph.graph["hinaug_schema"]` also types
              without rows, columns without values, lineage, and widths of numbers
    PyG       lineage; integers and booleans with nulls come back as floats, categories as text,
              dates with the unit of Python's datetime; text columns travel as lists, because
              tensors hold no text
    scipy     everything but one relation and one weight (`hin.adjacency` is the way to scipy)

Marks of generated rows
-----------------------
The columns "origin", "confidence" and "key" are reserved. An export adds all three to a table that
holds generated rows, and null stands in all three for an observed row. `from_x` takes them for
marks only if all of this holds:

    - the three columns stand together;
    - in each row all three have a value, or none has;
    - each key has the form that hinaug gives it, 12 hex digits, ":" and a number.

Every other table with a column of one of these names raises SchemaError, as `HIN.from_tables`
does: rename the column. PyG adds the bool mask `generated`, which is the mark there (see
`from_pyg`).

torch, PyG, networkx and pandas are imported when a function needs them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
