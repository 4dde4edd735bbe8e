"""Values that the tests of core/compare hold its comparisons against, by numpy and scipy alone.

    python tests/python/make_comparisons.py > core/compare/tests/comparisons.json
"""

import json
import math

import numpy as np
from scipy import optimize, stats

ALPHA, POWER = 0.05, 0.8
Z = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)

ids = [f"p{i:02}" for i in range(12)]
clusters = ["a", "a", "a", "b", "b", "b", "c", "c", "d", "d", "e", "e"]
baseline = np.array([0.9, 0.1, 0.4, 0.35, 0.7, 0.2, 0.55, 0.6, 0.15, 0.8, 0.05, 0.3])
model = np.array([0.95, 0.5, 0.3, 0.75, 0.9, 0.1, 0.65, 0.9, 0.45, 0.7, 0.25, 0.8])
ones = np.array([1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0], dtype=float)
more = np.array([1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1], dtype=float)
# The same four columns are two conditions of two models: both moves, and how far they differ.
moved = (more - model) - (ones - baseline)


def se(values):
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def clustered_se(values):
    """Miller 2024: squares of the sums of deviations in each cluster."""
    deviations = values - values.mean()
    sums = [deviations[[c == k for c in clusters]].sum() for k in sorted(set(clusters))]
    return float(math.sqrt(np.square(sums).sum()) / len(values))


def paired(before, after):
    d = after - before
    return {
        "delta": float(d.mean()),
        "se": se(d),
        "se_unpaired": math.hypot(se(before), se(after)),
        "detectable": float(Z * se(d)),
        "needed": math.ceil(Z**2 * np.var(d, ddof=1) / d.mean() ** 2),
        "clustered_se": clustered_se(d),
        "clustered_se_unpaired": math.hypot(clustered_se(before), clustered_se(after)),
    }


def clustered_t(values):
    g = len(set(clusters))
    half = stats.t.ppf(1 - ALPHA / 2, g - 1) * clustered_se(values)
    return [float(values.mean() - half), float(values.mean() + half)]


def mcnemar(before, after):
    """Connor 1987, with scipy's root finder for the smallest difference."""
    n = len(before)
    b, c = int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum())
    psi, za, zb = (b + c) / n, stats.norm.ppf(1 - ALPHA / 2), stats.norm.ppf(POWER)

    def needs(delta):
        return ((za * math.sqrt(psi) + zb * math.sqrt(max(psi - delta**2, 0))) / delta) ** 2

    return {
        "counts": [int(((before == 1) & (after == 1)).sum()), b, c, int(((before == 0) & (after == 0)).sum())],
        "p": float(stats.binomtest(b, b + c).pvalue),
        "needed": math.ceil(needs((c - b) / n)),
        "detectable": float(optimize.brentq(lambda d: needs(d) - n, 1e-6, psi)) if needs(psi) <= n else None,
    }


def wilson(p, n):
    return [float(x) for x in stats.binomtest(round(p * n), n).proportion_ci(1 - ALPHA, "wilson")]


def auroc(values, truths):
    return float(stats.mannwhitneyu(values[truths], values[~truths]).statistic / (truths.sum() * (~truths).sum()))


truths = ones == 1
print(
    json.dumps(
        {
            "ids": ids,
            "clusters": clusters,
            "baseline": baseline.tolist(),
            "model": model.tolist(),
            "ones": ones.tolist(),
            "more": more.tolist(),
            "real": paired(baseline, model),
            "binary": paired(ones, more) | mcnemar(ones, more),
            "did": {
                "estimate": float(moved.mean()),
                "baseline_move": float((ones - baseline).mean()),
                "model_move": float((more - model).mean()),
                "se": se(moved),
                "z": float(moved.mean() / se(moved)),
                "p": float(2 * stats.norm.sf(abs(moved.mean() / se(moved)))),
                "detectable": float(Z * se(moved)),
                "needed": math.ceil(Z**2 * np.var(moved, ddof=1) / moved.mean() ** 2),
                "clustered_se": clustered_se(moved),
            },
            "clustered_t": {"baseline": clustered_t(baseline), "ones": clustered_t(ones)},
            # A share that no cluster differs in: as many independent prompts as there are clusters.
            "wilson_of_clusters": wilson(1.0, len(set(clusters))),
            "auroc": {"baseline": auroc(baseline, truths), "model": auroc(model, truths)},
        },
        indent=1,
    )
)
