"""The look of the page, in light, dark and on paper.

One accent colour, which always means "generated".
"""

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --panel: #f4f4f0; --ink: #1d2126;
  --muted: #5a626d; --rule: #dddfdc;
  --grey: #8a929c; --soft: #c9cdd2; --accent: #0b5cab; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --panel: #1c2026; --ink: #e7e9ec;
  --muted: #a2abb6;
  --rule: #31373f; --grey: #86909c; --soft: #59626d; --accent: #74b6f7; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    sans-serif; }
main { max-width: 1208px; margin: 0 auto;
  padding: clamp(32px, 6vw, 88px) clamp(18px, 4vw, 40px) 64px; }
p { margin: 0 0 12px; max-width: 68ch; }
a { color: var(--accent); text-underline-offset: 3px; }
.eyebrow { color: var(--muted); font-size: 14px; margin-bottom: 20px; }
h1 { font-size: clamp(28px, 4.4vw, 46px); line-height: 1.14; letter-spacing: -0.022em;
  font-weight: 620; margin: 0 0 28px;
  max-width: 24em; text-wrap: balance; }
h1 span { display: block; }
h2 { font-size: 21px; line-height: 1.3; letter-spacing: -0.01em; font-weight: 620;
  margin: 0 0 10px; }
h3 { font-size: 15px; line-height: 1.4; font-weight: 620; margin: 0 0 10px; }
.lead { font-size: 18px; }
.key { color: var(--muted); font-size: 14px; margin-top: 20px; }
.made { color: var(--accent); font-weight: 600; }
nav { margin: 32px 0 0; padding-top: 14px; border-top: 1px solid var(--rule); font-size: 14px; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0; padding: 0; }
nav a { display: inline-block; padding: 4px 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
section { border-top: 1px solid var(--rule); margin-top: 56px; padding-top: 28px; }
.about p { color: var(--muted); font-size: 15px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr));
  gap: 0 44px; }
.scroll + *, figure + .scroll, dl + .scroll, figure + details, .lead + dl { margin-top: 28px; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--muted); font-size: 14px; line-height: 1.5; margin-top: -8px;
  max-width: 74ch; }
.panel { min-width: 0; margin-bottom: 36px; display: grid; grid-template-rows: subgrid;
  grid-row: span 2; }
svg { display: block; width: 100%; max-width: 380px; height: auto; overflow: visible; }
svg.off { position: absolute; width: 0; height: 0; }
.wide .panels { grid-template-columns: minmax(0, 1fr); }
.wide svg { max-width: 480px; }
svg text { font-size: 12.5px; fill: var(--ink); font-variant-numeric: tabular-nums; }
svg .small { font-size: 11.5px; fill: var(--muted); }
svg .italic { font-style: italic; }
svg .strong { font-weight: 600; }
svg .accent { fill: var(--accent); }
svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round; }
.rule { stroke: var(--rule); }
.axis { stroke: var(--grey); }
.bar { stroke-width: 1; }
.bar.plain { fill: var(--soft); }
.bar.random { fill: url(#hatch); stroke: var(--grey); }
.bar.augmented { fill: var(--accent); }
#hatch path { stroke: var(--grey); stroke-width: 1.5; }
.rim { fill: none; stroke: var(--paper); stroke-width: 4; }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.4; }
.dot { fill: var(--accent); stroke: var(--paper); stroke-width: 1.5; }
.dot.random { fill: var(--paper); stroke: var(--grey); stroke-width: 2; }
.mark { fill: var(--ink); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve.real { stroke: var(--grey); }
.curve.made { stroke: var(--accent); stroke-dasharray: 7 3; }
.point.real { fill: var(--paper); stroke: var(--grey); stroke-width: 1.6; }
.point.made { fill: var(--accent); stroke: var(--paper); }
.frame { fill: var(--panel); stroke: none; }
.cloud.real { fill: none; stroke: var(--grey); stroke-width: 4; stroke-linecap: round;
  opacity: 0.6; }
.cloud.made { fill: var(--accent); stroke: var(--paper); stroke-width: 0.6; }
.node { fill: var(--panel); stroke: var(--grey); stroke-width: 1.4; }
.edge { fill: none; stroke: var(--grey); stroke-width: 1.4; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 24px; list-style: none; margin: 0 0 20px;
  padding: 0; font-size: 14px; }
.legend svg { display: inline-block; width: 34px; height: 12px; margin-right: 8px; }
.scroll { overflow-x: auto;
  background: linear-gradient(to right, var(--paper) 50%, transparent) local 0 0 / 48px 100%,
  linear-gradient(to left, var(--paper) 50%, transparent) local 100% 0 / 48px 100%,
  linear-gradient(to right, var(--soft), transparent) scroll 0 0 / 14px 100%,
  linear-gradient(to left, var(--soft), transparent) scroll 100% 0 / 14px 100%;
  background-repeat: no-repeat; }
.scroll:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 3px; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.45;
  font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 620; font-size: 15px; padding-bottom: 8px; }
th, td { text-align: right; padding: 5px 0 5px 14px; vertical-align: baseline; white-space: nowrap;
  overflow-wrap: normal; }
th { font-weight: 400; }
thead th { color: var(--muted); font-size: 13px; vertical-align: bottom;
  border-bottom: 1px solid var(--grey); }
tbody tr:first-child > * { border-top: 1px solid var(--rule); }
thead + tbody tr:first-child > * { border-top: 0; }
th:first-child, td:first-child { padding-left: 0; }
th.left, td.left { text-align: left; }
th.arm { padding-left: 14px; }
thead th.wrap { white-space: normal; max-width: 9em; }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 17em; }
tr.augmented > .arm { color: var(--accent); font-weight: 600; }
.muted { color: var(--muted); }
.picks td, .picks th { padding-top: 5px; padding-bottom: 5px; }
.picks .text { min-width: 0; }
.picks .scroll + p { margin-top: 10px; }
.picks .rank { color: var(--muted); width: 2.2em; text-align: right; }
.why { display: block; font-size: 13px; color: var(--muted); }
.flag { color: var(--accent); }
details { margin-top: 32px; }
summary { cursor: pointer; font-size: 14px; color: var(--accent); padding: 4px 0; }
details > * + * { margin-top: 14px; }
pre { background: var(--panel); padding: 14px 16px; margin: 0 0 24px; border-radius: 6px;
  white-space: pre-wrap; font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre span { display: inline-block; max-width: 100%; }
h3.next { margin-top: 28px; }
dl { display: grid; grid-template-columns: minmax(90px, max-content) minmax(0, 1fr); gap: 6px 24px;
  margin: 0; font-size: 14px; }
dt { color: var(--muted); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
footer { margin-top: 56px; padding-top: 16px; border-top: 1px solid var(--rule);
  color: var(--muted); font-size: 13px; }
@media (min-width: 1000px) { section { display: grid; grid-template-columns: 208px minmax(0, 1fr);
  column-gap: 48px; } }
@media (max-width: 999px) { .about { margin-bottom: 24px; } }
@media (max-width: 560px) { dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 10px; } }
@page { margin: 14mm; }
@media print { :root { color-scheme: light; --paper: #fff; --panel: #f4f4f0; --ink: #000;
  --muted: #444; --rule: #ccc;
    --grey: #777; --soft: #c4c4c4; --accent: #0b5cab; }
  body { font-size: 11pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  nav, summary { display: none; }
  details::details-content { content-visibility: visible; }
  section { display: block; margin-top: 28px; padding-top: 18px; }
  .about { margin-bottom: 18px; }
  h2, h3, caption, .about, .about > *, .legend, thead { break-after: avoid; }
  .panel { margin-bottom: 22px; }
  .panel, tr, tbody, .picks, pre, .scroll, dl, .about { break-inside: avoid; }
  .panels { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 32px; }
  .scroll { overflow: visible; background: none; }
  table, thead th { font-size: 7.6pt; }
  .picks table { font-size: 9pt; }
  .why { font-size: 8pt; }
  th, td, th.arm { padding-left: 7px; }
}
"""
