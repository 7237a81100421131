"""The phenotype ontology: a few rows in the real format."""

import pytest
from dataset_rows import ids, linked, nodes

from hinaug.datasets.hpo import CAUSES, IS_A, LINKED, SHOWS, hpo, hpo_version
from hinaug.errors import ParameterError

OBO = """format-version: 1.2
data-version: hp/releases/2025-01-16
ontology: hp.obo

[Term]
id: HP:1
name: All
comment: Root.

[Term]
id: HP:2
name: Short "stature"
def: "Height below \\"normal\\"." [https://orcid.org/1, PMID:2]
synonym: "Small stature" EXACT layperson []
synonym: "Small stature" EXACT []
synonym: "Dwarfism" RELATED [X:1]
is_a: HP:1 ! All

[Term]
id: HP:3
name: obsolete Thing
is_obsolete: true

[Typedef]
id: has_part
name: has part
"""
HPOA = """#description: "HPO annotations"
#version: 2025-01-16
database_id	disease_name	qualifier	hpo_id	reference	evidence	onset	frequency	sex	modifier	aspect	biocuration
OMIM:1	Some disease 1		HP:2	PMID:1	PCS		1/2			P	HPO:a
OMIM:1	Some disease 1		HP:2	PMID:2	PCS		1/2			P	HPO:a
OMIM:2	Other	NOT	HP:2	PMID:2	PCS		1/2			P	HPO:a
OMIM:2	Other		HP:1	PMID:2	PCS		1/2			I	HPO:a
"""
GENES = """ncbi_gene_id	gene_symbol	hpo_id	hpo_name	frequency	disease_id
10	NAT2	HP:2	Short	-	OMIM:1
10	NAT2	HP:3	obsolete	-	OMIM:1
11	ABC	HP:1	All	-	ORPHA:9
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hp.obo").write_text(OBO)
    (tmp_path / "phenotype.hpoa").write_text(HPOA)
    (tmp_path / "genes_to_phenotype.txt").write_text(GENES)
    return tmp_path


def test_graph(folder):
    hin = hpo(folder)
    assert nodes(hin, "phenotype") == [
        {"id": "HP:1", "name": "All", "definition": None, "synonyms": []},
        {
            "id": "HP:2",
            "name": 'Short "stature"',
            "definition": 'Height below "normal".',
            "synonyms": ["Small stature", "Dwarfism"],
        },
    ]
    assert nodes(hin, "disease") == [
        {"id": "OMIM:1", "name": "Some disease 1"},
        {"id": "OMIM:2", "name": "Other"},
        {"id": "ORPHA:9", "name": None},
    ]
    assert ids(hin, "gene") == ["10", "11"]
    assert linked(hin, IS_A) == [("HP:2", "HP:1")]
    assert linked(hin, SHOWS) == [("OMIM:1", "HP:2")]
    assert linked(hin, CAUSES) == [("10", "OMIM:1"), ("11", "ORPHA:9")]
    assert linked(hin, LINKED) == [("10", "HP:2"), ("11", "HP:1")]
    assert hin.schema.edge_lineage[LINKED] == "aggregate"
    assert hpo_version(folder) == "hp/releases/2025-01-16"


def test_files_that_are_others(folder):
    (folder / "genes_to_phenotype.txt").write_text("a\tb\n1\t2\n")
    with pytest.raises(ParameterError) as caught:
        hpo(folder)
    assert caught.value.asked == "ncbi_gene_id"
    (folder / "hp.obo").write_text("[Term]\nid: HP:1\n")
    with pytest.raises(ParameterError):
        hpo_version(folder)
    (folder / "phenotype.hpoa").unlink()
    with pytest.raises(FileNotFoundError):
        hpo(folder)


def test_nodes_follow_a_hash_and_not_the_file(folder):
    terms = "".join(f"\n[Term]\nid: HP:{k}\nname: term {k}\n" for k in range(10, 50))
    (folder / "hp.obo").write_text(OBO + terms)
    found = hpo(folder).ids("phenotype").to_pylist()
    turned = "".join(f"\n[Term]\nid: HP:{k}\nname: term {k}\n" for k in range(49, 9, -1))
    (folder / "hp.obo").write_text(OBO + turned)
    assert hpo(folder).ids("phenotype").to_pylist() == found
    assert found != sorted(found)
