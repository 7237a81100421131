"""What a graph holds, whatever the order of its nodes."""

from hinaug import HIN


def linked(hin, type):
    """The edges of a type as pairs of ids, in the order of the graph."""
    src, dst = hin.links(type)
    return list(
        zip(hin.ids(type[0], src).to_pylist(), hin.ids(type[2], dst).to_pylist(), strict=True)
    )


def ids(hin, type):
    return sorted(hin.ids(type).to_pylist())


def nodes(hin, type):
    """The nodes of a type as dicts, by id."""
    rows = zip(hin.ids(type).to_pylist(), hin.nodes[type].to_pylist(), strict=True)
    return sorted((row | {"id": id} for id, row in rows), key=lambda row: row["id"])


def content(hin: HIN):
    """All nodes, and all edges with ids, in no order."""
    out = {type: nodes(hin, type) for type in hin.nodes}
    for edge in hin.edges:
        rows = hin.edges[edge].drop_columns(["src", "dst"]).to_pylist()
        ends = linked(hin, edge)
        out[edge] = sorted(map(str, zip(ends, rows or [None] * len(ends), strict=True)))
    return out
