"""Holds the schema of the spec language against specs: every good one has to pass, and of the wrong ones only those may pass whose
mistakes no schema can tell (references, keys that stand twice, data, and what parts mean together).

    python tests/python/check_schema.py        # needs PyYAML and jsonschema
"""

import glob
import json
import os
import re
import sys

import yaml
from jsonschema import Draft202012Validator

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# Mistakes that lie between parts of a spec, outside of it, or in a type that JSON does not know (1.0 is 1).
BEYOND_A_SCHEMA = {
    "answered", "bad-endpoint", "bad-expression", "bad-parse-rule", "bad-replicate", "bad-template", "cycle", "duplicate-key",
    "no-comparison", "no-divergence", "no-judge", "no-reference", "no-twin", "not-together", "one-source", "several-cells",
    "two-judges", "unknown-cell", "unknown-condition", "unknown-dataset", "unknown-evaluation", "unknown-metric", "unknown-model",
    "unknown-settings", "unknown-variable", "unset-variable", "unused-axis", "yaml",
}
# YAML that this parser and ours read otherwise: names that are numbers, 1_000, 4.0 and an empty value.
READ_OTHERWISE = {"bad-id", "out-of-range", "wrong-type"}


class Loader(yaml.SafeLoader):
    """YAML 1.2: `yes` and dates are texts, 1e-4 is a number."""


Loader.yaml_implicit_resolvers = {
    start: [(tag, rule) for tag, rule in rules if not tag.endswith((":timestamp", ":bool"))]
    for start, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"), list("-+.0123456789")
)


def files(*patterns):
    return sorted(path for pattern in patterns for path in glob.glob(os.path.join(ROOT, pattern)))


def main():
    with open(os.path.join(ROOT, "specs/schema/experiment.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = 0

    def refused(text):
        return [f"{list(error.path)}: {error.message[:200]}" for error in validator.iter_errors(yaml.load(text, Loader))]

    good = {path: open(path, encoding="utf-8").read() for path in files("specs/*.yaml", "specs/paper/*.yaml", "tests/fixtures/specs/ok/*.yaml", "tests/fixtures/smoke/*.yaml")}
    readme = open(os.path.join(ROOT, "specs/README.md"), encoding="utf-8").read()
    whole = [block for block in re.findall(r"```yaml\n(.*?)```", readme, re.S) if block.startswith("version:")]
    good.update({f"example {number} of the reference": block for number, block in enumerate(whole)})
    for name, text in good.items():
        for problem in refused(text):
            wrong += 1
            print(f"{name} is refused: {problem}")
    passed = 0
    for path in files("tests/fixtures/specs/err/*.yaml"):
        expected = open(path[: -len(".yaml")] + ".expected.txt", encoding="utf-8").read()
        codes = set(re.findall(r"^error\[(.*?)\]", expected, re.M))
        try:
            problems = refused(open(path, encoding="utf-8").read())
        except (yaml.YAMLError, ValueError):
            continue
        if problems:
            passed += 1
        elif not codes & (BEYOND_A_SCHEMA | READ_OTHERWISE):
            wrong += 1
            print(f"{path} passes, with {', '.join(sorted(codes))}")
    print(f"{len(good)} good specs, {passed} wrong ones refused, {wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
