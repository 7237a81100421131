"""Recipe reviews: no star is no rating, an import date is no time, and a name is never stored."""

import zipfile

import pytest
from dataset_rows import ids, linked, nodes
from raising import raises

from hinaug.datasets import recipe_reviews
from hinaug.datasets.recipes import ABOUT, RATES

NAME = "Recipe Reviews and User Feedback Dataset.csv"
HEADER = (
    ",recipe_number,recipe_code,recipe_name,comment_id,user_id,user_name,user_reputation,created_at,"
    "reply_count,thumbs_up,thumbs_down,stars,best_score,text\n"
)
TEXT = (
    HEADER
    + '0,001,14299,Chili,c3,u_b,Jane,10,1622648873,1,7,2,0,724,"Mum&#39;s, with\n""beans"""\n'
    "1,001,14299,Chili,c1,u_a,Jane,1,1665619889,0,0,0,5,527,\n"
    "2,002,0042,Soup,c2,u_b,Jane,20,1622648873,0,0,0,4,100,good\n"
)


@pytest.fixture
def file(tmp_path):
    (tmp_path / NAME).write_text(TEXT)
    return tmp_path / NAME


def test_graph(file, tmp_path):
    hin = recipe_reviews(file)
    assert ids(hin, "user") == ["u_a", "u_b"]
    assert nodes(hin, "recipe") == [
        {"id": "0042", "name": "Soup"},
        {"id": "14299", "name": "Chili"},
    ]
    assert ids(hin, "review") == ["c1", "c2", "c3"]
    last = nodes(hin, "review")[2]
    assert last == {
        "id": "c3",
        "text": 'Mum\'s, with\n"beans"',
        "rating": None,
        "thumbs_up": 7,
        "thumbs_down": 2,
        "replies": 1,
        "reputation": 10,
        "imported": 1622648873,
    }
    assert hin.edges[RATES]["rating"].to_pylist() == [None, 5, 4]
    assert linked(hin, ABOUT) == [("c3", "14299"), ("c1", "14299"), ("c2", "0042")]
    assert "Jane" not in "".join(str(hin.table(t).to_pylist()) for t in [*hin.nodes, *hin.edges])
    assert not any("time" in hin.table(t).column_names for t in [*hin.nodes, *hin.edges])
    known = {n: c.lineage for n, c in hin.schema.nodes["review"].items()}
    assert known["text"] == known["rating"] == "row"
    assert known["thumbs_up"] is known["reputation"] is None


def test_csv_folder_and_zip_give_the_same(file, tmp_path):
    expected = recipe_reviews(file).fingerprint()
    assert recipe_reviews(tmp_path).fingerprint() == expected
    with zipfile.ZipFile(tmp_path / f"{NAME}.zip", "w") as archive:
        archive.write(file, NAME)
    file.unlink()
    assert recipe_reviews(tmp_path).fingerprint() == expected


def test_errors_name_no_person(file, tmp_path):
    for text, why in (
        (TEXT + "3,1,Jane\n", "cannot be read"),
        (TEXT.replace("stars", "sterne"), "no column 'stars'; there is"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=why) as error:
            recipe_reviews(file)
        assert "Jane" not in str(error.value)
    with raises(FileNotFoundError, names="nowhere"):
        recipe_reviews(tmp_path / "nowhere")
