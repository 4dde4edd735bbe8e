"""Run folders of driftgauge as data frames: one file, over pandas and pyarrow.

    import driftgauge
    run = driftgauge.load("runs/demo")
    run.metrics[run.metrics.primary]          # every number of every model, with its interval
    run.comparisons                           # differences, with interval, test, p and adjusted p
    run.samples["harmfulness"]                # what was asked and answered, verdicts and scores unpacked

Nothing is computed here: every value is the one in `results.json` and `samples/*.parquet`, and what is absent there is missing here.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Run", "load"]

# Versions of `results.json` whose fields are those that are read here.
SCHEMAS = {1}
# The kinds of comparison in `results.json`, by what is held against what.
COMPARISONS = {
    "comparisons": "model",
    "condition_comparisons": "condition",
    "differences_in_differences": "difference of differences",
    "unpaired_comparisons": "unpaired",
}
# Columns of the samples that hold JSON as text.
JSON_COLUMNS = ["messages", "first_token_logprob", "row", "verdicts", "values"]


@dataclass
class Run:
    """A run folder."""

    folder: Path
    metrics: "pandas.DataFrame"
    """A row for each number: evaluation, condition, model, metric, value, n, low, high, level, method, primary, direction, unit."""
    comparisons: "pandas.DataFrame"
    """A row for each difference: `kind` says of what; delta, low, high, p, p_adjusted, test, n."""
    samples: dict = field(default_factory=dict)
    """A frame for each evaluation."""
    training: dict = field(default_factory=dict)
    """A frame for each model that was trained: a row for each step."""
    notes: list = field(default_factory=list)
    """What the run says of its numbers."""

    def scores(self, evaluation: str, judge: str) -> "pandas.Series":
        """The label of each sample by one judge; missing where it gave none."""
        verdicts = self.samples[evaluation]["verdicts"]
        return verdicts.map(lambda given: (given or {}).get(judge, {}).get("label"))


def load(folder) -> Run:
    """Reads a run folder. Raises `ValueError` for one of another version, `FileNotFoundError` for one that is not done."""
    import pandas

    folder = Path(folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    if results.get("schema") not in SCHEMAS:
        raise ValueError(f"{folder}: results.json has schema {results.get('schema')}; this file reads {sorted(SCHEMAS)}")
    metrics = pandas.DataFrame([_flat(number) for number in results["metrics"]])
    rows = [{"kind": kind, **_flat(row)} for name, kind in COMPARISONS.items() for row in results.get(name, [])]
    samples = {}
    for path in sorted((folder / "samples").glob("*.parquet")):
        frame = pandas.read_parquet(path)
        for column in JSON_COLUMNS:
            if column in frame:
                frame[column] = frame[column].map(lambda text: json.loads(text) if isinstance(text, str) and text else None)
        samples[path.stem] = frame
    logs = sorted((folder / "models").glob("*/train_log.jsonl"))
    training = {log.parent.name: pandas.read_json(log, lines=True) for log in logs}
    return Run(folder, metrics, pandas.DataFrame(rows), samples, training, results.get("notes", []))


def _flat(row: dict) -> dict:
    """An entry with its interval and test as columns of their own."""
    row = dict(row)
    interval, test = row.pop("ci", None) or {}, row.pop("test", None)
    row |= {"low": interval.get("low"), "high": interval.get("high"), "level": interval.get("level"), "method": interval.get("method")}
    if test is not None:
        row["test"] = test.get("name")
    return row
