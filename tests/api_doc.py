"""What the examples of docs/api.md answer: `python -m tests.api_doc` runs them on a fresh devnet and writes it there.

Answers of the page that still have the right shape stay as they are, so that two changes do not meet there; `--all`
writes all anew.
tests/test_docs.py fails as long as an example has no answer; tests/functional/test_readme.py runs all of them again.
"""

import sys
import tempfile
from pathlib import Path

from tests.functional.api_examples import answers_of, fits, shown_answers, written
from tests.functional.shell import ROOT, at_home

PAGE = ROOT / "docs" / "api.md"


def main() -> None:
    """Write the page."""
    text = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder, at_home(Path(folder)) as shell:
        shell.run("scripts/devnet up")
        answers = answers_of(shell, text)
        shell.run("scripts/devnet down --wipe")
    kept = {} if "--all" in sys.argv else shown_answers(text)
    for place, answer in enumerate(answers):
        old = kept.get(answer.example)
        if old and (old.name, old.label) == (answer.name, answer.label) and fits(old.output, answer.output):
            answers[place] = old
    PAGE.write_text(written(text, answers))


if __name__ == "__main__":
    main()
