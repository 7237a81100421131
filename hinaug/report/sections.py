"""The sections of the page: each gives the text at its side, and its pictures and tables."""

from __future__ import annotations

from typing import Any

from hinaug.report import figures, maps, schema, shapes
from hinaug.report.pieces import command, data, figure, legend, named, pairs, table, typeset
from hinaug.report.read import Run
from hinaug.report.svg import clean, signed
from hinaug.report.wording import ARMS, METRICS, RULE, brief, plural, shown

MAIN = METRICS[0]  # the metric that is compared, and whose bars are drawn
_LINES = {
    "observed": '<path class="curve real" d="M0 6H34"/>'
    '<circle class="point real" cx="17" cy="6" r="2.6"/>',
    "generated": '<path class="curve made" d="M0 6H34"/>'
    '<path class="point made" d="M12.8 6l4.2 -4.2 4.2 4.2 -4.2 4.2z"/>',
}
_DOTS = {
    "real": '<path class="cloud real" d="M17 6h0"/>',
    "generated": '<path class="cloud made" d="M13 6l4 -4 4 4 -4 4z"/>',
}


def results(run: Run) -> tuple[str, str]:
    about = (
        f"<p>{ARMS[0].capitalize()} is without augmentation, random is a random delta of the same "
        "size, the control.</p>"
        f"<p>{clean(RULE)}</p>"
    )
    panels = [
        (named(regime), figures.bars(run, regime, MAIN, f"bars-{i}"))
        for i, regime in enumerate(run.regimes)
    ]
    caption = (
        f"{MAIN} on test, every item ranked. Whiskers are 95 % intervals of each arm; arms are "
        "tested on the same users, so the p beside a bar can be small although whiskers overlap. "
        "Look first whether augmented ends beyond both others."
    )
    tables = "".join(_table_of_results(run, regime) for regime in run.regimes)
    return about, figure(panels, caption) + tables


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
        rows = "".join(_row_of_results(run, regime, model, arm) for arm in ARMS)
        bodies.append(f"<tbody>{rows}</tbody>")
    said = "".join(
        f"<dt>{data(m)}</dt><dd>{typeset(run.verdict(regime, m))}</dd>" for m in run.models
    )
    return table(named(regime), head, bodies) + f"<dl>{said}</dl>"


def _row_of_results(run: Run, regime: str, model: str, arm: str) -> str:
    """One arm of one model; the first row of a model also has its name."""
    is_plain = arm == ARMS[0]
    cells = []
    if is_plain:
        group = f'scope="rowgroup" rowspan="{len(ARMS)}" class="left"'
        cells.append(f"<th {group}>{data(model)}</th>")
    cells.append(f'<th scope="row" class="left arm">{arm}</th>')
    for metric in METRICS:
        mean, half = run.mean(regime, model, arm, metric)
        spread = f"{half:.3f}".removeprefix("0")
        cells.append(f'<td>{mean:.4f} <span class="muted">±{spread}</span></td>')
    cells += ["<td></td>", "<td></td>"] if is_plain else _gain_and_p(run, regime, model, arm)
    return f'<tr class="{arm}">{"".join(cells)}</tr>'


def _gain_and_p(run: Run, regime: str, model: str, arm: str) -> list[str]:
    """The change in percent of plain with its interval, and p."""
    c = run.pair(regime, model, f"{arm} - {ARMS[0]}")
    parts = [c[name] for name in ("difference", "low", "high")]
    change, low, high = (
        signed(100 * part / c["mean_a"] if c["mean_a"] else float("nan"), 1) for part in parts
    )
    return [
        f'<td>{change} <span class="muted">[{low}, {high}]</span></td>',
        f"<td>{shown(c['p_holm'])}</td>",
    ]


def slices(run: Run) -> tuple[str, str]:
    about = (
        "<p>What each user gains over plain: all users, the random control beside it, and slices "
        "that share the users out by their links in train and by how many of the held-out items "
        "are outside the most popular fifth.</p>"
    )
    panels = [
        (f"{named(regime)}: {model}", figures.gains(run, regime, model, f"gain-{i}-{j}"))
        for i, regime in enumerate(run.regimes)
        for j, model in enumerate(run.models)
    ]
    caption = (
        "Points right of the line gain, points left of it lose; an interval that crosses the line "
        "shows no difference. These intervals are not corrected for their number. Grey figures "
        "count users; an arrowhead marks an interval that goes on beyond the axis."
    )
    tables = "".join(_table_of_slices(run, regime) for regime in run.regimes)
    more = f"<details><summary>All figures of these slices</summary>{tables}</details>"
    return about, figure(panels, caption) + more


def _table_of_slices(run: Run, regime: str) -> str:
    names = ("users", "plain", "augmented − plain", "95 % interval", "won", "lost")
    head = [("model", "left"), ("slice", "left"), *((name, "") for name in names)]
    bodies = []
    for model in run.models:
        slices = run.pair(regime, model, "augmented - plain")["slices"]
        rows = [
            _row_of_slice(model, f"{by}: {label}", p)
            for by, parts in slices.items()
            for label, p in parts.items()
        ]
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    return table(f"{named(regime)}: {MAIN} by slice", head, bodies)


def _row_of_slice(model: str, name: str, p: dict[str, Any]) -> str:
    figures = (
        f"{p['users']:,}",
        f"{p['before']:.4f}",
        signed(p["difference"], 4),
        f"[{signed(p['low'], 4)}, {signed(p['high'], 4)}]",
        f"{p['wins']:,}",
        f"{p['losses']:,}",
    )
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    who = f'<td class="left">{data(model)}</td><th scope="row" class="left arm">{data(name)}</th>'
    return f"<tr>{who}{cells}</tr>"


def degrees(run: Run) -> tuple[str, str]:
    source, _, target = run.relation
    panels = []
    for i, (regime, graph) in enumerate(run.graphs.items()):
        real, made = shapes.degrees(graph, run.relation)
        axes = (f"links of a {source}, x", "share with x links or more")
        name = f"Links per {source}, {regime}"
        picture = shapes.curves(
            f"degree-{i}", name, axes, shapes.at_least(real), shapes.at_least(made)
        )
        panels.append((f"{named(regime)}: links per {source}", picture))
        real, made = shapes.popularity(graph, run.relation)
        axes = (f"rank of the {target}", "share of all links")
        name = f"Popularity of {target}s, {regime}"
        picture = shapes.curves(f"rank-{i}", name, axes, shapes.by_rank(real), shapes.by_rank(made))
        panels.append((f"{named(regime)}: popularity", picture))
    about = (
        f"<p>Do generated {data(source)}s have as many links as real ones, and do generated links "
        f"go to the same few {data(target)}s?</p>"
        "<p>Both axes are logarithmic. Only those with any link count.</p>"
    )
    caption = (
        f"Links: the share of {source}s who have so many or more; curves that lie on each other "
        f"have the same spread. Popularity: {target}s from the most to the least popular, each "
        "kind of link by its own order: a steeper curve sends more of its links to the head. "
        "Generated rows are those of the first seed."
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
    head = [(name, "left") for name in ("regime", "what", "by")]
    head += [(name, "") for name in ("rows", "lowest", "mean", "highest")]
    about = (
        "<p>Every generated row says who made it and how sure its maker is, from 0 to 1. What the "
        "number means is each generator’s own, so compare within a panel, not between them.</p>"
    )
    caption = (
        "Generated rows of the first seed by confidence. A single tall bar says that the "
        "generator does not tell its rows apart."
    )
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
    who, what = f"{data(source)}s", f"{data(target)}s"
    about = f"<p>Near each other are {who} who are linked to the same {what}.</p>"
    if not panels:
        return about, f"<p>There are too few {who} or {what} with links for a map.</p>"
    caption = (
        f"Each {source} is its row of links, scaled to length 1, seen in the plane along which "
        f"real {source}s differ most (principal components of the observed rows; generated rows "
        f"are placed into the same plane). The plane holds {', '.join(held)} of all spread, so "
        "distances are rough. Look whether diamonds cover the grey cloud: a clump of them means "
        f"generated {source}s that are all alike. At most {maps.DOTS:,} of each kind are drawn."
    )
    return about, legend(_DOTS) + figure(panels, caption)


def types(run: Run) -> tuple[str, str]:
    regime, graph = next(iter(run.graphs.items()))
    about = (
        "<p>The store is a typed graph. A circle is a type of node, an arrow a type of edge.</p>"
    )
    caption = (
        "How many rows were observed before test, and in colour with + how many were generated "
        f"({regime}, first seed)."
    )
    return about, f'<div class="wide">{figure([("", schema.draw(graph, "types"))], caption)}</div>'


def examples(run: Run) -> tuple[str, str]:
    source = run.relation[0]
    about = (
        f"<p>The first ten recommendations for a few {data(source)}s, by the augmented "
        f"{data(run.models[0])}.</p>"
        '<p><span class="flag">◆</span> marks an item to which a generated edge leads.</p>'
    )
    if not run.lines["recommendation"]:
        return about, "<p>This run recorded no recommendations.</p>"
    picks = "".join(_picks(row, source) for row in run.lines["recommendation"])
    return about, f'<div class="panels">{picks}</div>'


def _picks(row: dict[str, Any], source: str) -> str:
    """The recommendations for one user, and what is known of that user."""
    who = f"{named(row['regime'])}: {source} {row['user']}"
    head = [("", "rank"), ("recommended", "text"), ("score", "")]
    rows = "".join(_row_of_pick(item, source) for item in row["items"])
    listed = table(who, head, [f"<tbody>{rows}</tbody>"])
    known = "; ".join(map(data, row["history"]))
    known += " and more" if row["known"] > len(row["history"]) else ""
    surest = "; ".join(
        f"{data(guess['title'])} ({guess['confidence']:.2f})" for guess in row["surest"]
    )
    surest = f"; the surest are {surest}" if surest else ""
    return (
        f'<div class="panel picks">{listed}'
        f'<p class="why">Known for {row["known"]:,}: {known}. '
        f"Generated edges of this {data(source)}: {row['edges']:,}{surest}.</p></div>"
    )


def _row_of_pick(item: dict[str, Any], source: str) -> str:
    direct, fans = item["confidence"] is not None, item["fans"]
    why = [f"generated edge, confidence {item['confidence']:.2f}"] if direct else []
    why += [f"in {fans:,} generated {plural(source, fans)}"] if fans else []
    reason = f'<span class="why">{data(", ".join(why))}</span>' if why else ""
    flag = ' <span class="flag" aria-label="generated">◆</span>' if direct else ""
    return (
        f'<tr><td class="rank">{item["rank"]}</td>'
        f'<td class="text">{data(item["title"])}{flag}{reason}</td>'
        f"<td>{item['score']:.2f}</td></tr>"
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
    regime = data(named(row["regime"]))
    return f'<h3 class="next">{regime}: chosen on valid at the first seed</h3>{pairs(told)}'
