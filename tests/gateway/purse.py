"""A wallet file, and the `wallet` command on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.gateway.commands import DEADLINE_S, Commands, Outcome

PASSWORD = "a password"


class Purse:
    """One wallet. `nodes` are what --node names, and may change."""

    def __init__(self, commands: Commands, file: Path, *nodes: str) -> None:
        self.file = file
        self.nodes: Sequence[str] = nodes
        self._commands = commands
        self._password = file.with_name(file.name + ".password")
        self._password.write_text(PASSWORD + "\n")

    def run(
        self,
        *arguments: str,
        stdin: str = "",
        deadline_s: float = DEADLINE_S,
        hook: str = "",
        hook_options: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """One command, with --json."""
        nodes = [part for node in self.nodes for part in ("--node", node)]
        where = ["--json", "--wallet", str(self.file), *nodes, "--password-file", str(self._password)]
        return self._commands.run(
            [*where, *arguments], stdin=stdin, deadline_s=deadline_s, hook=hook, hook_options=hook_options
        )

    def get(self, *arguments: str) -> Any:
        """The document of a command that succeeds."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome
        return outcome.json()

    def create(self) -> "Purse":
        """Make the wallet."""
        self.get("create")
        return self

    def address(self) -> str:
        """Where to pay it."""
        return str(self.get("address")["address"])

    def txids(self) -> set[str]:
        """What its history names."""
        return {row["txid"] for row in self.get("history")}
