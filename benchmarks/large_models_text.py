"""Texts in other words, facts and mentions from texts, and a graph of health: what holds on real data.

    HINAUG_DATA=folder python benchmarks/large_models_text.py PART [--hpo FOLDER] [--out FILE]

paraphrases: 500 reviews of Musical Instruments by each rule at a tenth of the words: cosine of MiniLM between a review
    and its new text (mean, tenth percentile), and how often a judge that is sure changes its mind. The judge is a
    logistic regression on tf-idf, trained on the ratings (at least 4, or at most 2) of the other reviews, classes
    weighted alike; sure is a probability of at least .9 or at most .1. Few of the 500 have a low rating, so the judge
    is asked of half of all others with a rating of at most 2 as well ("_low"), which it is not trained on.
facts: `Sentences` (spaCy's small model) on 150 sentences of reviews and 150 of plots that were labelled by hand, see
    results/triples.jsonl: precision with an interval of Wilson, recall, facts a hundred sentences. The labels were
    written before the output was seen. Rules were then changed once, and 40 plots and 60 reviews more were labelled,
    again before their output was seen (labelled_when "after"). What was found right when the output was read stands
    beside the labels ("also") and counts in precision_read alone.
mentions: names of phenotypes in the definitions of others: how many of the pairs are ancestors or siblings by is_a, of
    the pairs dealt out anew, and of the pairs by the names of the terms, less their first word, instead of definitions.
health: what `audit` says of gene-phenotype with the two relations beside it from which it follows, and of
    disease-phenotype, with and without gene-phenotype beside it.
prediction: NDCG@20 of disease-phenotype by the published gene-phenotype edges, which hold what is held out, and by
    methods that read train alone.
writing: SmolLM2-135M on 16 prompts: CPU seconds of texts in a batch and one by one, of records with and without a
    schema, and of choices, the model loaded and the schema read before.
categories: `WrittenCategory` with SmolLM2-135M: which of six genres a movie of ml-latest-small has by its plot, movies of
    one genre alone, as many of each; told the plot, that of another movie ("shuffled"), or nothing ("none").
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from hinaug import audit, evaluate, random_split
from hinaug.datasets import find, load, movielens_latest_small
from hinaug.datasets.hpo import CAUSES, IS_A, LINKED, SHOWS, hpo, hpo_version
from hinaug.features import TextEncoder
from hinaug.features.knowledge import Dictionary, Fact, Sentences
from hinaug.features.knowledge.dictionary import plain
from hinaug.features.text.locate import smollm2_file
from hinaug.features.writer import TransformersWriter, choose, from_gguf, read_records
from hinaug.generators.values import Guards, Paraphrase, WrittenCategory
from hinaug.generators.values.paraphrase import RULES
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors import ItemKNN, LinkPredictor, Popularity

RATES, WROTE, ABOUT = (
    ("user", "rates", "item"),
    ("user", "wrote", "review"),
    ("review", "about", "item"),
)
RESULTS = Path(__file__).parent / "results"
SURE = 0.9
SIGNS = "HP:0000118"  # phenotypic abnormality; other branches hold inheritance, onset, frequency
GENRES = ("Comedy", "Documentary", "Drama", "Horror", "Thriller", "Western")
MOVIES_OF_A_GENRE = 10
SEED = 0


# ---- paraphrases -----------------------------------------------------------------------------------


def paraphrases(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    hin = load("amazon-musical-instruments")
    texts = np.array(hin.column("review", "text").fill_null("").to_pylist(), object)
    stars = _stars(hin)
    order = np.random.default_rng(SEED).permutation([i for i, t in enumerate(texts) if t.strip()])
    asked, others = order[: options.reviews], order[options.reviews :]
    low = others[stars[others] <= 2]
    low = low[: len(low) // 2]  # of low ratings too few are among the asked: half of the others
    others = others[~np.isin(others, low)]
    judge = _judge(texts[others], stars[others])
    encoder = TextEncoder("minilm", max_length=256, dtype="auto")
    before = encoder.encode(texts[asked].tolist())
    first = judge(texts[asked])
    clear = (stars[asked] >= 4) | (stars[asked] <= 2)
    auc = float(roc_auc_score(stars[asked][clear] >= 4, first[clear]))
    guards = Guards()
    for rules in (("delete",), ("swap",), ("insert",), ("replace",), RULES):
        rewrite = Paraphrase(rules=rules)
        rewrite(["a good strap"], rng=SEED)  # reads the synonyms
        start = time.process_time()
        made = rewrite(texts[asked].tolist(), rng=SEED)
        seconds = time.process_time() - start
        cosine = (before * encoder.encode(made)).sum(axis=1)
        flips = {
            name: _flips(judge, texts[rows], rewrite) for name, rows in (("", asked), ("_low", low))
        }
        lost = [
            guards.protected(a) != guards.protected(b)
            for a, b in zip(texts[asked], made, strict=True)
        ]
        yield {
            "rules": "+".join(rules),
            "share": rewrite.share,
            "reviews": len(asked),
            "cosine_mean": round(float(cosine.mean()), 4),
            "cosine_tenth": round(float(np.quantile(cosine, 0.1)), 4),
            "judge_auc": round(auc, 4),
            **{f"judge_sure{name}": found[0] for name, found in flips.items()},
            **{f"flips_of_sure{name}": found[1] for name, found in flips.items()},
            "protected_changed": int(sum(lost)),
            "reviews_a_second": round(len(asked) / seconds),
        }


def _flips(judge: Any, texts: np.ndarray, rewrite: Paraphrase) -> tuple[int, float]:
    """Of how many texts the judge is sure, and how many of these it judges otherwise afterwards."""
    before = judge(texts)
    after = judge(np.array(rewrite(texts.tolist(), rng=SEED), object))
    sure = (before >= SURE) | (before <= 1 - SURE)
    return int(sure.sum()), round(float(((after >= 0.5) != (before >= 0.5))[sure].mean()), 4)


def _stars(hin: HIN) -> np.ndarray:
    """The rating that goes with each review, float [reviews]."""
    user, item = np.zeros((2, hin.n("review")), np.int64)
    writer, review = hin.links(WROTE)
    user[review] = writer
    review, about = hin.links(ABOUT)
    item[review] = about
    stars = hin.adjacency(RATES, "rating", "last").toarray()  # 1,429 x 900
    return stars[user, item]


def _judge(texts: np.ndarray, stars: np.ndarray) -> Any:
    """p(the rating is at least 4) of texts, by a model trained on clear ratings."""
    clear = (stars >= 4) | (stars <= 2)
    words = TfidfVectorizer(min_df=3, ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=30, class_weight="balanced", max_iter=1000))
    model.fit(texts[clear], stars[clear] >= 4)
    return lambda texts: model.predict_proba(texts)[:, 1]


# ---- facts -----------------------------------------------------------------------------------------


def facts(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    lines = (RESULTS / "triples.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    parse = Sentences(options.parser)
    sources = {"ml-latest-small": _plots(), "amazon-musical-instruments": _reviews()}
    for (data, texts), part in product(sources.items(), ("before", "after")):
        own = [row for row in rows if row["data"] == data and row["set"] == part]
        sentences = [plain(texts[row["id"]])[row["start"] : row["end"]] for row in own]
        start = time.process_time()
        found = parse(sentences)
        seconds = time.process_time() - start
        row, good = _against_labels(own, found)
        if options.show:
            _show(sentences, found, good)
        speed = round(len(own) / seconds)
        yield (
            {"data": data, "labelled_when": part, "sentences": len(own)}
            | row
            | {"sentences_a_second": speed}
        )


def _against_labels(
    own: list[dict[str, Any]], found: list[list[Fact]]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Precision and recall, and which facts are right, those found so when read among them."""
    hits = [
        np.array([[_is_same(fact, label) for label in row["facts"]] for fact in said]).reshape(
            len(said), len(row["facts"])
        )
        for row, said in zip(own, found, strict=True)
    ]
    right = [hit.any(axis=1) for hit in hits]
    read = [good | _are_read(said, row) for good, said, row in zip(right, found, own, strict=True)]
    given, stated = sum(map(len, found)), sum(hit.shape[1] for hit in hits)
    met = sum(int(hit.any(axis=0).sum()) for hit in hits)
    row = {
        "labelled": stated,
        "given": given,
        "a_hundred_sentences": round(100 * given / len(own)),
        **_share_of("precision", int(np.concatenate(right).sum()), given),
        **_share_of("precision_read", int(np.concatenate(read).sum()), given),
        **_share_of("recall", met, stated),
    }
    return row, read


def _is_same(fact: Fact, label: list[str]) -> bool:
    """Whether subject and object end in a labelled word, and verb and preposition are the same."""
    subject, relation, thing = label
    verb, *preposition = relation.split(" ")
    said = [fact.relation.split(" "), fact.relation.removeprefix("be ").split(" ")]
    same = any(
        own[0] in verb.split("/") and (own[-1:] == preposition[-1:] or own[1:] == preposition)
        for own in said
    )
    return same and _ends(fact.subject or "it", subject) and _ends(fact.object, thing)


def _ends(phrase: str, words: str) -> bool:
    """Whether the last word is one of the given ones, a plural or a point at its end aside."""
    last = _last(phrase)
    return any(last == _last(word) for word in words.split("/"))


def _last(phrase: str) -> str:
    return phrase.casefold().replace("-", " ").split()[-1].rstrip(".").rstrip("s")


def _are_read(said: list[Fact], row: dict[str, Any]) -> np.ndarray:
    """Which facts are among those that were found right when the output was read."""
    also = row.get("also", [])
    return np.array([any(_is_same(fact, label) for label in also) for fact in said], bool)


def _show(sentences: list[str], found: list[list[Fact]], good: list[np.ndarray]) -> None:
    for sentence, said, marks in zip(sentences, found, good, strict=True):
        print(sentence)
        for fact, mark in zip(said, marks, strict=True):
            print(f"    {mark!s:6}{fact[:3]}")


def _share_of(name: str, hits: int, n: int) -> dict[str, Any]:
    """A share with its 95 % interval."""
    found = binomtest(hits, n).proportion_ci(method="wilson")
    return {name: round(hits / n, 4), f"{name}_95": [round(found.low, 4), round(found.high, 4)]}


def _plots() -> dict[str, str]:
    return _by_id(_movies(), "movie", "plot")


def _movies() -> HIN:
    folder = find("ml-latest-small").folder
    return movielens_latest_small(folder, folder.parent / "ml-latest-small-text", tags=False)


def _reviews() -> dict[str, str]:
    hin = load("amazon-musical-instruments")
    return _by_id(hin, "review", "text")


def _by_id(hin: HIN, node: str, column: str) -> dict[str, str]:
    ids = hin.nodes[node]["id"].to_pylist()
    return dict(zip(ids, hin.column(node, column).to_pylist(), strict=True))


# ---- health ----------------------------------------------------------------------------------------


def mentions(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    hin = hpo(options.hpo)
    names = hin.column("phenotype", "name").to_pylist()
    above = _above(hin)
    near = above + (hin.adjacency(IS_A) @ hin.adjacency(IS_A).T)  # ancestors, and siblings
    books = _books(hin, above)
    parts = [name.partition(" ")[2] for name in names]
    texts = {"definition": hin.column("phenotype", "definition").to_pylist(), "part of name": parts}
    for (name, book), (column, rows) in product(books.items(), texts.items()):
        start = time.process_time()
        table = Dictionary(book, least_letters=4).find(rows)
        seconds = time.process_time() - start
        src, dst = np.asarray(table["row"]), hin.positions("phenotype", table["id"])
        pairs = np.unique(np.stack([src, dst], axis=1)[src != dst], axis=0)
        rng = np.random.default_rng(SEED)
        dealt = np.stack([pairs[:, 0], rng.permutation(pairs[:, 1])], axis=1)
        yield {
            "version": hpo_version(options.hpo),
            "texts": column,
            "names": name,
            "pairs": len(pairs),
            "near": round(_share(near, pairs), 4),
            "dealt_anew": round(_share(near, dealt), 4),
            "seconds": round(seconds, 2),
        }


def _books(hin: HIN, above: sparse.csr_array) -> dict[str, list[tuple[str, str]]]:
    """Names and synonyms with the id of their term: all, those of signs, and those of two words."""
    ids = hin.nodes["phenotype"]["id"].to_pylist()
    names, more = (hin.column("phenotype", name).to_pylist() for name in ("name", "synonyms"))
    lists = [[own, *others] for own, others in zip(names, more, strict=True)]
    known = [(name, id) for id, own in zip(ids, lists, strict=True) for name in own]
    below = {ids[row] for row in above[:, [ids.index(SIGNS)]].nonzero()[0]}
    signs = [(name, id) for name, id in known if id in below]
    long = [pair for pair in signs if " " in pair[0]]
    return {"all": known, "phenotypic abnormality": signs, "of it, two words or more": long}


def _above(hin: HIN) -> sparse.csr_array:
    """[terms, terms]: the ancestors of each term."""
    up = hin.adjacency(IS_A)
    above, step = up, up
    while step.nnz:
        step = (step @ up).sign()
        above = (above + step).sign()
    return sparse.csr_array(above)


def _share(near: sparse.csr_array, pairs: np.ndarray) -> float:
    """The share of pairs with an entry."""
    rows, columns = near.nonzero()
    n = near.shape[1]
    return float(np.isin(pairs[:, 0] * n + pairs[:, 1], rows.astype(np.int64) * n + columns).mean())


def health(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    hin = hpo(options.hpo)
    for target, graph in ((LINKED, hin), (SHOWS, hin), (SHOWS, hin.drop(LINKED))):
        split = random_split(graph, target, rng=SEED)
        start = time.perf_counter()
        found = audit(split, seconds=options.seconds)
        yield {
            "version": hpo_version(options.hpo),
            "target": " ".join(target),
            "beside": [" ".join(edge) for edge in graph.edges if edge != target],
            "follows": _follows(graph, target),
            "leaks": [str(finding) for finding in found.leaks],
            "unknown": [str(finding) for finding in found.unknown],
            "seconds": round(time.perf_counter() - start, 1),
        }


def _follows(hin: HIN, target: tuple[str, str, str]) -> float | None:
    """The share of gene-phenotype edges that have a disease in between."""
    if target != LINKED:
        return None
    chain = hin.adjacency(CAUSES) @ hin.adjacency(SHOWS)
    return round(float((hin.adjacency(LINKED).multiply(chain) > 0).sum() / hin.n(LINKED)), 4)


@dataclass(eq=False)
class Genes(LinkPredictor):
    """Counts the genes of a disease that are linked to a phenotype: by the published edges, or by those that follow from
    the diseases in the graph at hand, the disease itself aside.
    """

    HOLDS_DATA: ClassVar[str] = "its score is a count of edges"
    relation: EdgeType
    published: bool = True

    def _fit(self, hin: HIN, valid: Any, rng: np.random.Generator) -> None:
        causes = hin.adjacency(CAUSES)
        if self.published:
            self.counts_ = causes.T @ hin.adjacency(LINKED)
        else:
            alike = sparse.lil_array(causes.T @ causes)
            alike.setdiag(0)
            self.counts_ = sparse.csr_array(alike) @ hin.adjacency(SHOWS)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return sparse.csr_array(self.counts_)[src].toarray()


def prediction(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    split = random_split(hpo(options.hpo), SHOWS, rng=SEED)
    models = {
        "popularity": Popularity(SHOWS),
        "nearest phenotypes": ItemKNN(SHOWS),
        "genes, links from train": Genes(SHOWS, published=False),
        "genes, published links": Genes(SHOWS),
    }
    for name, model in models.items():
        start = time.perf_counter()
        found = evaluate(model.fit(split.train, rng=SEED), split.train, split, k=20, on="test")
        yield {
            "version": hpo_version(options.hpo),
            "target": " ".join(SHOWS),
            "model": name,
            "leaky": name == "genes, published links",
            "NDCG@20": round(float(found.values["NDCG@20"].mean()), 4),
            "diseases": len(found.values["NDCG@20"]),
            "seconds": round(time.perf_counter() - start, 1),
        }


# ---- writing ---------------------------------------------------------------------------------------


def writing(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    things = ("guitar", "tent", "amplifier", "strap", "drum", "piano", "flute", "cable")
    ways = ("a happy", "an angry")
    prompts = [
        f"Write a short review of {way} buyer of a {thing}." for thing in things for way in ways
    ]
    asked = [f"{p} Answer as JSON with the fields title and stars (1 to 5)." for p in prompts]
    schema = {
        "title": {"type": "string", "maxLength": 40},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    }
    with tempfile.TemporaryDirectory() as folder:
        writer = TransformersWriter(from_gguf(smollm2_file(), folder), max_new_tokens=32)
        writer(prompts[:1])  # loads the model
        read_records(writer, asked[:1], schema)  # makes the machine of the schema
        jobs: dict[str, Callable[[], Any]] = {
            "texts, 16 at a time": lambda: writer(prompts),
            "texts, one at a time": lambda: [writer([prompt]) for prompt in prompts],
            "records by a schema": lambda: read_records(writer, asked, schema),
            "records, free": lambda: read_records(writer.__call__, asked, schema),
            "choice of two by likelihood": lambda: choose(writer, prompts, ["good", "bad"]),
        }
        for name, job in jobs.items():
            start = time.process_time()
            found = job()
            row = {"job": name, "prompts": len(prompts), "dtype": writer.dtype_}
            row["cpu_seconds"] = round(time.process_time() - start, 1)
            if name.startswith("records"):
                row["accepted"] = sum(record.value is not None for record in found)
            yield row


def categories(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    hin = _of_one_genre(_movies(), GENRES, MOVIES_OF_A_GENRE)
    truth = hin.column("movie", "truth").to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        writer = TransformersWriter(from_gguf(smollm2_file(), folder))
        for control in (None, "shuffled", "none"):
            made = WrittenCategory(
                "movie", "genre", writer, reads=["plot"], choices=GENRES, control=control
            )
            start = time.process_time()
            delta = made.fit(hin).generate(hin, rng=SEED)
            chosen = (hin + delta).column("movie", "genre").to_pylist()
            hits = sum(a == b for a, b in zip(chosen, truth, strict=True))
            yield {
                "data": "ml-latest-small",
                "control": control or "own plot",
                "movies": len(truth),
                "choices": len(GENRES),
                **_share_of("accuracy", hits, len(truth)),
                "cpu_seconds": round(time.process_time() - start, 1),
            }


def _of_one_genre(hin: HIN, genres: Sequence[str], most: int) -> HIN:
    """So many movies of each genre that have no other one, with their plots; the genre in "truth"."""
    movie, genre = hin.links(("movie", "has", "genre"))
    alone = (np.bincount(movie, minlength=hin.n("movie")) == 1)[movie]
    names = hin.ids("genre", genre).to_pylist()
    plots = hin.column("movie", "plot").to_pylist()
    rows = [(m, name) for m, name, one in zip(movie, names, alone, strict=True) if one and plots[m]]
    kept = [row for name in genres for row in [r for r in rows if r[1] == name][:most]]
    ids = hin.ids("movie", np.array([m for m, _ in kept])).to_pylist()
    table = {"id": ids, "plot": [plots[m] for m, _ in kept], "truth": [name for _, name in kept]}
    return HIN.from_tables({"movie": table}, {})


PARTS = {
    "paraphrases": paraphrases,
    "facts": facts,
    "mentions": mentions,
    "health": health,
    "prediction": prediction,
    "writing": writing,
    "categories": categories,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--hpo", type=Path, help="folder with hp.obo and the annotations")
    parser.add_argument("--parser", help="a model of spaCy, if none is installed")
    parser.add_argument("--seconds", type=float, default=120.0, help="of an audit")
    parser.add_argument("--show", action="store_true", help="print each sentence with its facts")
    parser.add_argument("--out", type=Path, help="a file to put the lines at the end of")
    options = parser.parse_args()
    for part in options.parts:
        for row in PARTS[part](options):
            line = json.dumps({"part": part} | row, ensure_ascii=False)
            print(line, flush=True)
            if options.out:
                with open(options.out, "a", encoding="utf-8") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
