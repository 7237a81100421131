"""Human Phenotype Ontology: diseases, phenotypes and genes, with names, synonyms and definitions.

Source: M. A. Gargano et al., "The Human Phenotype Ontology in 2024", Nucleic Acids Research 52,
    2024. Terms: https://human-phenotype-ontology.github.io/license.html (cite it, show the version,
    do not alter it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.datasets.files import graph, require
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

IS_A = ("phenotype", "is_a", "phenotype")
SHOWS = ("disease", "shows", "phenotype")
CAUSES = ("gene", "causes", "disease")
LINKED = ("gene", "linked_to", "phenotype")
ADDRESS = "https://hpo.jax.org/data/annotations"
FILES = ("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt")
_TEXT = re.compile(r'^"((?:[^"\\]|\\.)*)"')


def hpo(folder: Any) -> HIN:
    """The ontology and its annotations as a graph; of January 2025: 19,034 terms.

    folder: with hp.obo, phenotype.hpoa and genes_to_phenotype.txt.
    Types: phenotype (name, definition, synonyms: a list of texts), without obsolete terms; disease
    (name); gene (symbol); ("phenotype", "is_a", "phenotype"); ("disease", "shows", "phenotype"),
    without those that are noted as absent, inheritance and onset; ("gene", "causes", "disease");
    ("gene", "linked_to", "phenotype"). Each pair stands once. Ids are the published ones.

    Most gene-phenotype edges (94.5 %) are no observations: they follow from gene-disease and
    disease-phenotype edges, so their lineage is "aggregate". A model that predicts
    ("disease", "shows", "phenotype") must not read them: leave them out with
    `hin.drop(("gene", "linked_to", "phenotype"))`. All else is "row".

    Terms: cite it, show the version (see `hpo_version`), do not alter it.
    Official address: https://hpo.jax.org/data/annotations
    """
    folder = require(folder, FILES, ADDRESS)
    terms = list(_terms(folder / "hp.obo"))
    known = pa.array([term["id"] for term in terms], pa.string())
    shown = _annotations(folder / "phenotype.hpoa")
    genes = read_delimited(
        folder / "genes_to_phenotype.txt",
        name="genes_to_phenotype.txt",
        delimiter="\t",
        quote=False,
    )
    _need(genes, ("ncbi_gene_id", "gene_symbol", "hpo_id", "disease_id"), "genes_to_phenotype.txt")
    absent = pc.fill_null(pc.equal(shown["qualifier"], "NOT"), False)
    present = shown.filter(pc.and_(pc.equal(shown["aspect"], "P"), pc.invert(absent)))
    children = [term["id"] for term in terms for _ in term["is_a"]]
    parents = [parent for term in terms for parent in term["is_a"]]
    edges: dict[EdgeType, pa.Table] = {
        IS_A: _pairs(pa.array(children, pa.string()), pa.array(parents, pa.string()), known),
        SHOWS: _pairs(present["database_id"], present["hpo_id"], known),
        CAUSES: _pairs(genes["ncbi_gene_id"], genes["disease_id"]),
        LINKED: _pairs(genes["ncbi_gene_id"], genes["hpo_id"], known),
    }
    diseases = pc.unique(
        pa.chunked_array([*shown["database_id"].chunks, *genes["disease_id"].drop_null().chunks])
    )
    nodes = {
        "phenotype": pa.table(
            {
                "id": known,
                "name": [term["name"] for term in terms],
                "definition": pa.array([term["definition"] for term in terms], pa.string()),
                "synonyms": pa.array([term["synonyms"] for term in terms], pa.list_(pa.string())),
            }
        ),
        "disease": _first(diseases, shown["database_id"], shown["disease_name"], "name"),
        "gene": _first(
            pc.unique(genes["ncbi_gene_id"]), genes["ncbi_gene_id"], genes["gene_symbol"], "symbol"
        ),
    }
    lineage: dict[Any, str] = dict.fromkeys((*nodes, *edges), "row") | {LINKED: "aggregate"}
    return graph(nodes, edges, lineage)


def hpo_version(folder: Any) -> str:
    """The version of the ontology, which its terms want to be shown, such as
    "hp/releases/2025-01-16".
    """
    folder = require(folder, FILES[:1], ADDRESS)
    with open(folder / FILES[0], encoding="utf8") as file:
        for line in file:
            if line.startswith("data-version:"):
                return line.partition(":")[2].strip()
            if line.startswith("["):
                break
    raise ParameterError(f"{folder / FILES[0]}: no line 'data-version:'")


def _terms(file: Path) -> Iterator[dict[str, Any]]:
    """The terms of an ontology in OBO format 1.2 that are not obsolete."""
    for block in file.read_text("utf8").split("\n[")[1:]:
        kind, _, body = block.partition("]\n")
        fields: dict[str, list[str]] = {}
        for line in body.splitlines():
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        if kind != "Term" or fields.get("is_obsolete") == ["true"]:
            continue
        yield {
            "id": fields["id"][0],
            "name": fields["name"][0],
            "definition": next(map(_quoted, fields.get("def", [])), None),
            "synonyms": list(dict.fromkeys(map(_quoted, fields.get("synonym", [])))),
            "is_a": [value.partition(" ! ")[0].split()[0] for value in fields.get("is_a", [])],
        }


def _quoted(value: str) -> str:
    """The text in quotes at the start of a value, without its escapes."""
    found = _TEXT.match(value)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else value


def _annotations(file: Path) -> pa.Table:
    """The rows of phenotype.hpoa, whose first lines are remarks."""

    def opened() -> Any:
        stream = file.open("rb")  # whoever reads it closes it
        while True:
            at, line = stream.tell(), stream.readline()
            if not line.startswith(b"#"):
                stream.seek(at)
                return stream

    table = read_delimited(opened, name=file.name, delimiter="\t", quote=False)
    _need(table, ("database_id", "disease_name", "qualifier", "hpo_id", "aspect"), file.name)
    return table


def _need(table: pa.Table, names: tuple[str, ...], file: str) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ParameterError(
            f"{file}: no column {missing[0]!r}; there is {table.column_names}; use the files of "
            f"{ADDRESS}",
            asked=missing[0],
            there=table.column_names,
        )


def _pairs(src: Any, dst: Any, known: pa.Array | None = None) -> pa.Table:
    """The distinct pairs, in the order of the file; those of unknown terms are left out."""
    table = pa.table({"src": src, "dst": dst})
    there = pc.and_(pc.is_valid(table["src"]), pc.is_valid(table["dst"]))
    if known is not None:
        there = pc.and_(there, pc.is_in(table["dst"], value_set=known))
    return table.filter(there).group_by(["src", "dst"], use_threads=False).aggregate([])


def _first(ids: pa.Array, keys: Any, values: Any, name: str) -> pa.Table:
    """A node table of these ids with the first value of each."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    row = pc.index_in(ids, value_set=keys)
    return pa.table({"id": ids, name: pa.chunked_array([values.combine_chunks()]).take(row)})
