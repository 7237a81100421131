"""SDMetrics' quality report of tables: python table_sdmetrics.py real.csv made.csv ...

Prints a line of JSON: for each made table {"shapes": {column: score}, "pairs": {"a, b": score}}.
Numbers of at most ten values are categories.
"""

from __future__ import annotations

import json
import sys

import pandas as pd
from sdmetrics.reports.single_table import QualityReport

real, *others = sys.argv[1:]
table = pd.read_csv(real)
numeric = {
    c: pd.api.types.is_numeric_dtype(table[c]) and table[c].nunique() > 10 for c in table.columns
}
metadata = {
    "columns": {
        c: {"sdtype": "numerical" if is_number else "categorical"}
        for c, is_number in numeric.items()
    }
}
found = []
for path in others:
    report = QualityReport()
    report.generate(table, pd.read_csv(path), metadata, verbose=False)
    shapes = report.get_details("Column Shapes")
    pairs = report.get_details("Column Pair Trends")
    names = pairs["Column 1"] + ", " + pairs["Column 2"]
    found.append(
        {
            "shapes": dict(zip(shapes["Column"], shapes["Score"], strict=True)),
            "pairs": dict(zip(names, pairs["Score"], strict=True)),
        }
    )
print(json.dumps(found))
