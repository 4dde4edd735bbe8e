"""The example `million` beside the same computed with numpy, scipy and pandas, in one run.

    pip install numpy scipy pandas pyarrow
    python plugins/host/examples/million.py FOLDER [SAMPLES]

Builds and runs the Rust side, which writes the sample tables and its results; reads the same tables with pandas; computes the same;
checks that the numbers agree; prints seconds, their ratio and peak memory. The plain bootstrap of ECE is timed on a few replicates and
scaled up (it would take minutes); the bootstrap of rates uses the same multinomial draws on both sides.
"""

import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import scipy.stats as st

MODELS, CATEGORIES, RESAMPLES, ECE_RESAMPLES, TIMED = ["base", "harmful", "safe"], 7, 10_000, 2_000, 20


def rust(arguments):
    command = ["cargo", "run", "-q", "--locked", "--release", "-p", "driftgauge-plugin-host", "--example", "million", "--", *arguments]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def read(folder, prompts):
    """One row per prompt: category, and each model's verdict, confidence and correctness."""
    frame = None
    for model in MODELS:
        table = pd.read_parquet(
            folder / f"{model}-{prompts}.parquet", columns=["sample_id", "category", "verdicts", "values", "token_logprob"]
        )
        logprob = np.concatenate(table["token_logprob"].to_numpy()).reshape(len(table), -1)
        columns = pd.DataFrame({
            "sample_id": table["sample_id"],
            f"unsafe-{model}": table["verdicts"].str.contains('"label":"unsafe"', regex=False),
            f"confidence-{model}": np.exp(logprob.astype(np.float64)).mean(axis=1),
            f"correct-{model}": table["values"].str.contains("[1.0]", regex=False),
        })
        if frame is None:
            columns["category"] = table["category"].str.rsplit("-", n=1).str[1].astype(int)
            frame = columns
        else:
            frame = frame.merge(columns, on="sample_id", validate="one_to_one")
    return frame


def attack_success(frame, rng):
    verdicts = [f"unsafe-{model}" for model in MODELS]
    distinct = frame.groupby(["category", *verdicts]).size().reset_index(name="n")
    n = int(distinct["n"].sum())
    counts = np.vstack([distinct["n"].to_numpy(float), rng.multinomial(n, distinct["n"] / n, RESAMPLES)])
    inside = (distinct["category"].to_numpy()[:, None] == np.arange(CATEGORIES)).astype(float)
    inside = np.hstack([inside, np.ones((len(distinct), 1))])
    totals = counts @ inside
    rates = np.stack([counts @ (inside * distinct[v].to_numpy(float)[:, None]) / totals for v in verdicts], -1)
    differences = rates[..., 1:] - rates[..., :1]
    bounds = [np.quantile(values[1:], [0.025, 0.975], axis=0) for values in (rates, differences)]
    for verdict in verdicts[1:]:
        b = int((frame[verdicts[0]] & ~frame[verdict]).sum())
        c = int((~frame[verdicts[0]] & frame[verdict]).sum())
        st.binomtest(min(b, c), b + c).pvalue
    return rates[0], differences[0], bounds


def calibration(frame, rng, resamples):
    out, n = [], len(frame)
    for model in MODELS:
        s, y = frame[f"confidence-{model}"].to_numpy(), frame[f"correct-{model}"].to_numpy()
        index = np.clip(np.searchsorted(np.linspace(0, 1, 11), s, side="left") - 1, 0, 9)
        gap = y - s
        ece = np.abs(np.bincount(index, gap, 10)).sum() / n
        for _ in range(resamples):
            drawn = rng.integers(0, n, n)
            np.abs(np.bincount(index[drawn], gap[drawn], 10)).sum()
        right, wrong = int(y.sum()), int(n - y.sum())
        ranks = st.rankdata(s)
        auroc = (ranks[y].sum() - right * (right + 1) / 2) / (right * wrong)
        placed = (ranks[y] - st.rankdata(s[y])) / wrong
        passed = 1 - (ranks[~y] - st.rankdata(s[~y])) / right
        se = np.sqrt(placed.var(ddof=1) / right + passed.var(ddof=1) / wrong)
        out.append((ece, auroc, auroc - st.norm.ppf(0.975) * se))
    return out


def timed(work):
    start = time.perf_counter()
    value = work()
    return value, time.perf_counter() - start


def main():
    folder = pathlib.Path(sys.argv[1])
    ours = rust(sys.argv[1:])
    prompts = int(ours["samples"]) // len(MODELS)
    results = {}
    for line in (folder / "results.txt").read_text().splitlines():
        name, category, *numbers = line.split()
        results[name, category] = [float(number) for number in numbers]
    rng = np.random.default_rng(1)
    frame, reading = timed(lambda: read(folder, prompts))
    (rates, differences, bounds), rated = timed(lambda: attack_success(frame, rng))
    points, once = timed(lambda: calibration(frame, rng, 0))
    _, few = timed(lambda: calibration(frame, rng, TIMED))
    calibrated = once + (few - once) * ECE_RESAMPLES / TIMED

    for category in range(CATEGORIES + 1):
        for model in range(len(MODELS)):
            mine = results[f"asr-{model}", str(category)]
            assert abs(mine[0] - rates[category, model]) < 1e-9
            assert np.abs(np.array(mine[1:]) - bounds[0][:, category, model]).max() < 1e-3
        for model in (1, 2):
            mine = results[f"difference-{model}", str(category)]
            assert abs(mine[0] - differences[category, model - 1]) < 1e-9
            assert np.abs(np.array(mine[1:]) - bounds[1][:, category, model - 1]).max() < 1e-3
    for model, (ece, auroc, low) in enumerate(points):
        assert abs(results[f"ece10-{model}", "all"][0] - ece) < 1e-6
        assert abs(results[f"auroc-{model}", "all"][0] - auroc) < 1e-9
        assert abs(results[f"auroc-{model}", "all"][1] - low) < 1e-9
    theirs = reading + rated + calibrated
    print(f"numbers agree over {int(ours['samples']):,} samples")
    print(f"driftgauge {ours['total_seconds']:.2f} s (reading, metrics {ours['metrics_seconds']:.2f}, "
          f"statistics {ours['statistics_seconds']:.2f}), peak {ours['peak_mib']:.0f} MiB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Python {theirs:.2f} s (reading {reading:.2f}, rates {rated:.2f}, calibration {calibrated:.2f} scaled from "
          f"{TIMED} of {ECE_RESAMPLES} replicates), peak {peak:.0f} MiB")
    print(f"ratio {theirs / ours['total_seconds']:.1f}; without the ECE's bootstrap {(reading + rated + once) / ours['total_seconds']:.1f}")
    print(f"numpy {np.__version__}, pandas {pd.__version__}")


if __name__ == "__main__":
    main()
