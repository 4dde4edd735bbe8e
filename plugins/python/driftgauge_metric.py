"""Metrics for driftgauge in Python: one file, the standard library only (numpy's arrays where numpy is there).

A metric is a class with `update` and `finish`:

    from driftgauge_metric import Metric, run

    class Shouting(Metric):
        id, version, title = "shouting", "1.0.0", "Completions in capitals"

        def update(self, batch):
            for id, condition, text in zip(batch["sample_id"], batch["condition"], batch["completion"]):
                self.score("shouting", condition, id, bool(text) and text == text.upper())

        def finish(self):
            self.scalar("shouting", title="Share in capitals", unit="ratio", primary=True)

    if __name__ == "__main__":
        run(Shouting)

and in a spec: `metrics: {mine: {command: [python3, mine.py]}}`. driftgauge makes intervals, paired comparisons and the adjustment
of families from the scores. `bench(Shouting, samples)` runs it over samples written as dictionaries, as driftgauge would.
plugins/README.md lists the fields of a sample and says what a result may be.
"""

import array
import json
import math
import os
import select
import struct
import sys

try:
    import numpy
except ImportError:
    numpy = None

__version__ = "1.0.0"
__all__ = ["Metric", "Batch", "ConfigError", "DataError", "run", "bench"]

ABI = [1, 2]
BYTES = 1 << 31
BAD_CONFIG, BAD_DATA, INTERNAL, CANCELLED = 1, 2, 3, 5

_NUMBERS = ("p_unsafe.", "score.")
_INTEGERS = ("prompt", "sample_index", "ends_with_eos", "empty", "looping", "truncated")
_LISTS = ("references", "judges")


def type_of(field):
    """How a field is read where nothing else is asked for."""
    if field in _INTEGERS:
        return "i64"
    if field in _LISTS or field.startswith("categories."):
        return "strs"
    if field.startswith("token_"):
        return "f32s"
    if field.startswith("value."):
        return "f64s"
    if field.startswith(_NUMBERS):
        return "f64"
    return "str"


class MetricError(Exception):
    """What is wrong, and what to do about it."""

    status = INTERNAL

    def __init__(self, message, help=None, key=None, sample_id=None):
        super().__init__(message)
        self.help, self.key, self.sample_id = help, key, sample_id


class ConfigError(MetricError):
    """The configuration is wrong; `key` says where."""

    status = BAD_CONFIG


class DataError(MetricError):
    """A sample is wrong; `sample_id` says which."""

    status = BAD_DATA


class Cancelled(Exception):
    """The run is being stopped."""


class Metric:
    """A metric. Set `id`, `version` and `title`; write `update` and, where scores are not all, `finish`."""

    id = None
    version = "0"
    title = ""
    description = ""
    required_fields = ()
    judges = False
    numbers = ()
    ranges = {}
    #: Sample fields that the report shows beside each completion, such as "value.surprise" or "row.topic".
    shows = ()
    #: The sample fields without which a number is absent, by its id: {"surprise": ("token_logprob",)}.
    reads = {}
    #: The keys of the configuration, with their defaults. A key that is not here is refused.
    config = {}
    #: JSON schema of the configuration; made from `config` where it is left out.
    config_schema = None

    def __init__(self, config, host):
        """`config` has every key; `host` has `log` and `cancelled`."""
        self.config, self.host = config, host

    def setup(self):
        """Called once, before the first batch. Raise ConfigError where the configuration makes no sense."""

    def update(self, batch):
        """Takes a batch: `batch["completion"]` is the column of a field."""
        raise NotImplementedError

    def finish(self):
        """Names the results with `scalar`, `table`, `chart` and `note`, or returns the whole output as a dictionary."""

    # What a result is made of.

    def score(self, id, condition, sample_id, value):
        """Adds a sample's score. Several scores of one sample are averaged; a truth value makes the number a rate."""
        scores = self._scores.setdefault((id, condition), _Scores())
        scores.add(sample_id, value)

    def scalar(self, id, title=None, condition=None, value=None, n=None, **more):
        """Names a number; in every condition that has scores of it where no condition is given, and as their mean where no value is."""
        known = [c for (i, c) in self._scores if i == id]
        conditions = [condition] if condition is not None else known or list(self._conditions) or ["default"]
        for condition in conditions:
            scores = self._scores.get((id, condition))
            mean, samples = (scores.mean(), len(scores.values)) if scores else (None, 0)
            entry = {
                "id": id,
                "title": title or id,
                "condition": condition,
                "value": _finite(mean if value is None else value),
                "n": samples if n is None else int(n),
                "ci": None,
            }
            entry.update(more)
            self._output["scalars"].append(entry)

    def table(self, id, title, columns, rows):
        """Adds a table."""
        self._output["tables"].append({"id": id, "title": title, "columns": list(columns), "rows": [list(row) for row in rows]})

    def chart(self, id, title, kind, x, y, series):
        """Adds a chart; `series` is a dictionary of names and lists of points."""
        axis = lambda axis: {"label": axis} if isinstance(axis, str) else axis
        series = [{"name": name, "points": points} for name, points in series.items()]
        self._output["charts"].append({"id": id, "title": title, "kind": kind, "x": axis(x), "y": axis(y), "series": series})

    def note(self, text):
        """Adds a sentence."""
        self._output["notes"].append(text)

    def verdict(self, sample_id, verdict, sample_index=0, categories=(), score=None, p_unsafe=None, output=""):
        """Of a judge: `safe`, `unsafe`, `unparsable` or `error` for a sample."""
        self._output["verdicts"].append(
            {
                "sample_id": sample_id,
                "sample_index": int(sample_index),
                "verdict": verdict,
                "categories": list(categories),
                "score": score,
                "p_unsafe": p_unsafe,
                "output": output,
            }
        )

    @classmethod
    def manifest(cls):
        """What the metric says of itself."""
        if not cls.id:
            raise MetricError("the class `%s` has no `id`" % cls.__name__)
        manifest = {
            "id": cls.id,
            "version": str(cls.version),
            "title": cls.title or cls.id,
            "description": cls.description or (cls.__doc__ or "").strip().split("\n")[0],
            "required_fields": list(cls.required_fields),
            "judges": bool(cls.judges),
            "numbers": list(cls.numbers),
            "ranges": {id: [float(low), float(high)] for id, (low, high) in cls.ranges.items()},
            "config_schema": cls.config_schema or _schema(cls.config),
        }
        if cls.shows:
            manifest["shows"] = list(cls.shows)
        if cls.reads:
            manifest["reads"] = {id: list(fields) for id, fields in cls.reads.items()}
        return manifest


class _Scores:
    def __init__(self):
        self.values, self.binary = {}, True

    def add(self, sample_id, value):
        self.binary = self.binary and isinstance(value, bool)
        total, n = self.values.get(sample_id, (0.0, 0))
        self.values[sample_id] = (total + float(value), n + 1)

    def mean(self):
        means = [total / n for total, n in self.values.values()]
        return sum(means) / len(means) if means else None

    def output(self, id, condition):
        values = [total / n for total, n in self.values.values()]
        binary = self.binary and all(value in (0.0, 1.0) for value in values)
        return {
            "id": id,
            "condition": condition,
            "kind": "binary" if binary else "real",
            "sample_ids": list(self.values),
            "values": [int(value) for value in values] if binary else values,
        }


def _arrays(scores):
    """Scores as they cross the pipe, or None where these are none that arrays can hold: what is wrong is then told of the JSON."""
    if set(scores) != {"id", "condition", "kind", "sample_ids", "values"}:
        return None
    ids, values = scores["sample_ids"], scores["values"]
    real = lambda value: value is None or isinstance(value, (int, float))
    if not all(isinstance(id, str) for id in ids) or not all(map(real, values)):
        return None
    texts = [id.encode() for id in ids]
    ends, data = [0], bytearray()
    for text in texts:
        ends.append(ends[-1] + len(text))

    def put(part):
        data.extend(bytes(-len(data) % 8))
        data.extend(part)
        return [len(data) - len(part), len(part)]

    head = {key: scores[key] for key in ("id", "condition", "kind")}
    head["values"] = put(_bytes("d", [0.0 if value is None else float(value) for value in values]))
    if None in values:
        head["present"] = put(bytes(value is not None for value in values))
    head["sample_ids"] = [put(_bytes("I", ends)), put(b"".join(texts))]
    return head, bytes(data)


def _bytes(kind, items):
    values = array.array(kind, items)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _finite(value):
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def _schema(config):
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    properties = {}
    for key, default in config.items():
        properties[key] = {"default": default}
        if type(default) in names:
            properties[key]["type"] = names[type(default)]
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _configured(metric, given):
    config = dict(metric.config)
    for key, value in given.items():
        if key not in config:
            known = ", ".join("`%s`" % key for key in config) or "none"
            raise ConfigError("unknown key `%s`" % key, "the keys are: " + known, key)
        default = config[key]
        kinds = (int, float) if type(default) is float else type(default)
        if default is not None and (not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool)):
            raise ConfigError("`%s` is %s and not like %s" % (key, json.dumps(value), json.dumps(default)), None, key)
        config[key] = value
    return config


def _made(metric, config, host):
    made = metric.__new__(metric)
    made._scores, made._conditions = {}, {}
    made._output = {"scalars": [], "tables": [], "charts": [], "notes": [], "verdicts": []}
    made.__init__(_configured(metric, config or {}), host)
    made.setup()
    return made


def _result(metric):
    returned = metric.finish()
    output = metric._output
    if returned:
        output = returned
    elif metric._scores:
        named = {(scalar["id"], scalar["condition"]) for scalar in output["scalars"]}
        for id, condition in metric._scores:
            if (id, condition) not in named:
                metric.scalar(id, condition=condition, primary=id == metric.id)
        output["scores"] = [scores.output(*place) for place, scores in metric._scores.items()]
    return {"schema": 1, **{key: value for key, value in output.items() if value or key == "scalars"}}


class Batch:
    """Samples. A column has one entry per sample; None where it has no value (not-a-number in arrays of numpy)."""

    def __init__(self, rows, ask, given=None):
        self._rows, self._ask, self._given, self._columns = rows, ask, given or {}, {}

    def __len__(self):
        return self._rows

    def __getitem__(self, field):
        return self.column(field, type_of(field))

    def column(self, field, type):
        """A field read as `str`, `f64`, `i64`, `f32s`, `f64s` or `strs`."""
        key = (field, type)
        if key not in self._columns:
            read = self._given.get(key)
            self._columns[key] = read() if read else self._ask(field, type)
        return self._columns[key]

    def numbers(self, field):
        """A field as numbers: those of a column of the dataset's row, or the first of a `value.NAME`."""
        return self.column(field, "f64")

    def samples(self):
        """Whole samples, as dictionaries."""
        return [json.loads(text) for text in self.column("", "json")]


def _read_column(column, data, rows):
    part = lambda place: data[slice(column["parts"][place][0], sum(column["parts"][place]))]
    type, codes = column["type"], part(0)
    if type in ("f64", "i64"):
        if numpy is not None:
            values = numpy.frombuffer(part(1), "<f8" if type == "f64" else "<i8")
            if type == "f64" and codes.count(1) < rows:
                values = numpy.where(numpy.frombuffer(codes, "i1") == 1, values, math.nan)
            return values
        values = _array("d" if type == "f64" else "q", part(1))
        return [value if code == 1 else None for value, code in zip(values, codes)]
    ends = _array("I", part(1))
    spans = zip(ends, ends[1:])
    if type in ("str", "json"):
        text = part(2)
        if text.isascii():
            # A character is a byte: one text is cut instead of decoding each.
            text = text.decode()
            values = [text[a:b] for a, b in spans]
        else:
            values = [text[a:b].decode() for a, b in spans]
    elif type == "strs":
        items, text = _array("I", part(2)), part(3)
        texts = [text[a:b].decode() for a, b in zip(items, items[1:])]
        values = [texts[a:b] for a, b in spans]
    else:
        if numpy is not None:
            items = numpy.frombuffer(part(2), "<f4" if type == "f32s" else "<f8")
        else:
            items = _array("f" if type == "f32s" else "d", part(2))
        values = [items[a:b] for a, b in spans]
    if codes.count(1) == rows:
        return values
    return [value if code == 1 else None for value, code in zip(values, codes)]


def _array(kind, data):
    values = array.array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class _Host:
    """The other end of the pipe."""

    def __init__(self, source, sink):
        self._source, self._sink, self._cancelled, self._takes_arrays = source, sink, False, False
        # Printing must not disturb the frames.
        sys.stdout = sys.stderr

    def log(self, text, level=2):
        """Writes to the run's log: 0 error, 1 warning, 2 information, 3 debug."""
        self._send({"log": {"level": level, "message": str(text)}})

    def cancelled(self):
        """Whether the run is being stopped: nothing but that is said while a metric works."""
        if not self._cancelled and select.select([self._source], [], [], 0)[0]:
            self._cancelled = self._message() in ("cancel", None)
        return self._cancelled

    def _send(self, message, data=None):
        text = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
        self._sink.write(struct.pack("<I", len(text)) + text)
        if data is not None:
            self._sink.write(struct.pack("<I", len(data) | BYTES) + data)
        self._sink.flush()

    def _give(self, result):
        """Sends a result, its scores as arrays."""
        if self._takes_arrays:
            kept = []
            for scores in result.get("scores", ()):
                arrays = _arrays(scores)
                if arrays is None:
                    kept.append(scores)
                else:
                    self._send({"scores": arrays[0]}, arrays[1])
            result = {**result, "scores": kept}
        self._send({"result": result})

    def _frame(self):
        head = self._source.read(4)
        if len(head) < 4:
            return None, None
        (length,) = struct.unpack("<I", head)
        data = bytearray()
        while len(data) < length % BYTES:
            more = self._source.read(length % BYTES - len(data))
            if not more:
                return None, None
            data += more
        return length >= BYTES, bytes(data)

    def _message(self):
        binary, data = self._frame()
        return None if data is None or binary else json.loads(data)

    def _bytes(self):
        return self._frame()[1]

    def _ask(self, rows):
        def ask(field, type):
            self._send({"column": {"field": field, "type": type}})
            answer = self._message()
            if answer in ("cancel", None):
                raise Cancelled
            if "no_column" in answer:
                raise MetricError(answer["no_column"])
            return _read_column(answer["column"], self._bytes(), rows)

        return ask

    def _batch(self, update):
        rows, data = update["rows"], self._bytes()
        read = lambda column: lambda: _read_column(column, data, rows)
        given = {(column["field"], column["type"]): read(column) for column in update["columns"]}
        return Batch(rows, self._ask(rows), given)


def run(*metrics):
    """Serves metrics to driftgauge until it has its result."""
    host = _Host(os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    try:
        host._send({"hello": {"abi": ABI, "manifests": [metric.manifest() for metric in metrics]}})
        _serve(host, {metric.id: metric for metric in metrics})
    except Cancelled:
        host._send({"error": {"status": CANCELLED, "message": "stopped"}})
    except MetricError as error:
        host._send({"error": {"status": error.status, "message": str(error), "help": error.help, "key": error.key, "sample_id": error.sample_id}})
    except BrokenPipeError:
        pass
    except Exception as error:
        import traceback

        traceback.print_exc()
        host._send({"error": {"status": INTERNAL, "message": "%s: %s" % (type(error).__name__, error)}})


def _serve(host, metrics):
    metric = None
    while True:
        request = host._message()
        if request is None:
            return
        if request == "cancel":
            raise Cancelled
        if request == "finish":
            host._give(_result(metric))
            return
        if "create" in request:
            host._takes_arrays = (request["create"].get("abi") or [1, 0])[1] >= 2
            metric = _made(metrics[request["create"]["metric"]], request["create"]["config"], host)
        else:
            batch = host._batch(request["update"])
            metric.update(batch)
        host._send("done")


class _Bench:
    def __init__(self):
        self.lines = []

    def log(self, text, level=2):
        self.lines.append(str(text))

    def cancelled(self):
        return False


def bench(metric, samples, config=None, size=None):
    """Runs a metric over samples written as dictionaries of fields (`{"sample_id": "a", "completion": "..."}`) and gives its
    output. Without a `size` it is run in batches of one, of three and of all, which have to agree."""
    samples, numbers = [dict(sample) for sample in samples], {}
    for place, sample in enumerate(samples):
        sample.setdefault("sample_id", "s%d" % place)
        sample["prompt"] = numbers.setdefault(sample["sample_id"], len(numbers))
    outputs = []
    for step in [size] if size else [1, 3, max(1, len(samples))]:
        made = _made(metric, config, _Bench())
        for start in range(0, len(samples), step):
            part = samples[start : start + step]
            made.update(Batch(len(part), _plain(part)))
        outputs.append(json.loads(json.dumps(_result(made), allow_nan=False)))
    if any(output != outputs[0] for output in outputs):
        raise AssertionError("the result depends on the size of batches: keep state between them")
    return outputs[0]


def _plain(samples):
    defaults = {"condition": "default", "finish_reason": "stop", "sample_index": 0, "evaluation": "bench", "model": "bench"}

    def ask(field, type):
        if type == "json":
            return [json.dumps({key: value for key, value in sample.items() if key != "prompt"}) for sample in samples]
        values = [sample.get(field, defaults.get(field)) for sample in samples]
        if numpy is not None and type in ("f64", "i64"):
            return numpy.array([math.nan if value is None else value for value in values], "f8" if type == "f64" else "i8")
        return values

    return ask
