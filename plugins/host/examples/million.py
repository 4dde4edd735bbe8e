"""The example `million` beside the same computed with numpy, scipy and pandas, in one run.

    pip install numpy scipy pandas pyarrow
    python plugins/host/examples/million.py FOLDER [SAMPLES] [--ours BUILT]

Builds the Rust side (or takes one that is built, the example `million`), which writes the sample tables; then both sides read those tables and compute, taking turns; checks that the
numbers agree; prints the medians of seconds, their ratios and peak memory.

Python has the best that we could write: columns of the file read by pyarrow on all cores, no string made a Python object, every step a
whole column. Both sides compute the same: rates by category with paired differences, 10,000 resamples of the prompts (the same multinomial
draws) and McNemar's test; AUROC with DeLong's interval; the ECE. The first ratio is without an interval of the ECE. In the second both draw it
equally often: Python by resampling the answers, timed on a few replicates and scaled up; driftgauge by the bins' answers together, which
gives the same distribution. The third is the default of the metrics `asr` and `uncertainty`, all their numbers, tables and charts, over a
Python that computes the few.
"""

import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.stats as st

MODELS, CATEGORIES, RESAMPLES, TIMED, ROUNDS = ["base", "harmful", "safe"], 7, 10_000, 20, 5
CARGO = ["-q", "--locked", "--release", "-p", "driftgauge-plugin-host", "--example", "million"]


def rust(arguments):
    if "--ours" in arguments:
        at = arguments.index("--ours")
        command = [arguments[at + 1], *arguments[:at], *arguments[at + 2 :]]
    else:
        command = ["cargo", "run", *CARGO, "--", *arguments]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def read(folder, prompts):
    """One row per prompt of the first model: category, and each model's verdict, confidence and correctness."""
    frame, first = {}, None
    for model in MODELS:
        table = pq.read_table(
            folder / f"{model}-{prompts}.parquet", columns=["sample_id", "category", "verdicts", "values", "token_logprob"]
        )
        logprob = table["token_logprob"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        columns = {
            f"unsafe-{model}": pc.match_substring(table["verdicts"], '"label":"unsafe"').to_numpy(),
            f"confidence-{model}": np.exp(logprob.astype(np.float64)).mean(axis=1),
            f"correct-{model}": pc.match_substring(table["values"], "[1.0]").to_numpy(),
        }
        ids = table["sample_id"].combine_chunks()
        if first is None:
            first = ids
            category = table["category"].combine_chunks().dictionary_encode()
            names = pc.cast(pc.replace_substring(category.dictionary, "category-", ""), pa.int64()).to_numpy()
            frame["category"] = names[category.indices.to_numpy()]
        else:
            place = pc.index_in(first, ids)
            assert len(ids) == len(first) and place.null_count == 0
            columns = {name: column[place.to_numpy()] for name, column in columns.items()}
        frame.update(columns)
    return pd.DataFrame(frame)


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


def processor(rounds):
    """Processor seconds, where the system tells them: what other processes do changes less of them than of the time that passes."""
    return statistics.median(one.get("processor_seconds", float("nan")) for one in rounds)


def check(ours, rates, differences, bounds, points):
    """The two sides say the same: exactly where nothing is drawn, to a tenth of a point where something is."""
    for category in range(CATEGORIES + 1):
        for model in range(len(MODELS)):
            mine = ours[f"asr-{model}", str(category)]
            assert abs(mine[0] - rates[category, model]) < 1e-9
            assert np.abs(np.array(mine[1:]) - bounds[0][:, category, model]).max() < 1e-3
        for model in (1, 2):
            mine = ours[f"difference-{model}", str(category)]
            assert abs(mine[0] - differences[category, model - 1]) < 1e-9
            assert np.abs(np.array(mine[1:]) - bounds[1][:, category, model - 1]).max() < 1e-3
    for model, (ece, auroc, low) in enumerate(points):
        assert abs(ours[f"ece10-{model}", "all"][0] - ece) < 1e-6
        assert abs(ours[f"auroc-{model}", "all"][0] - auroc) < 1e-9
        assert abs(ours[f"auroc-{model}", "all"][1] - low) < 1e-9


def main():
    folder = pathlib.Path(sys.argv[1])
    if "--ours" not in sys.argv:
        subprocess.run(["cargo", "build", *CARGO], check=True)
    rust(sys.argv[1:])
    asked = {"few": [], "drawn": [], "all": []}
    theirs = []
    for _ in range(ROUNDS):
        for what in ["all", "drawn", "few"]:
            asked[what].append(rust([*sys.argv[1:], what]))
        prompts = int(asked["few"][-1]["samples"]) // len(MODELS)
        rng = np.random.default_rng(1)
        began = time.process_time()
        frame, reading = timed(lambda: read(folder, prompts))
        (rates, differences, bounds), rated = timed(lambda: attack_success(frame, rng))
        points, once = timed(lambda: calibration(frame, rng, 0))
        theirs.append({"reading": reading, "rates": rated, "ece_and_auroc": once, "total": reading + rated + once,
                       "processor_seconds": time.process_time() - began})
    results = {}
    for line in (folder / "results.txt").read_text().splitlines():
        name, category, *numbers = line.split()
        results[name, category] = [float(number) for number in numbers]
    check(results, rates, differences, bounds, points)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _, few = timed(lambda: calibration(frame, rng, TIMED))
    times = int(asked["drawn"][0]["drawn_of_ece"])
    drawn = (few - theirs[-1]["ece_and_auroc"]) * times / TIMED

    def median(rounds, name):
        return statistics.median(one[name] for one in rounds)

    def seconds(what):
        return median(asked[what], "total_seconds")

    ours, other = asked["few"], median(theirs, "total")
    mine = seconds("few")
    print(f"numbers agree over {int(ours[0]['samples']):,} samples; medians of {ROUNDS} rounds")
    print(f"driftgauge {mine:.2f} s (reading and metrics {median(ours, 'metrics_seconds'):.2f}, "
          f"statistics {median(ours, 'statistics_seconds'):.2f}), peak {median(ours, 'peak_mib'):.0f} MiB")
    print(f"Python {other:.2f} s (reading {median(theirs, 'reading'):.2f}, rates {median(theirs, 'rates'):.2f}, "
          f"ECE and AUROC {median(theirs, 'ece_and_auroc'):.2f}), peak {peak:.0f} MiB")
    print(f"ratio {other / mine:.2f} without an interval of the ECE; {(other + drawn) / seconds('drawn'):.2f} with {times} draws of it on both sides "
          f"(Python {other + drawn:.2f} s, {drawn:.2f} of them scaled from {TIMED} draws; driftgauge {seconds('drawn'):.2f} s)")
    print("processor seconds: " + ", ".join(f"{what} {processor(rounds):.2f}" for what, rounds in {**asked, "Python": theirs}.items()))
    print(f"all that the metrics return {seconds('all'):.2f} s, peak {median(asked['all'], 'peak_mib'):.0f} MiB, ratio {other / seconds('all'):.2f}")
    print(f"numpy {np.__version__}, pandas {pd.__version__}, pyarrow {pa.__version__}")


if __name__ == "__main__":
    main()
