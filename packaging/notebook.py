"""Runs the cells of a notebook in order, as a kernel does, and holds what they found against the run folder's own files.

    DRIFTGAUGE_RUN=runs/demo python packaging/notebook.py python/example.ipynb
"""

import json
import os
import sys
from pathlib import Path

cells = json.loads(Path(sys.argv[1]).read_text())["cells"]
names: dict = {}
for cell in cells:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), sys.argv[1], "exec"), names)

results = json.loads((Path(os.environ["DRIFTGAUGE_RUN"]) / "results.json").read_text())
known = [m for m in results["metrics"] if m["primary"] and m["value"] is not None]
for metric in known:
    found = names["table"].loc[(metric["evaluation"], metric["condition"], metric["metric"]), metric["model"]]
    assert found == metric["value"], (metric, found)
tested = [c for c in results["comparisons"] if c["p"] is not None]
assert len(names["changed"]) == len(tested), (len(names["changed"]), len(tested))
assert list(names["changed"]["delta"]) == [c["delta"] for c in tested]
assert sum(int(counts.sum()) for counts in names["verdicts"].values()) > 0
print(f"notebook: {len(known)} numbers and {len(tested)} comparisons as in results.json")
