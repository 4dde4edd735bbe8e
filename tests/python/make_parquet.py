"""Writes the Parquet files that the reader's test reads, each with the rows that pyarrow finds in it (`NAME.json`).

    python tests/python/make_parquet.py core/data/tests/fixtures/parquet

Needs pyarrow. A file whose rows are `null` has to be refused.
"""
import datetime
import decimal
import json
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = sys.argv[1]


def plain(value):
    """A value as JSON has it: bytes that are text are text, decimals whole numbers or text, maps objects, what is not finite null."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, decimal.Decimal):
        whole = value == value.to_integral_value() and value.as_tuple().exponent >= 0
        return int(value) if whole else f"{value:f}"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, datetime.datetime):
        nano = getattr(value, "nanosecond", 0)
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond:0{3 if value.tzinfo else 6}d}" + (f"{nano:03d}" if nano else "") + (" +00:00" if value.tzinfo else "")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) for item in value):
            return {key: plain(item) for key, item in value}
        return [plain(item) for item in value]
    return value


def write(name, table, refused=False, **options):
    path = os.path.join(FOLDER, name + ".parquet")
    pq.write_table(table, path, **options)
    rows = None if refused else [plain(row) for row in pq.read_table(path).to_pylist()]
    with open(os.path.join(FOLDER, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, ensure_ascii=False, indent=1)
        file.write("\n")


simple = pa.table({"id": pa.array(range(50)), "text": pa.array([f"line {i % 7} é" for i in range(50)])})
for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
    write("codec-" + codec, simple, compression=codec, row_group_size=20)

write("types", pa.table({
    "large": pa.array([2**63 - 1, -(2**63), None], pa.int64()),
    "unsigned": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "small": pa.array([-128, 127, 0], pa.int8()),
    "flag": pa.array([True, False, None]),
    "double": pa.array([0.1, float("nan"), 1e300]),
    "single": pa.array([0.5, None, -2.25], pa.float32()),
    "half": pa.array([1.5, -0.25, 2.0], pa.float16()),
    "money": pa.array([decimal.Decimal("12.50"), None, decimal.Decimal("-0.01")], pa.decimal128(10, 2)),
    "whole": pa.array([decimal.Decimal(7), decimal.Decimal(-3), None], pa.decimal128(18, 0)),
    "bytes": pa.array(["é".encode(), b"", None], pa.binary()),
    "words": pa.array(["a", "b", "a"]).dictionary_encode(),
    "long": pa.array(["x", None, "y"], pa.large_string()),
    "list": pa.array([["a", None], [], None], pa.list_(pa.string())),
    "record": pa.array([{"text": "t", "n": [1, 2]}, {"text": None, "n": None}, None]),
    "map": pa.array([[("k", 1), ("l", None)], [("m", 2)], None], pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(3),
}))
write("bytes-no-text", pa.table({"id": [1, 2], "bytes": pa.array([b"ok", b"\xff\xfe"], pa.binary())}), refused=True)
write("column-twice", pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), refused=True)
write("field-twice", pa.table({"r": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])}), refused=True)
times = [datetime.datetime(2024, 2, 29, 23, 59, 58, 123456), None, datetime.datetime(1969, 12, 31, 23, 0)]
write("times", pa.table({
    "nano": pa.array([1_700_000_000_123_456_789, None, -1], pa.timestamp("ns")),
    "micro": pa.array(times, pa.timestamp("us")),
    "milli": pa.array([datetime.datetime(2024, 1, 1), None, None], pa.timestamp("ms", tz="UTC")),
    "day": pa.array([datetime.date(2024, 2, 29), None, None]),
    "clock": pa.array([datetime.time(1, 2, 3, 4), None, None], pa.time64("us")),
}))
write("duration", pa.table({"id": [1], "took": pa.array([5], pa.duration("s"))}), refused=True)
write("clock-nano", pa.table({"id": [1], "at": pa.array([5], pa.time64("ns"))}), refused=True)
write("times-inside", pa.table({"id": [1], "all": pa.array([[5]], pa.list_(pa.timestamp("ns")))}), refused=True)
write("decimal-long", pa.table({"id": [1, 2], "sum": pa.array([decimal.Decimal("0.10"), decimal.Decimal("12345678901234567.89")], pa.decimal128(25, 2))}))
features = {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}
write("classes", pa.table({"label": [0, 1]}).replace_schema_metadata({"huggingface": json.dumps(features)}))
