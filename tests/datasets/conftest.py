"""Tiny files in the layouts in which the data sets are published."""

import pytest


@pytest.fixture
def ml_100k(tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text(
        "10\t2\t3\t881250949\n2\t1\t5\t881250900\n2\t267\t1\t881250900\n10\t1\t4\t881250000\n"
    )
    (folder / "u.user").write_text("2|53|F|other|94043\n10|24|M|technician|T8H1N\n")
    none = "|".join("0" * 18)
    (folder / "u.item").write_text(
        "2|Misérables, Les (1995)|01-Feb-1996||http://x|0|1|1|" + "|".join("0" * 16) + "\n"
        '1|12 "Angry" Men (1957)|01-Jan-1957||http://x|0|0|0|0|0|0|0|0|1|'
        + "|".join("0" * 10)
        + "\n"
        f"267|unknown||||1|{none}\n"
        "1412|Land Before Time III (1995) "
        f"(V)|01-Jan-1995||http://x|0|0|0|1|1|{'|'.join('0' * 14)}\n",
        encoding="latin-1",
    )
    return folder


@pytest.fixture
def ml_100k_copy(tmp_path):
    folder = tmp_path / "ml-100k-copy"
    folder.mkdir()
    (folder / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "10\t2\t3\t881250949\n2\t1\t5\t881250900\n2\t267\t1\t881250900\n10\t1\t4\t881250000\n"
    )
    (folder / "ml-100k.user").write_text(
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "10\t24\tM\ttechnician\tT8H1N\n2\t53\tF\tother\t94043\n"
    )
    (folder / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '1\t"12 ""Angry"" Men"\t1957\tDrama\n2\tMisérables, Les\t1995\tAction Adventure\n'
        "267\tunkonwn\tunkonwn\tunknown\n1412\tLand Before Time III (1995)\tV\tAnimation "
        "Children's\n",
        encoding="utf-8",
    )
    (folder / "ml-100k.link").write_text(
        "item_id:token\tentity_id:token\n1\tm.01\n2\tm.02\n99\tm.99\n"
    )
    (folder / "ml-100k.kg").write_text(
        "head_id:token\trelation_id:token\ttail_id:token\n"
        "m.01\tfilm.film.actor\tm.a\nm.02\tfilm.film.actor\tm.a\nm.01\tfilm.film.sequel\tm.02\n"
    )
    return folder


@pytest.fixture
def ml_small(tmp_path):
    folder = tmp_path / "ml-latest-small"
    folder.mkdir()
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n2,5,4.5,100\n1,5,0.5,90\n2,3,3.0,100\n"
    )
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n3,"American President, The (1995) ",Comedy|Drama\n5,Babylon 5,(no '
        "genres listed)\n"
        "7,Death Note (2006–2007),Animation\n",
        encoding="utf-8",
    )
    (folder / "tags.csv").write_text(
        'userId,movieId,tag,timestamp\n2,5,Mafia,200\n2,5,"said ""boo""",190\n4,3,mafia,1\n'
    )
    (folder / "ml-latest-small.item").write_text(
        "raw_movieID\ttitle\tgenres\titem_id:token\tintro:token_seq\n"
        '3\tx\tComedy\t2\t"A ""widowed"" president ...\n      See full '
        'summary\xa0»"\n5\ty\t\t1\tAdd a Plot »\n',
        encoding="utf-8",
    )
    return folder
