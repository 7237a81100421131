"""hinaug info and export: what a store holds, for people and for other programs."""

import csv
import json
import xml.etree.ElementTree as ET

import pytest
from commands import RATES, document, run

import hinaug


def test_info_of_every_kind(made):
    told = {name: document("info", made / name) for name in ("store", "split", "delta", "model")}
    assert [told[n]["kind"] for n in told] == ["hin", "split", "delta", "estimator"]
    assert told["store"]["nodes"]["user"]["observed"] == 60
    assert told["store"]["edges"]["user,rates,item"]["generated"] == 0
    for name, part in (
        ("store", "user rates item"),
        ("split", "evidence: review"),
        ("delta", "Synthesis"),
        ("model", "EASE("),
    ):
        assert part in run("info", made / name).stdout


def test_graphml_is_well_formed_whatever_the_text_holds(tmp_path):
    rates, odd = ("user", "rates", "item"), "a\x0cb"
    hin = hinaug.HIN.from_tables(
        {"user": {"id": [odd], odd: ["x\x00"]}, "item": {"id": ["i"], "words": [["\x1b"]]}},
        {rates: {"src": [odd], "dst": ["i"]}},
    )
    hinaug.save(hin, tmp_path / "store")
    run("export", tmp_path / "store", "--to", tmp_path / "ml", "--format", "graphml")
    text = ET.tostring(ET.parse(tmp_path / "ml" / "graph.graphml").getroot(), "unicode")
    assert "a\ufffdb" in text
    assert "x\ufffd" in text


def test_export_as_csv_graphml_and_parquet(made, tmp_path):
    store = hinaug.load(made / "store")
    assert (
        "nodes/item.csv"
        in document("export", made / "store", "--to", tmp_path / "csv", "--format", "csv")["files"]
    )
    with open(tmp_path / "csv" / "edges" / "user.rates.item.csv") as file:
        rows = list(csv.DictReader(file))
    src, dst = store.links(RATES)
    assert [r["src"] for r in rows] == store.ids("user", src).to_pylist()
    assert [r["dst"] for r in rows] == store.ids("item", dst).to_pylist()
    with open(tmp_path / "csv" / "nodes" / "item.csv") as file:
        first = next(csv.DictReader(file))
    assert json.loads(first["x"]) == pytest.approx(store.vectors("item")[0].tolist())
    run("export", made / "store", "--to", tmp_path / "ml", "--format", "graphml")
    tree = ET.parse(tmp_path / "ml" / "graph.graphml").getroot()
    name = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(tree.findall(f".//{name}node")) == sum(map(store.n, store.nodes))
    assert len(tree.findall(f".//{name}edge")) == sum(map(store.n, store.edges))
    run("export", made / "store", "--to", tmp_path / "pq")
    run("build", tmp_path / "pq", "--out", tmp_path / "back")
    assert hinaug.load(tmp_path / "back").equals(store, ordered=False)
    assert (
        "not an empty folder"
        in run("export", made / "store", "--to", tmp_path / "pq", code=2).stderr
    )
