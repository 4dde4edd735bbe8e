"""The benchmark `million` beside the same computed with numpy, scipy and pandas.

    pip install numpy scipy pandas
    python core/stats/benches/compare.py [--direct-resamples 40]

Builds and runs the Rust benchmark, which writes its samples and results; computes the same from the same samples; checks that
the numbers agree; prints seconds and ratios. The plain resampling of a million rows 10,000 times would take numpy the better
part of an hour, so it is timed on a few resamples and scaled up (marked "scaled"); the ratio that counts is against the same
algorithm (multinomial draws of the distinct rows), which numpy runs in full.
"""

import argparse
import pathlib
import resource
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
import scipy.stats as st

MODELS, CATEGORIES, RESAMPLES, ECE_RESAMPLES = 3, 7, 10_000, 1_000


def rust(folder):
    command = ["cargo", "bench", "-q", "-p", "driftgauge-stats", "--bench", "million", "--", "--dump", str(folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in text.splitlines() if line.strip())}


def load(folder):
    frame = pd.DataFrame({"category": np.fromfile(folder / "category.f64").astype(int)})
    for model in range(MODELS):
        frame[f"unsafe-{model}"] = np.fromfile(folder / f"unsafe-{model}.f64")
        frame[f"confidence-{model}"] = np.fromfile(folder / f"confidence-{model}.f64")
        frame[f"correct-{model}"] = np.fromfile(folder / f"correct-{model}.u8", dtype=np.uint8).astype(bool)
    return frame


def statistics(rows, totals_n, totals_unsafe):
    """Rates and differences by category and overall, from per-category counts of shape (..., category[, model])."""
    rates = totals_unsafe / totals_n[..., None]
    overall = totals_unsafe.sum(-2) / totals_n.sum(-1)[..., None]
    return np.concatenate([rates, overall[..., None, :]], axis=-2)


def attack_success(frame, rng):
    """The algorithm of the crate: counts of the 56 distinct rows, one multinomial draw per replicate."""
    columns = ["category"] + [f"unsafe-{model}" for model in range(MODELS)]
    distinct = frame.groupby(columns, sort=True).size().reset_index(name="n")
    n = int(distinct["n"].sum())
    counts = rng.multinomial(n, distinct["n"] / n, RESAMPLES).astype(float)
    counts = np.vstack([distinct["n"].to_numpy(float), counts])
    in_category = (distinct["category"].to_numpy()[:, None] == np.arange(CATEGORIES)).astype(float)
    totals_n = counts @ in_category
    unsafe = [counts @ (in_category * distinct[f"unsafe-{model}"].to_numpy()[:, None]) for model in range(MODELS)]
    rates = statistics(distinct, totals_n, np.stack(unsafe, -1))
    differences = rates[..., 1:] - rates[..., :1]
    bounds = [np.quantile(values[1:], [0.025, 0.975], axis=0) for values in (rates, differences)]
    for model in (1, 2):
        b = int(((frame["unsafe-0"] == 1) & (frame[f"unsafe-{model}"] == 0)).sum())
        c = int(((frame["unsafe-0"] == 0) & (frame[f"unsafe-{model}"] == 1)).sum())
        st.binomtest(min(b, c), b + c).pvalue
    return rates[0], differences[0], bounds


def attack_success_directly(frame, rng, resamples):
    """Plain resampling of rows, as scipy.stats.bootstrap does it."""
    category = frame["category"].to_numpy()
    verdicts = [frame[f"unsafe-{model}"].to_numpy() for model in range(MODELS)]
    n = len(frame)
    for _ in range(resamples):
        drawn = rng.integers(0, n, n)
        of = category[drawn]
        totals_n = np.bincount(of, minlength=CATEGORIES).astype(float)
        unsafe = np.stack([np.bincount(of, verdict[drawn], CATEGORIES) for verdict in verdicts], -1)
        statistics(None, totals_n, unsafe)


def calibration(frame, rng, resamples):
    out = []
    n = len(frame)
    for model in range(MODELS):
        s, y = frame[f"confidence-{model}"].to_numpy(), frame[f"correct-{model}"].to_numpy()
        index = np.clip(np.searchsorted(np.linspace(0, 1, 11), s, side="left") - 1, 0, 9)
        gap = y - s
        ece = np.abs(np.bincount(index, gap, 10)).sum() / n
        for _ in range(resamples):
            drawn = rng.integers(0, n, n)
            np.abs(np.bincount(index[drawn], gap[drawn], 10)).sum()
        ranks = st.rankdata(s)
        right, wrong = int(y.sum()), int(n - y.sum())
        auroc = (ranks[y].sum() - right * (right + 1) / 2) / (right * wrong)
        # DeLong's variance from midranks among all and within each class.
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--direct-resamples", type=int, default=20)
    few = parser.parse_args().direct_resamples
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = rust(folder)
        results = {}
        for line in (folder / "results.txt").read_text().splitlines():
            parts = line.split()
            if len(parts) == 5:
                results[(parts[0], parts[1])] = [float(part) for part in parts[2:]]
        frame = load(folder)
    rng = np.random.default_rng(1)
    (rates, differences, bounds), same = timed(lambda: attack_success(frame, rng))
    _, direct = timed(lambda: attack_success_directly(frame, rng, few))
    direct *= RESAMPLES / few
    points, once = timed(lambda: calibration(frame, rng, 0))
    _, resampled = timed(lambda: calibration(frame, rng, few))
    python_calibration = once + (resampled - once) * ECE_RESAMPLES / few

    names = [str(category) for category in range(CATEGORIES)] + ["all"]
    for row, category in enumerate(names):
        for model in range(MODELS):
            mine = results[(f"asr-{model}", category)]
            assert abs(mine[0] - rates[row, model]) < 1e-9
            assert abs(mine[1] - bounds[0][0, row, model]) < 3e-4 and abs(mine[2] - bounds[0][1, row, model]) < 3e-4
        for model in (1, 2):
            mine = results[(f"difference-{model}", category)]
            assert abs(mine[0] - differences[row, model - 1]) < 1e-9
            assert abs(mine[1] - bounds[1][0, row, model - 1]) < 3e-4
    for model, (ece, auroc, low) in enumerate(points):
        assert abs(results[(f"ece_10-{model}", "all")][0] - ece) < 1e-9
        assert abs(results[(f"auroc-{model}", "all")][0] - auroc) < 1e-9
        assert abs(results[(f"auroc-{model}", "all")][1] - low) < 1e-9
    print("numbers agree")

    def line(what, rust_seconds, python_seconds, note=""):
        ratio = python_seconds / rust_seconds
        print(f"{what:58} {rust_seconds:9.3f} s {python_seconds:10.3f} s {ratio:9.1f} x {note}")

    print(f"{'':58} {'driftgauge':>11} {'Python':>12} {'ratio':>11}")
    asr, calibrated = ours["asr_seconds"], ours["calibration_seconds"]
    line("ASR, 10,000 paired resamples, multinomial in both", asr, same)
    line("ASR, 10,000 paired resamples, plain resampling in Python", asr, direct, "scaled")
    line("ECE with 1,000 resamples, AUROC with DeLong", calibrated, python_calibration, "scaled")
    line("all, Python with multinomial draws", ours["total_seconds"], same + python_calibration, "scaled")
    line("all, Python with plain resampling", ours["total_seconds"], direct + python_calibration, "scaled")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: driftgauge {ours['peak_mib']:.0f} MiB, Python {peak:.0f} MiB")
    print(f"numpy {np.__version__}, pandas {pd.__version__}")


if __name__ == "__main__":
    main()
