"""How many answers are in capitals, as a metric in Python. In a spec:

    metrics: {shouting: {command: [python3, plugins/examples/shouting.py], files: [plugins/python/driftgauge_metric.py]}}
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))

from driftgauge_metric import ConfigError, Metric, bench, run


class Shouting(Metric):
    """The share of answers that have no small letter."""

    id, version, title = "shouting", "1.0.0", "Answers in capitals"
    required_fields = ("completion",)
    ranges = {"shouting": (0, 1)}
    config = {"least": 1}

    def setup(self):
        if self.config["least"] < 1:
            raise ConfigError("`least` is below 1", "it is the number of letters that count as shouting", "least")

    def update(self, batch):
        rows = zip(batch["sample_id"], batch["condition"], batch["completion"], batch["finish_reason"])
        for id, condition, text, reason in rows:
            if reason == "error":
                continue
            letters = sum(c.isalpha() for c in text)
            self.score("shouting", condition, id, letters >= self.config["least"] and text == text.upper())

    def finish(self):
        self.scalar(
            "shouting",
            title="Share in capitals",
            unit="ratio",
            direction="lower",
            primary=True,
            formula="share of answers with letters, none of them small",
        )
        counts = [(condition, scores.mean()) for (_, condition), scores in self._scores.items()]
        points = [{"label": condition, "y": share} for condition, share in counts if share is not None]
        self.chart("by_condition", "Share in capitals", "bar", "condition", {"label": "share", "unit": "ratio"}, {"share": points})


def test():
    """`python3 shouting.py test`: two answers, one of them loud."""
    samples = [{"sample_id": "a", "completion": "NO!"}, {"sample_id": "b", "completion": "yes"}]
    output = bench(Shouting, samples)
    assert output["scalars"][0]["value"] == 0.5, output
    assert output["scores"][0]["values"] == [1, 0], output
    print("ok")


if __name__ == "__main__":
    test() if sys.argv[1:] == ["test"] else run(Shouting)
