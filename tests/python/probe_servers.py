"""What servers with the OpenAI interface give, and what driftgauge makes of it: the table of docs/servers.md.

    python tests/python/probe_servers.py BINARY NAME=URL,MODEL ... > table.md

Each server is one that runs already, at URL (up to `/v1`), with MODEL as it calls it. Requests of the standard library find out what it does
with log-probabilities, stop strings, seeds, limits, streams and prompts that are too long; then BINARY runs a spec with two metrics against
it, and the table says what of the samples is there. docs/servers.md says how the servers of the committed table were started.
"""

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

ASK = [{"role": "user", "content": "Name a color, and say why you like it."}]
SPEC = """version: 1
name: probe
models:
  served: {{endpoint: {{base_url: "{url}", model: "{model}", concurrency: 1, timeout: 300, retries: 1}}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask: {{models: [served], dataset: questions, prompt: [{{user: "{{{{ q }}}}"}}], generate: {{max_tokens: 8}}, metrics: [uncertainty]}}
  plain: {{models: [served], dataset: questions, prompt: [{{text: "{{{{ q }}}}"}}], generate: {{max_tokens: 4}}, metrics: [uncertainty]}}
"""


class Server:
    def __init__(self, url: str, model: str) -> None:
        self.url, self.model = url, model

    def post(self, path: str, **body) -> tuple[int, object]:
        data = json.dumps({"model": self.model, **body}).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode(errors="replace")
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def chat(self, **body) -> tuple[int, object]:
        return self.post("chat/completions", **{"messages": ASK, "max_tokens": 8, "temperature": 0, **body})


def said(answer: object) -> str:
    choice = answer["choices"][0]
    return (choice.get("message") or {}).get("content") or choice.get("text") or ""


def refused(status: int, answer: object) -> str:
    said = answer
    for key in ["error", "message", "detail"]:
        said = said.get(key, said) if isinstance(said, dict) else said
    return f"refused with {status}: {str(said)[:120]}"


def listed(status: int, answer: object) -> str:
    if status != 200:
        return refused(status, answer)
    logprobs = answer["choices"][0].get("logprobs") or {}
    if logprobs.get("content"):
        return f"yes; {len(logprobs['content'][0].get('top_logprobs') or [])} likeliest, in `content`"
    if logprobs.get("tokens"):
        return f"yes; {len((logprobs.get('top_logprobs') or [{}])[0] or {})} likeliest, in `tokens`"
    return "left out without a word"


def probe(server: Server) -> dict:
    found = {}
    found["log-probabilities, conversation (20 asked)"] = listed(*server.chat(logprobs=True, top_logprobs=20))
    found["log-probabilities, plain text (5 asked)"] = listed(
        *server.post("completions", prompt="The capital of France is", max_tokens=4, temperature=0, logprobs=5))

    def limit(**body) -> str:
        status, answer = server.chat(**{"max_tokens": None, **body})
        if status != 200:
            return refused(status, answer)
        made = (answer.get("usage") or {}).get("completion_tokens")
        return f"{made} tokens counted of 3 asked, `{answer['choices'][0].get('finish_reason')}`"

    found["`max_tokens`"] = limit(max_tokens=3)
    found["`max_completion_tokens`"] = limit(max_completion_tokens=3)
    status, answer = server.chat()
    whole = said(answer)
    word = whole.split()[2] if len(whole.split()) > 2 else whole[-3:]
    status, answer = server.chat(stop=[word])
    if status == 200:
        text = said(answer)
        found["stop strings"] = (f"{'left in' if word in text else 'taken out'}, `{answer['choices'][0].get('finish_reason')}`"
                                 if text != whole else "passed over")
    else:
        found["stop strings"] = refused(status, answer)

    def draw(seed: int) -> str:
        status, answer = server.chat(temperature=1.5, seed=seed, max_tokens=12)
        return said(answer) if status == 200 else refused(status, answer)

    same, other, large = [draw(11), draw(11)], draw(12), [draw(2**63 - 1), draw(2**63 - 1)]
    found["temperature 1.5"] = "draws" if len({*same, other}) > 1 else "the same answer for every seed: it does not draw"
    found["one seed, twice"] = "same answer" if same[0] == same[1] else "other answers"
    found["seed of 63 bits"] = large[0] if large[0].startswith("refused") else ("same answer" if large[0] == large[1] else "draws by the clock")
    for name, value in [("top_k", 5), ("min_p", 0.05), ("top_p", 0.9)]:
        status, answer = server.chat(temperature=1, **{name: value})
        found[f"`{name}`"] = "taken" if status == 200 else refused(status, answer)
    status, answer = server.chat(stream=True)
    found["stream"] = "events" if isinstance(answer, str) and "data:" in answer else "no"
    if found["stream"] == "events":
        found["stream"] += ", with `[DONE]`" if "[DONE]" in answer else ", without `[DONE]`"
    status, answer = server.chat(messages=[{"role": "user", "content": "word " * 8300}], max_tokens=2)
    found["a prompt beyond the context"] = "answered all the same" if status == 200 else refused(status, answer)
    status, answer = Server(server.url, "no-such-model").chat(max_tokens=2)
    found["a model of another name"] = "answered all the same" if status == 200 else refused(status, answer)
    return found


def measured(binary: str, server: Server) -> dict:
    """What a run has of it: which lists of tokens, and which checks it tells."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        questions = ["What is the capital of France?", "Name a color."]
        (place / "questions.jsonl").write_text("".join(json.dumps({"id": str(i), "q": q}) + "\n" for i, q in enumerate(questions)))
        (place / "spec.yaml").write_text(SPEC.format(url=server.url, model=server.model))
        ran = subprocess.run([binary, "run", "spec.yaml", "--out", "run", "--store", "store"], cwd=place, capture_output=True, text=True)
        if not (place / "run/results.json").exists():
            return {"driftgauge": "failed: " + ran.stderr.strip().splitlines()[-1][:200]}
        lines = subprocess.run([binary, "export", "run"], cwd=place, check=True, capture_output=True, text=True).stdout.splitlines()
        samples = [json.loads(line) for line in lines]
        numbers = {m["metric"] for m in json.loads((place / "run/results.json").read_text())["metrics"] if m["value"] is not None}
        out = {}
        for evaluation, title in [("ask", "conversation"), ("plain", "plain text")]:
            of = [sample for sample in samples if sample["evaluation"] == evaluation]
            lists = [name for name in of[0] if name.startswith("token_") and all(sample[name] for sample in of if sample["completion"])]
            errors = [sample["error"] for sample in of if sample["error"]]
            out[f"lists of a sample, {title}"] = ", ".join(f"`{name}`" for name in lists) or (errors[0][:120] if errors else "none")
        out["numbers of `uncertainty` with a value"] = str(len(numbers))
        return out


def main() -> None:
    binary, servers = sys.argv[1], {}
    for word in sys.argv[2:]:
        name, place = word.split("=", 1)
        servers[name] = Server(*place.split(",", 1))
    columns = {}
    for name, server in servers.items():
        found = {**probe(server), **measured(str(Path(binary).absolute()), server)}
        # Where the model lies is nobody's business.
        columns[name] = {row: text.replace(server.model, "MODEL") if "/" in server.model else text for row, text in found.items()}
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for row in rows:
        print(f"| {row} | " + " | ".join(column.get(row, "").replace("|", "\\|").replace("\n", " ") for column in columns.values()) + " |")


if __name__ == "__main__":
    main()
