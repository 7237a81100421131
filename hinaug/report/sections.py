"""The sections of the page: each gives the text at its side, and its pictures and tables."""

from __future__ import annotations

from typing import Any

from hinaug.report import figures, maps, schema, shapes
from hinaug.report.pieces import brief, command, data, figure, legend, named, pairs, table, typeset
from hinaug.report.read import Run
from hinaug.report.svg import clean, signed
from hinaug.report.terminal import ARMS, LEVEL, METRICS

MAIN = METRICS[0]  # the metric that is compared, and whose bars are drawn
_LINES = {
    "observed": '<path class="curve real" d="M0 6H34"/><circle class="point real" cx="17" cy="6" '
    'r="2.6"/>',
    "generated": '<path class="curve made" d="M0 6H34"/><path class="point made" d="M12.8 6l4.2 '
    '-4.2 4.2 4.2 -4.2 4.2z"/>',
}
_DOTS = {
    "real": '<path class="cloud real" d="M17 6h0"/>',
    "generated": '<path class="cloud made" d="M13 6l4 -4 4 4 -4 4z"/>',
}


def results(run: Run) -> tuple[str, str]:
    about = (
        f"<p>{ARMS[0].capitalize()} is without augmentation, random is a random delta of the same "
        "size, the control.</p>"
        "<p>p: paired t-test over users, seeds averaged, Holm-corrected over the table of a "
        f"regime. {LEVEL} or more counts "
        "as nothing found.</p>"
    )
    panels = [
        (named(regime), figures.bars(run, regime, MAIN, f"bars-{i}"))
        for i, regime in enumerate(run.regimes)
    ]
    caption = (
        f"{MAIN} on test, every item ranked. Whiskers are 95 % intervals over users; arms are "
        "tested on the same users, so the "
        "p beside a bar can be small although whiskers overlap. Look first whether augmented ends "
        "beyond both others."
    )
    return about, figure(panels, caption) + "".join(
        _table_of_results(run, regime) for regime in run.regimes
    )


def _table_of_results(run: Run, regime: str) -> str:
    head = [
        ("model", "left"),
        ("data", "left"),
        *((m, "") for m in METRICS),
        (f"{MAIN}, % over plain [95 %]", "wrap"),
        ("p", ""),
    ]
    bodies = []
    for model in run.models:
        rows = []
        for arm in ARMS:
            cells = [f'<th scope="row" class="left arm">{arm}</th>']
            if arm == ARMS[0]:
                cells.insert(
                    0, f'<th scope="rowgroup" rowspan="{len(ARMS)}" class="left">{data(model)}</th>'
                )
            for metric in METRICS:
                mean, half = run.mean(regime, model, arm, metric)
                cells.append(
                    f"<td>{mean:.4f} <span "
                    f'class="muted">±{f"{half:.3f}".removeprefix("0")}</span></td>'
                )
            if arm == ARMS[0]:
                cells += ["<td></td>", "<td></td>"]
            else:
                c = run.pair(regime, model, f"{arm} - {ARMS[0]}")
                share = [
                    100 * c[b] / c["mean_a"] if c["mean_a"] else float("nan")
                    for b in ("difference", "low", "high")
                ]
                change, low, high = (signed(s, 1) for s in share)
                cells += [
                    f'<td>{change} <span class="muted">[{low}, {high}]</span></td>',
                    f"<td>{c['p_holm']:.1g}</td>",
                ]
            rows.append(f'<tr class="{arm}">{"".join(cells)}</tr>')
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    said = "".join(
        f"<dt>{data(m)}</dt><dd>{typeset(run.verdict(regime, m))}</dd>" for m in run.models
    )
    return table(named(regime), head, bodies) + f"<dl>{said}</dl>"


def slices(run: Run) -> tuple[str, str]:
    about = "<p>What each user gains over plain: all users, the random control beside it, and slices that share the users "
    about += "out by their links in train and by how many of the held-out items are outside the most popular fifth.</p>"
    panels = [
        (f"{named(regime)}: {model}", figures.gains(run, regime, model, f"gain-{i}-{j}"))
        for i, regime in enumerate(run.regimes)
        for j, model in enumerate(run.models)
    ]
    caption = (
        "Points right of the line gain, points left of it lose; an interval that crosses the line "
        "shows "
        "no difference. These intervals are not corrected for their number. Grey figures count "
        "users; an arrowhead marks an "
        "interval that goes on beyond the axis."
    )
    tables = "".join(_table_of_slices(run, regime) for regime in run.regimes)
    return about, figure(
        panels, caption
    ) + f"<details><summary>All figures of these slices</summary>{tables}</details>"


def _table_of_slices(run: Run, regime: str) -> str:
    head = [
        ("model", "left"),
        ("slice", "left"),
        ("users", ""),
        ("plain", ""),
        ("augmented − plain", ""),
    ]
    head += [("95 % interval", ""), ("won", ""), ("lost", "")]
    bodies = []
    for model in run.models:
        rows = ""
        for by, parts in run.pair(regime, model, "augmented - plain")["slices"].items():
            for label, p in parts.items():
                told = [f"{p['users']:,}", f"{p['before']:.4f}", signed(p["difference"], 4)]
                told += [
                    f"[{signed(p['low'], 4)}, {signed(p['high'], 4)}]",
                    f"{p['wins']:,}",
                    f"{p['losses']:,}",
                ]
                names = f'<td class="left">{data(model)}</td><th scope="row" class="left arm">{data(f"{by}: {label}")}</th>'
                rows += f"<tr>{names}{''.join(f'<td>{figure}</td>' for figure in told)}</tr>"
        bodies.append(f"<tbody>{rows}</tbody>")
    return table(f"{named(regime)}: {MAIN} by slice", head, bodies)


def degrees(run: Run) -> tuple[str, str]:
    source, _, target = run.relation
    panels = []
    for i, (regime, graph) in enumerate(run.graphs.items()):
        real, made = shapes.degrees(graph, run.relation)
        axes = (f"links of a {source}, x", "share with x links or more")
        picture = shapes.curves(
            f"degree-{i}",
            f"Links per {source}, {regime}",
            axes,
            shapes.at_least(real),
            shapes.at_least(made),
        )
        panels.append((f"{named(regime)}: links per {source}", picture))
        real, made = shapes.popularity(graph, run.relation)
        axes = (f"rank of the {target}", "share of all links")
        name = f"Popularity of {target}s, {regime}"
        picture = shapes.curves(f"rank-{i}", name, axes, shapes.by_rank(real), shapes.by_rank(made))
        panels.append((f"{named(regime)}: popularity", picture))
    about = f"<p>Do generated {data(source)}s have as many links as real ones, and do generated links go to the same few "
    about += (
        f"{data(target)}s?</p><p>Both axes are logarithmic. Only those with any link count.</p>"
    )
    caption = (
        f"Links: the share of {source}s who have so many or more; curves that lie on each other "
        "have the same spread. "
        f"Popularity: {target}s from the most to the least popular, each kind of link by its own "
        "order: a steeper curve sends "
        "more of its links to the head. Generated rows are those of the first seed."
    )
    return about, legend(_LINES) + figure(panels, caption)


def confidence(run: Run) -> tuple[str, str]:
    panels, rows = [], []
    for i, (regime, graph) in enumerate(run.graphs.items()):
        for j, (origin, values) in enumerate(shapes.confidences(graph).items()):
            title = f"{named(regime)}: {origin}, {len(values):,} rows"
            panels.append((title, shapes.histogram(f"sure-{i}-{j}", title, values)))
        for row in (r for delta in graph.deltas for r in delta.summary().to_pylist()):
            names = "".join(
                f'<td class="left">{data(t)}</td>'
                for t in (regime, f"{row['part']}: {row['type']}", row["origin"])
            )
            spread = "".join(f"<td>{row[c]:.3f}</td>" for c in ("min", "mean", "max"))
            rows.append(f"<tr>{names}<td>{row['rows']:,}</td>{spread}</tr>")
    head = [
        ("regime", "left"),
        ("what", "left"),
        ("by", "left"),
        ("rows", ""),
        ("lowest", ""),
        ("mean", ""),
        ("highest", ""),
    ]
    about = "<p>Every generated row says who made it and how sure its maker is, from 0 to 1. What the number means is each "
    about += "generator’s own, so compare within a panel, not between them.</p>"
    caption = "Generated rows of the first seed by confidence. A single tall bar says that the generator does not tell its rows apart."
    made = table("What was generated", head, [f"<tbody>{''.join(rows)}</tbody>"])
    return about, figure(panels, caption) + made


def map_of_users(run: Run) -> tuple[str, str]:
    source, _, target = run.relation
    panels, held = [], []
    for i, (regime, graph) in enumerate(run.graphs.items()):
        found = maps.plane(graph, run.relation)
        if found is not None:
            real, made, share = found
            title = f"Real and generated {source}s, {regime}"
            counts = f"{named(regime)}: {len(real):,} real, {len(made):,} generated"
            panels.append((counts, maps.scatter(f"map-{i}", title, real, made)))
            held.append(f"{100 * share:.1f} % ({regime})")
    about = (
        f"<p>Near each other are {data(source)}s who are linked to the same {data(target)}s.</p>"
    )
    if not panels:
        return (
            about,
            f"<p>There are too few {data(source)}s or {data(target)}s with links for a map.</p>",
        )
    caption = (
        f"Each {source} is its row of links, scaled to length 1, seen in the plane along which "
        f"real {source}s differ most "
        "(principal components of the observed rows; generated rows are placed into the same "
        "plane). The plane holds "
        f"{', '.join(held)} of all spread, so distances are rough. Look whether diamonds cover "
        "the grey cloud: a clump of them "
        f"means generated {source}s that are all alike. At most {maps.DOTS:,} of each kind are "
        "drawn."
    )
    return about, legend(_DOTS) + figure(panels, caption)


def types(run: Run) -> tuple[str, str]:
    regime, graph = next(iter(run.graphs.items()))
    about = (
        "<p>The store is a typed graph. A circle is a type of node, an arrow a type of edge.</p>"
    )
    caption = f"How many rows were observed before test, and in colour with + how many were generated ({regime}, first seed)."
    return about, f'<div class="wide">{figure([("", schema.draw(graph, "types"))], caption)}</div>'


def examples(run: Run) -> tuple[str, str]:
    source = run.relation[0]
    about = f"<p>The first ten recommendations for a few {data(source)}s, by the augmented {data(run.models[0])}.</p>"
    about += '<p><span class="flag">◆</span> marks an item to which a generated edge leads.</p>'
    if not run.lines["recommendation"]:
        return about, "<p>This run recorded no recommendations.</p>"
    return (
        about,
        f'<div class="panels">{"".join(_picks(row, source) for row in run.lines["recommendation"])}</div>',
    )


def _picks(row: dict[str, Any], source: str) -> str:
    rows = []
    for item in row["items"]:
        direct = item["confidence"] is not None
        why = [f"generated edge, confidence {item['confidence']:.2f}"] if direct else []
        why += (
            [f"in {item['fans']:,} generated {source}{'s' * (item['fans'] != 1)}"]
            if item["fans"]
            else []
        )
        told = f'<span class="why">{data(", ".join(why))}</span>' if why else ""
        flag = ' <span class="flag" aria-label="generated">◆</span>' if direct else ""
        rows.append(
            f'<tr><td class="rank">{item["rank"]}</td><td '
            f'class="text">{data(item["title"])}{flag}{told}</td>'
            f"<td>{item['score']:.2f}</td></tr>"
        )
    who = f"{named(row['regime'])}: {source} {row['user']}"
    known = "; ".join(map(data, row["history"])) + (
        " and more" if row["known"] > len(row["history"]) else ""
    )
    surest = "; ".join(
        f"{data(guess['title'])} ({guess['confidence']:.2f})" for guess in row["surest"]
    )
    head = [("", "rank"), ("recommended", "text"), ("score", "")]
    listed = table(who, head, [f"<tbody>{''.join(rows)}</tbody>"])
    return (
        f'<div class="panel picks">{listed}<p class="why">Known for {row["known"]:,}: {known}. '
        "Generated edges of this "
        f"{data(source)}: "
        f"{row['edges']:,}{f'; the surest are {surest}' if surest else ''}.</p></div>"
    )


def again(run: Run) -> tuple[str, str]:
    facts = run.facts
    about = "<p>The same command and versions give the same figures.</p>"
    asked = command(facts["command"]) if facts.get("command") else ""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    rows = [("Seeds", ", ".join(map(clean, facts["seeds"]))), ("Versions", data(versions))]
    rows += [("Model", data(facts["settings"]))] if facts.get("settings") else []
    rows += [("Text encoder", data(facts["encoder"]))] if facts.get("encoder") else []
    rows += [("Time", f"{row['seconds']:.0f} s") for row in run.lines["end"]]
    return about, asked + pairs(rows) + "".join(_chosen(row) for row in run.lines["chosen"])


def _chosen(row: dict[str, Any]) -> str:
    """What valid chose in one regime."""
    told = [("Size of the delta", typeset(row["size"]))]
    told += [
        (named(arm), data(brief("; ".join(map(str, members.values())))))
        for arm, members in row["members"].items()
    ]
    return f'<h3 class="next">{data(named(row["regime"]))}: chosen on valid at the first seed</h3>{pairs(told)}'
