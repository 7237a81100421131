"""Where public data sets are published, by what files they are known, and their terms."""

from __future__ import annotations

from dataclasses import dataclass, field

_GROUPLENS = (
    "GroupLens terms: research use, no redistribution without permission, cite Harper and Konstan "
    "(2015)."
)
_AMAZON = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_LIBRAHU = "https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding"
_IHGCL = "https://github.com/wangyu0627/IHGCL"
_LIGHTGCN = "https://github.com/gusye1234/LightGCN-PyTorch"
_LIGHTGCNPP = "https://github.com/geon0325/LightGCNpp"
_RAW = "raw/HEAD"  # a file of the repository's main branch, as it is


@dataclass(frozen=True)
class Source:
    """Where a data set is published.

    address: the official one, of a file or archive, or of the page of the files in `parts`.
    files: lists of patterns; a folder counts as found if it matches all of one list.
    terms: of use, in a sentence.
    reader: the function of `hinaug.datasets` that reads it.
    md5: of files, where the publisher's are known.
    parts: the address of each file, where there is no archive.
    """

    address: str
    files: tuple[tuple[str, ...], ...]
    terms: str
    reader: str
    md5: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def _split(repository: str, folder: str, terms: str, *names: str) -> Source:
    """A split of the LightGCN kind in a folder of a repository."""
    parts = tuple(f"{repository}/{_RAW}/{folder}/{name}" for name in names)
    return Source(
        f"{repository}/tree/HEAD/{folder}", (names,), terms, "lightgcn_split", parts=parts
    )


def _hin(folder: str, split: str, reader: str, *names: str) -> Source:
    """A graph of the HERec authors and the split of it that IHGCL published."""
    parts = (
        *(f"{_LIBRAHU}/{_RAW}/{folder}/{name}" for name in names),
        *(f"{_IHGCL}/{_RAW}/data/{split}/{name}" for name in ("train.txt", "test.txt")),
    )
    terms = "No terms stated by the publishers; cite Shi et al. (TKDE 2019)."
    return Source(f"{_LIBRAHU}/tree/HEAD/{folder}", (names,), terms, reader, parts=parts)


SOURCES = {
    "ml-100k": Source(
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        (("u.data", "u.user", "u.item"), ("ml-100k.inter", "ml-100k.user", "ml-100k.item")),
        _GROUPLENS,
        "movielens_100k",
        {"u.data": "6e47046882bad158b0efbb84cd5cb987"},
    ),
    "ml-latest-small": Source(
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        (("ratings.csv", "movies.csv", "tags.csv"),),
        _GROUPLENS + " Non-commercial.",
        "movielens_latest_small",
    ),
    "amazon-musical-instruments": Source(
        f"{_AMAZON}/reviews_Musical_Instruments_5.json.gz",
        (("*.json.gz",), ("*.json",), ("*.jsonl*",), ("*.csv.zip",), ("*.csv",)),
        "No terms stated by the publisher; cite He and McAuley (WWW 2016) and McAuley et al. "
        "(SIGIR 2015).",
        "amazon_reviews",
    ),
    "recipe-reviews": Source(
        "https://archive.ics.uci.edu/static/public/911/"
        "recipe+reviews+and+user+feedback+dataset.zip",
        (("*ecipe*eviews*.csv",), ("*ecipe*eviews*.zip",)),
        "CC BY 4.0; cite Ali, Matuszewski and Czupyt (UCI Machine Learning Repository, 2023).",
        "recipe_reviews",
    ),
    "hetrec2011-lastfm-2k": Source(
        "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
        (
            (
                "artists.dat",
                "tags.dat",
                "user_artists.dat",
                "user_friends.dat",
                "user_taggedartists.dat",
            ),
        ),
        "Non-commercial use; cite Last.fm and Cantador, Brusilovsky and Kuflik (HetRec 2011).",
        "hetrec_lastfm",
    ),
    "amazon-hin": _hin(
        "Amazon",
        "amazon",
        "amazon_hin",
        "user_item.dat",
        "item_brand.dat",
        "item_category.dat",
        "item_view.dat",
    ),
    "yelp-hin": _hin(
        "Yelp",
        "yelp",
        "yelp_hin",
        "user_business.dat",
        "user_user.dat",
        "user_compliment.dat",
        "business_city.dat",
        "business_category.dat",
    ),
    "gowalla": _split(
        _LIGHTGCN,
        "data/gowalla",
        "No terms stated by the publishers; cite He et al. (SIGIR 2020) and Cho, Myers and "
        "Leskovec (KDD 2011).",
        "train.txt",
        "test.txt",
    ),
    "lastfm-lightgcnpp": _split(
        _LIGHTGCNPP,
        "data/lastfm",
        "Non-commercial use (HetRec 2011, Last.fm); cite Cantador et al. (2011) and Lee et al. "
        "(RecSys 2024).",
        "train.txt",
        "valid.txt",
        "test.txt",
    ),
    "ml-1m-lightgcnpp": _split(
        _LIGHTGCNPP,
        "data/ml-1m",
        _GROUPLENS + " Split: Lee et al. (RecSys 2024).",
        "train.txt",
        "valid.txt",
        "test.txt",
    ),
    "hpo": Source(
        "https://hpo.jax.org/data/annotations",
        (("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt"),),
        "HPO licence: cite Gargano et al. (Nucleic Acids Research 2024), show the version "
        "(`hpo_version`), do not alter it.",
        "hpo",
        parts=(
            "https://purl.obolibrary.org/obo/hp.obo",
            "https://purl.obolibrary.org/obo/hp/hpoa/phenotype.hpoa",
            "https://purl.obolibrary.org/obo/hp/hpoa/genes_to_phenotype.txt",
        ),
    ),
}
