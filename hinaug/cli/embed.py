"""The verb embed; the encoder is in `hinaug.features.text`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import pyarrow as pa
import typer

from hinaug.cli.drop import graph_without
from hinaug.cli.folders import check_out, opened
from hinaug.cli.options import Drop, Force, Json
from hinaug.cli.output import answer, tell, words
from hinaug.errors import ParameterError, SchemaError
from hinaug.features.text import StaticEncoder, TextEncoder, TextViews, TfIdfEncoder, embed_text
from hinaug.features.text.embed import text_column
from hinaug.features.text.locate import MINILM_INSTALL, POTION_INSTALL
from hinaug.graph import HIN
from hinaug.graph.arrow import lineage_of
from hinaug.io import save
from hinaug.serving import ShardedEncoder
from hinaug.split import Split


def embed(
    store: Annotated[Path, typer.Argument(help="The store of a graph, or of a split.")],
    node: Annotated[
        str, typer.Option("--type", help="The node type whose text is read, such as item.")
    ],
    columns: Annotated[
        str,
        typer.Option(help="Columns of text, with commas between them; joined in this order."),
    ],
    out: Annotated[Path, typer.Option(help="The store to write: the same with the new column.")],
    model: Annotated[
        str,
        typer.Option(
            help="A folder with a BERT-like model, its name on the Hugging Face hub, or minilm "
            f"({MINILM_INSTALL})."
        ),
    ] = "minilm",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Static vectors in place of --model: some hundred times faster."
        ),
    ] = False,
    static: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="A folder of static vectors, as model2vec writes it, or potion "
            f"({POTION_INSTALL}).",
        ),
    ] = "potion",
    views: Annotated[
        str | None,
        typer.Option(
            help="Several views of each text side by side, in place of --model alone: of tfidf, "
            "static and bert, with commas between them."
        ),
    ] = None,
    into: Annotated[str, typer.Option(help="The name of the new column.")] = "x",
    max_length: Annotated[
        int, typer.Option(min=3, metavar="N", help="Tokens of each text that are read.")
    ] = 128,
    long: Annotated[
        str,
        typer.Option(
            help="What becomes of longer texts: cut, or average of the vectors of their pieces."
        ),
    ] = "cut",
    dtype: Annotated[
        str,
        typer.Option(
            help="float32; bfloat16, nearly the same vectors in half of the time where the "
            "processor has it; or auto, which asks the processor."
        ),
    ] = "float32",
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tokens encoded at once. It changes only the speed."),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Scale each vector of a model to length 1.")
    ] = False,
    cache: Annotated[
        bool, typer.Option(help="Keep vectors under ~/.cache/hinaug, to encode a text only once.")
    ] = True,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU if there is one unless given.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Workers on this machine, for many texts."),
    ] = None,
    ray: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Workers of Ray instead.")
    ] = None,
    drop: Drop = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn the text of nodes into a vector column that models and generators can use.

    With --model or --quick each node gets one vector, computed from its own
    text alone, so this is safe before a split. With --views words and means
    come from many texts: of a graph from all, of a split from those of train.
    So split first where --views has tfidf. A node without text gets no vector.
    The column is called x unless --into gives another name: models of node
    features read x.

    For many texts give --processes or --ray. The texts are then encoded in
    shards, without the cache. Their number does not change a byte, and the same
    command goes on where it was killed.

    Example, after that of datasets:
      hinaug embed store --type item --columns title --model minilm --out vectors
    """
    given = _opened(store, drop)
    check_out(out, "split" if isinstance(given, Split) else "hin", force)
    bert = TextEncoder(
        model,
        max_length=max_length,
        long=cast(Any, long),
        dtype=cast(Any, dtype),
        batch_tokens=batch_tokens,
        normalize=normalize,
        cache=cache,
        device=device,
    )
    fast = StaticEncoder(static, normalize=normalize or None)
    encoder: Any = chosen(bert, fast, quick, None if views is None else listed(views))
    names = listed(columns)
    if isinstance(encoder, TextViews):
        encoder.fit(texts_in(given.train if isinstance(given, Split) else given, node, names))
    if processes or ray:
        encoder = ShardedEncoder(encoder, f"{out}.shards", processes or 1, ray)
    made, column = _with_vectors(given, node, names, encoder, into)
    save(made, out)
    if isinstance(encoder, ShardedEncoder):
        encoder.remove()
    document = {
        "store": out,
        "type": node,
        "column": into,
        "dimensions": column.type.list_size,
        "encoded": len(column) - column.null_count,
        "without_text": column.null_count,
        "long": getattr(getattr(bert, "report_", None), "long", None),
    }

    def show(console: Any) -> None:
        where = " (in train)" if isinstance(given, Split) else ""
        tell(
            console,
            f"{node}.{into}: {document['encoded']:,} vectors of {document['dimensions']} numbers"
            f"{where}, from {', '.join(names)}; {document['without_text']:,} without text"
            + _of_long(document["long"], max_length, long)
            + f"\nsaved to {out}",
        )

    answer(as_json, document, show)


def _of_long(n: int | None, most: int, long: str) -> str:
    """What became of long texts, as a part of a sentence."""
    way = "cut" if long == "cut" else "read in pieces"
    return f"; {n:,} longer than {most:,} tokens, {way}" if n else ""


def _opened(store: Path, drop: Sequence[str] | None) -> HIN | Split:
    """The graph, without what is dropped, or the split."""
    given: HIN | Split = opened(store, "hin", "split")
    if isinstance(given, HIN):
        return graph_without(given, drop)
    if drop:
        raise ParameterError(
            "--drop leaves a part of a graph out, and the store holds a split; drop it before the "
            "split",
            asked=drop,
        )
    return given


def _with_vectors(
    given: HIN | Split, node: str, columns: Sequence[str], encoder: Any, into: str
) -> tuple[HIN | Split, pa.Array]:
    """The same with the new column, and the column; of a split that of train, while train and valid
    together get it by the same encoder.
    """
    if isinstance(given, HIN):
        made = embedded(given, node, columns, encoder, into)
        return made, made.column(node, into)
    split = given.with_derived(
        node, into, lambda hin: embedded(hin, node, columns, encoder, into).column(node, into)
    )
    return split, split.train.column(node, into)


def listed(text: str) -> list[str]:
    """The parts of a text with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def chosen(
    bert: TextEncoder, static: StaticEncoder, quick: bool, views: list[str] | None
) -> TextEncoder | StaticEncoder | TextViews:
    """The encoder that was asked for; views are not yet fitted.

    Raises ParameterError for --quick beside --views, and for views that are unknown or none.
    """
    known = {"tfidf": TfIdfEncoder(), "static": static, "bert": bert}
    if views is None:
        return static if quick else bert
    if quick:
        raise ParameterError(
            "--quick and --views are both given: --views static is what --quick takes, beside "
            "others; leave one of them out",
            asked=views,
        )
    if not views or not known.keys() >= set(views):
        raise ParameterError(
            f"--views {','.join(views) or repr('')}: expected some of {','.join(known)}, with "
            "commas between them; the model of bert is given by --model",
            asked=views,
            there=list(known),
        )
    return TextViews([known[name] for name in dict.fromkeys(views)])


def embedded(hin: HIN, node: str, columns: Sequence[str], encoder: Any, into: str) -> HIN:
    """The graph with a column `into`: vectors of the joined text of several columns.

    encoder: as for `embed_text`. The lineage of the vectors is that of their texts: "aggregate" if
    one of them is or the encoder is fitted on many, unknown if one of them is. Deltas are left out.

    Raises SchemaError where a column is missing or holds no text.
    """
    hin = hin.observed()
    if _is_one_text(hin, node, columns):
        return embed_text(hin, node, encoder, columns[0], into)
    name = "_".join(["text", *hin.nodes[node].column_names])  # one that is not taken
    joined = hin.with_column(
        node, name, _joined(hin, node, columns), lineage=_lineage(hin, node, columns)
    )
    made = embed_text(joined, node, encoder, name, into)
    lineage = lineage_of(made.nodes[node].schema.field(into))
    return hin.with_column(node, into, made.column(node, into), lineage=lineage)


def texts_in(hin: HIN, node: str, columns: Sequence[str]) -> list[str | None]:
    """The texts that `embedded` gives to its encoder, in the order of the nodes.

    Raises SchemaError where a column is missing or the only one is not text.
    """
    hin = hin.observed()
    if not _is_one_text(hin, node, columns):
        return _joined(hin, node, columns).to_pylist()
    return text_column(hin, node, columns[0]).to_pylist()


def _is_one_text(hin: HIN, node: str, columns: Sequence[str]) -> bool:
    return len(columns) == 1 and not pa.types.is_nested(hin.column(node, columns[0]).type)


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
