"""CTGAN on one table: python table_ctgan.py real.csv made.csv ROWS EPOCHS

Prints a line of JSON: CPU seconds to fit and to sample. Words, and numbers of at most ten values,
are its discrete columns.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN

real, made, rows, epochs = sys.argv[1:]
torch.manual_seed(0)
np.random.seed(0)  # noqa: NPY002 - CTGAN draws from the global state
torch.set_num_threads(1)
table = pd.read_csv(real)
words = [
    c
    for c in table.columns
    if not pd.api.types.is_numeric_dtype(table[c]) or table[c].nunique() <= 10
]
null = table[words].isna()
table[words] = table[words].astype(str).mask(null, "(null)")  # it takes no null
model = CTGAN(epochs=int(epochs), enable_gpu=False)
start = time.process_time()
model.fit(table.dropna(), words)
fitted = time.process_time()
model.sample(int(rows)).replace("(null)", None).to_csv(made, index=False)
print(json.dumps({"fit": fitted - start, "sample": time.process_time() - fitted}))
