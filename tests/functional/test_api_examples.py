"""Examples of docs/api.md: how answers are shortened, and which answers are of the same shape."""

import pytest

from tests.functional.api_examples import Answered, fits, missing, shorten, shown_answers, written

HASH = "ab" * 32
PAGE = """
| method | | example |
|---|---|---|
| `a ( b )` | Words. | `rpc a '[1]'` |
| `GET /x` | Words. | `curl -s $api/x \\| head` |

Words.
"""


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("102", "102"),
        (HASH, "abababab…"),
        ('{"a":0.00000141,"b":[1,2,3],"c":1.0}\n', '{"a": 0.00000141, "b": [1, 2, "…"], "c": 1.0}'),
        (f'[{{"a":"{HASH}"}},{{"a":1}}]', '[{"a": "abababab…"}, "…"]'),
        (f'{{"{HASH}":1,"{"cd" * 32}":2,"{"ef" * 32}":3}}', '{"abababab…": 1, "cdcdcdcd…": 2, "…": "…"}'),
        ('"' + "word " * 40 + '"', '"' + "word " * 18 + '…"'),
        ("line\n" * 9, "line\n" * 8 + "…"),
    ],
)
def test_shortened(output: str, shown: str) -> None:
    assert shorten(output) == shown
    assert fits(shown, shorten(output))


def test_long_answers_are_broken_and_stay_json() -> None:
    output = "[" + ",".join(f'{{"number {n}":{n}.50}}' for n in range(2)) + "]"
    assert shorten(output) == '[{"number 0": 0.50}, "…"]'
    wide = "{" + ",".join(f'"number {n}":{n}.50' for n in range(20)) + "}"
    lines = shorten(wide).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 114 for line in lines)
    assert fits(shorten(wide), shorten(wide))


@pytest.mark.parametrize(
    ("shown", "given", "fitting"),
    [
        ('{"a": 1, "b": "x"}', '{"b": "y", "a": 2}', True),
        ('{"a": 1}', '{"a": 1.0}', False),
        ('{"a": 1}', '{"a": "1"}', False),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 1}', '{"a": null}', False),
        ('{"a": 1}', '{"a": 1, "b": 2}', False),
        ('{"a": 1, "b": 2}', '{"a": 1}', False),
        ('{"endpoint": "x"}', '{"endpoint": null}', True),
        ('{"result": [1]}', '{"result": []}', False),
        ('{"in": [1]}', '{"in": []}', True),
        ('[{"a": 1}, "…"]', '[{"b": 1}, {"a": 2}]', True),
        ('[{"a": 1}, "…"]', '[{"b": 1}]', False),
        ("tip 102", "tip 7", True),
        ("tip 102", "top 102", False),
        ("a\nb", "a", False),
    ],
)
def test_the_same_shape(shown: str, given: str, fitting: bool) -> None:
    assert fits(shown, given) is fitting


def test_a_page_gets_its_answers_once() -> None:
    assert set(missing(PAGE)) == {("rpc a '[1]'", "a ( b )"), ("curl -s $api/x | head", "GET /x")}
    answers = [
        Answered("a ( b )", "rpc a '[1]'", "", '{"result": 1}'),
        Answered("GET /x", "curl -s $api/x | head", ": 200", ""),
    ]
    page = written(PAGE, answers)
    assert written(page, answers) == page
    assert list(missing(page)) == []
    assert {(one.name, one.label, one.output) for one in shown_answers(page).values()} == {
        ("a ( b )", "", '{"result": 1}'),
        ("GET /x", ": 200", ""),
    }
