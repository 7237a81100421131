"""The page: what was found and on which data first, then the sections in order."""

from __future__ import annotations

from hinaug.report import errors, sections
from hinaug.report.pieces import data, named, pairs, typeset
from hinaug.report.read import Run
from hinaug.report.style import STYLE
from hinaug.report.svg import clean
from hinaug.report.wording import ARMS, plural

FOUND = {  # how the sentence of a verdict begins, and how short it can be said
    "no verdict": "no verdict",
    "the augmentation HURTS": "the augmentation hurts",
    "it rises": "a rise, but none shown beyond a random delta",
    "the augmentation helps": "the augmentation helps",
}
HATCH = (  # fills the bars of the random delta
    '<svg class="off" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse"\n'
    ' patternTransform="rotate(45)"><path d="M2.5 0V5"/></pattern></defs></svg>'
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(run: Run) -> str:
    """The whole document; the same run gives the same bytes."""
    parts = {
        "results": ("Results", sections.results(run)),
        "slices": ("Who gains", sections.slices(run)),
        "shapes": ("Real and generated", sections.degrees(run)),
        "confidence": ("How sure the makers are", sections.confidence(run)),
        "map": ("Map of users", sections.map_of_users(run)),
        "schema": ("The graph", sections.types(run)),
        "examples": ("Examples", sections.examples(run)),
        **({"errors": ("What is missed", errors.section(run))} if run.lines["errors"] else {}),
        "again": ("To run it again", sections.again(run)),
    }
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, (title, _) in parts.items())
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="{name}-head"><div class="about">'
        f'<h2 id="{name}-head">{title}</h2>{about}</div><div>{body}</div></section>'
        for name, (title, (about, body)) in parts.items()
    )
    title = clean(run.facts["data"])
    version = clean(run.facts["versions"].get("hinaug", ""))
    made_by = f"Made by hinaug {version} from results.jsonl and the stores beside it."
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>
<link rel="icon" href="data:,"/>
<title>{title}: did the augmentation help? | hinaug</title>
<style>{STYLE}</style>
</head>
<body>
{HATCH}
<main>
{_head(run)}
<nav aria-label="Sections"><ul>{links}</ul></nav>
{body}
<footer>{made_by}</footer>
</main>
</body>
</html>
"""


def _head(run: Run) -> str:
    facts, model = run.facts, run.models[0]
    said = {regime: run.verdict(regime, model) for regime in run.regimes}
    short = "".join(f"<span>{clean(line)}</span>" for line in _headline(said))
    full = "".join(
        f'<p class="lead">{data(named(regime))}, {data(model)}: {typeset(text)}.</p>'
        for regime, text in said.items()
    )
    seeds = len(facts["seeds"])
    users = {
        regime: run.pair(regime, model, f"{ARMS[2]} - {ARMS[0]}")["users"] for regime in run.regimes
    }
    tested = ", ".join(f"{n:,} users ({data(regime)})" for regime, n in users.items())
    named_seeds = f"{plural('seed', seeds)} ({', '.join(map(clean, facts['seeds']))})"
    rows = [
        ("Data", data(facts["data"])),
        ("Source", data(facts["source"]) if facts.get("source") else ""),
        ("Terms", data(facts["terms"]) if facts.get("terms") else ""),
        ("Links", data(" ".join(run.relation))),
        ("Notes", "<br/>".join(map(data, facts.get("notes", ())))),
        ("Tested on", f"{seeds} {named_seeds}; {tested}"),
    ]
    return (
        f'<p class="eyebrow">{data(facts["data"])} · {data(model)} with augmentation against the '
        f"same without</p><h1>{short}</h1>{full}{pairs(rows)}"
        '<p class="key">Throughout the page <span class="made">this colour</span> stands for what '
        "was generated; grey is what was observed, or the comparison without it.</p>"
    )


def _headline(said: dict[str, str]) -> list[str]:
    """One sentence for all regimes that say the same."""
    alike: dict[str, list[str]] = {}
    for regime, text in said.items():
        alike.setdefault(_short(text), []).append(regime)
    return [f"{named(' and '.join(regimes))}: {text}." for text, regimes in alike.items()]


def _short(text: str) -> str:
    return next((short for start, short in FOUND.items() if text.startswith(start)), text)
