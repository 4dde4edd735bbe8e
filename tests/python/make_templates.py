"""Renders chat templates with Python's Jinja2, as transformers sets it up, for a comparison with ours.

    python tests/python/make_templates.py tests/fixtures/templates

Beside every `NAME.jinja` of the folder (our own, in the dialects of public models) a `NAME.json` with what it makes of each conversation,
or that it refuses it; and `expressions.json`: filters, tests, operators and methods over values of every type. The date is pinned to
26 July 2024, as ours is. Needs transformers and Jinja2.
"""

import copy
import datetime
import json
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


class Pinned(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Pinned


def turns(*pairs: tuple[str, str]) -> list[dict]:
    return [{"role": role, "content": content} for role, content in pairs]


CONVERSATIONS = [
    turns(("user", "who is the king?")),
    turns(("system", "answer briefly"), ("user", "who is the king?")),
    turns(("user", "who?"), ("assistant", "the king"), ("user", "  and   the queen? \n")),
    turns(("system", "s /no_think"), ("user", "u1"), ("assistant", "a1"), ("user", "u2"), ("assistant", "a2 ")),
    turns(("user", "q"), ("assistant", "<think>\nhm\n</think>\n\nthe queen")),
    turns(("user", "q"), ("assistant", "<think>\nhm\n</think>\n\nthe queen"), ("user", "r")),
    turns(("user", "")),
    turns(("user", "naïve café ☕ 🇫🇷 \u2028 <b>&amp;\"'\t{{ x }} {% y %}")),
    turns(("user", "line one\r\nline two\rline three\n\n"), ("assistant", "yes\r\n")),
    turns(("system", ""), ("user", "wEIRD Case 12 's")),
    turns(("user", "a"), ("user", "b")),
    turns(("assistant", "only me")),
    turns(("system", "only the system")),
]


def render(template, **given) -> dict:
    try:
        # A copy: some filters change a list in place.
        return {"text": template.render(**copy.deepcopy(given))}
    except Exception as error:  # what is raised differs; that it is refused has to agree
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def of_template(source: str) -> dict:
    template = chat_template_utils._compile_jinja_template(source)
    cases = []
    for messages in CONVERSATIONS:
        for prompt in (False, True):
            outcome = render(template, messages=messages, tools=None, documents=None, add_generation_prompt=prompt, **SPECIAL)
            cases.append({"messages": messages, "add_generation_prompt": prompt, **outcome})
    return {"special_tokens": SPECIAL, "cases": cases}


VALUES = ["none", "nothing", "true", "false", "0", "7", "-3", "2.5", "1.0", "1e20", "''", "'Abc d'", "' x\\n'", "'é☕'", "[]", "[1, 'a', none]",
          "['b', 'a']", "[[1, 2]]", "{}", "{'k': 'v', 'n': none}", "messages", "messages[0]"]
FORMS = [
    "{{ X }}", "{{ X | length }}", "{{ X | count }}", "{{ X | string }}", "{{ X | tojson }}", "{{ X | list }}", "{{ X | first }}", "{{ X | last }}",
    "{{ X | join(', ') }}", "{{ X | trim }}", "{{ X | upper }}", "{{ X | lower }}", "{{ X | title }}", "{{ X | capitalize }}", "{{ X | int }}",
    "{{ X | float }}", "{{ X | abs }}", "{{ X | round }}", "{{ X | reverse | list }}", "{{ X | sort }}", "{{ X | unique | list }}", "{{ X | items | list }}",
    "{{ X | dictsort }}", "{{ X | default('d') }}", "{{ X | default('d', true) }}", "{{ X | d('d') }}", "{{ X | replace('a', 'b') }}", "{{ X | e }}",
    "{{ X | map('upper') | list }}", "{{ X | select | list }}", "{{ X | reject('none') | list }}", "{{ X | map(attribute='role') | list }}",
    "{{ X | selectattr('role') | list | length }}", "{{ X | sum }}", "{{ X | max }}", "{{ X | min }}", "{{ X | safe }}", "{{ X | indent }}", "{{ X | wordcount }}",
    "{{ X is defined }}", "{{ X is undefined }}", "{{ X is none }}", "{{ X is string }}", "{{ X is number }}", "{{ X is integer }}", "{{ X is float }}",
    "{{ X is boolean }}", "{{ X is true }}", "{{ X is false }}", "{{ X is mapping }}", "{{ X is sequence }}", "{{ X is iterable }}", "{{ X is callable }}",
    "{{ X is eq 7 }}", "{{ X == none }}", "{{ X in [1, none, 'a'] }}", "{{ 'a' in X }}", "{{ X is in ['Abc d', 7] }}", "{{ not X }}", "{{ 'yes' if X else 'no' }}",
    "{{ X and 1 }}", "{{ X or 'other' }}", "{{ X + 1 }}", "{{ X + 'a' }}", "{{ X + [1] }}", "{{ X * 2 }}", "{{ X - 1 }}", "{{ X / 2 }}", "{{ X // 2 }}", "{{ X % 2 }}",
    "{{ X ** 2 }}", "{{ -X }}", "{{ X < 3 }}", "{{ X >= 'A' }}", "{{ X ~ 'a' }}", "{{ 'a' ~ X }}", "{{ X[0] }}", "{{ X[-1] }}", "{{ X[:1] }}", "{{ X[1:] }}", "{{ X[::-1] }}",
    "{{ X.k }}", "{{ X['k'] }}", "{{ X.k.l }}", "{{ X.missing is defined }}", "{{ X.get('k') }}", "{{ X.get('m', 'z') }}", "{{ X.keys() | list }}", "{{ X.values() | list }}",
    "{{ X.items() | list }}", "{{ X.strip() }}", "{{ X.split() }}", "{{ X.upper() }}", "{{ X.startswith('A') }}", "{{ X.index('a') }}", "{{ X.append(1) }}",
    "{% for x in X %}[{{ x }}]{% endfor %}", "{% for x in X %}[{{ x }}]{% else %}none{% endfor %}", "{% for k, v in X.items() %}{{ k }}={{ v }}{% endfor %}",
    "{% if X %}t{% else %}f{% endif %}", "{% if X is iterable and X | length > 0 %}t{% else %}f{% endif %}", "{% if X is not none and X %}t{% else %}f{% endif %}",
    "{% set ns = namespace(a=X) %}{{ ns.a }}", "{% set a, b = X %}{{ a }}", "{{ [X] }}", "{{ {'x': X} }}", "{{ 'v: %s' % X }}", "{{ 'v: {}'.format(X) }}",
]
ALONE = [
    "{{ strftime_now('%d %b %Y') }}", "{{ strftime_now('%A, %B %-d, %Y %H:%M:%S %p %j %y %m/%d') }}", "{{ strftime_now('%Y-%m-%dT%H:%M:%S') }}", "{{ strftime_now('%F %T %D %R') }}",
    "{{ strftime_now('%c') }}", "{{ strftime_now('%x %X') }}", "{{ strftime_now('%U %W %V %G %u %w') }}", "{{ strftime_now('%e %k %l %I %C %h %f') }}", "{{ strftime_now('100%%') }}",
    "{{ strftime_now('%-m/%-d/%-y %-I %-H %-M') }}", "{{ strftime_now('[%Z%z]') }}", "{{ strftime_now('') }}", "{{ strftime_now }}"[:0] + "{{ strftime_now is defined }}",
    "{{ raise_exception('no') }}", "{{ raise_exception is defined }}", "{{ raise_exception('no ' ~ 1) }}", "{{ namespace(a=1).a }}", "{{ dict(a=1) }}", "{{ dict(a=1).a }}",
    "{{ range(2, 8, 3) | list }}", "{{ range(3)[1] }}", "{{ [1, 2] == [1, 2] }}", "{{ (1, 2) == [1, 2] }}", "{{ 1 == 1.0 }}", "{{ true == 1 }}", "{{ 'a' < 'b' }}", "{{ 1 < 'a' }}", "{{ 7 / 2 }}", "{{ 4 / 2 }}",
    "{{ 7 // 2 }}", "{{ -7 // 2 }}", "{{ -7 % 3 }}", "{{ 2 ** 10 }}", "{{ 2 ** -1 }}", "{{ 1 / 0 }}", "{{ 10000000000000000000000 + 1 }}", "{{ 0.1 + 0.2 }}", "{{ 1e16 }}", "{{ 1e-7 }}", "{{ 100000.0 }}",
    "{{ [1] + [2] }}", "{{ [1, 'a', 2.0, true, none, {'a': \"q'q\"}] }}", "{{ 'it\\'s' }}", "{{ [\"it's\"] }}", "{{ ['a\"b'] }}", "{{ ['a\\nb'] }}", "{{ ['é☕'] }}", "{{ ('a',) }}", "{{ () }}", "{{ {1: 2} }}", "{{ {'a': [1, {'b': none}]} | tojson }}",
    "{{ {'a': [1, {'b': none}], 'é': 'ü\\n\\u0007\\u007f\\u2028'} | tojson(indent=4) }}", "{{ [] | tojson(indent=2) }}", "{{ {} | tojson(indent=2) }}", "{{ [1.0, 1e20, 1e-7, 0.1, 1e16, -0.0] | tojson }}", "{{ 'é<>&' | tojson }}", "{{ 'é' | tojson(ensure_ascii=true) }}",
    "{{ [1, 2] | tojson(separators=(',', ':')) }}", "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", "{{ {'b': 1, 'a': 2} | tojson(indent=2, sort_keys=true) }}", "{{ {1: 'a', none: 'b', true: 'c', 2.5: 'd'} | tojson }}",
    "{{ 'a-b-c'.split('-', 1) }}", "{{ 'a-b-c'.rsplit('-', 1) }}", "{{ 'a-b-c'.partition('-') }}", "{{ 'abcabc'.replace('b', 'x', 1) }}", "{{ 'abc'.center(7, '*') }}", "{{ 'a'.ljust(3, '.') }}", "{{ 'a'.rjust(3) }}", "{{ '7'.zfill(3) }}", "{{ 'abcabc'.rfind('b') }}", "{{ 'abc'.index('z') }}",
    "{{ 'A b'.swapcase() }}", "{{ 'ß'.casefold() }}", "{{ ','.join(['a', 'b']) }}", "{{ ','.join([1]) }}", "{{ 'ab'.startswith(('x', 'a')) }}", "{{ 'abc'.endswith(('c',)) }}", "{{ '%d of %05.2f %s %r' % (3, 2.5, none, 'a') }}", "{{ '{0} {1} {0}'.format('a', 'b') }}", "{{ '{a:>5}|{b:.2f}'.format(a='x', b=2) }}",
    "{{ 'abc' | center(7) }}", "{{ 'a b' | urlencode }}", "{{ 'x' | format }}", "{{ '%s' | format('a') }}", "{{ 'a,b' | replace(',', ';') }}", "{{ 3.7 | int }}", "{{ '3' | int }}", "{{ 'x' | int(5) }}", "{{ '2.5' | float }}", "{{ 2.567 | round(1) }}", "{{ 2.5 | round }}", "{{ 2.5 | round(0, 'ceil') }}",
    "{{ ['a', 'B'] | sort }}", "{{ ['a', 'B'] | sort(case_sensitive=true) }}", "{{ [{'n': 2}, {'n': 1}] | sort(attribute='n') | map(attribute='n') | list }}", "{{ [{'n': 2}] | map(attribute='m', default='z') | list }}", "{{ ['a', 'A'] | unique | list }}", "{{ [[1, 2], [3]] | sum(start=[]) }}", "{{ [1, 2] | sum(start=10) }}",
    "{{ loop is defined }}", "{{ self is defined }}", "{{ caller is defined }}", "{{ varargs is defined }}", "{{ cycler is defined }}", "{{ joiner is defined }}", "{{ lipsum is defined }}", "{% set x = namespace() %}{% set x.y = 3 %}{{ x.y }}{{ x.z }}", "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% with a = 1 %}{{ a }}{% endwith %}{{ a }}", "{% macro m(a, b=2, *rest) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}", "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}hi{% endcall %}", "{% for i in [1, 2, 3] recursive %}{{ i }}{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{{ messages[0]['role'] }}{{ messages[0].content }}{{ messages[5] is defined }}{{ messages[5].role is defined }}", "{{ nothing.a.b }}", "{{ nothing['a'] }}", "{{ nothing() }}", "{{ messages.foo }}", "{{ messages[0].nope }}x", "{{ messages[0].nope.nope }}", "{{ none.a }}", "{{ none['a'] }}", "{{ none.a.b }}", "{{ 'abc'.nope }}", "{{ 'abc'.nope() }}", "{{ 'abc' | nope }}", "{{ 'abc' is nope }}",
    "{{ tools }}", "{{ tools is defined }}", "{{ documents is none }}", "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}", "{{ add_generation_prompt }}", "{{ True }}{{ False }}{{ None }}{{ true }}{{ none }}", "{{ 'a' if false }}", "{{ ('a' if false) is defined }}", "{{ not true }}", "{{ true and not false }}", "{{ 1 if 0 else 2 if 1 else 3 }}", "{{ 'a' 'b' ~ 'c' }}",
    "{{ messages | map(attribute='content') | first }}", "{{ (messages | first).role }}", "{{ messages | map('length') | list }}", "{{ messages[-1].content[0] }}", "{{ messages[0] == {'role': 'user', 'content': 'q'} }}", "{{ messages[0] is mapping }}", "{{ messages is sequence }}", "{{ messages | length is eq 2 }}", "{{ messages | length == 2 }}", "{{ 5 is divisibleby 5 }}", "{{ 4 is even }}{{ 3 is odd }}", "{{ 'a' is lower }}{{ 'A' is upper }}", "{{ 3 is gt 2 }}{{ 3 is ge 3 }}{{ 2 is lt 3 }}{{ 3 is ne 2 }}{{ 3 is equalto 3 }}", "{{ 'upper' is filter }}{{ 'nope' is filter }}{{ 'eq' is test }}", "{{ x is sameas x }}{{ none is sameas none }}",
]


def expressions() -> list[dict]:
    messages = turns(("user", "q"), ("assistant", "a"))
    cases = []
    for source in [form.replace("X", f"({value})" if not value.isidentifier() else value) for form in FORMS for value in VALUES] + ALONE:
        try:
            template = chat_template_utils._compile_jinja_template(source)
        except Exception as error:
            cases.append({"template": source, "error": f"{type(error).__name__}: {error}"[:120]})
            continue
        cases.append({"template": source, **render(template, messages=messages, tools=None, documents=None, add_generation_prompt=False, **SPECIAL)})
    return cases


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main() -> None:
    folder = Path(sys.argv[1])
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_bytes().decode("utf-8")
        write(path.with_suffix(".json"), of_template(source))
    cases = expressions()
    write(folder / "expressions.json", {"messages": turns(("user", "q"), ("assistant", "a")), "special_tokens": SPECIAL, "cases": cases})
    print(len(cases), sum("error" in case for case in cases))


if __name__ == "__main__":
    main()
