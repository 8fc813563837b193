"""Modules that take long to import, imported with the first look at what is in them: `devnet status` is to be quick."""

from importlib import import_module
from typing import Any


class Later:
    """A module in waiting; its names are looked up in it whenever they are used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)

    def load(self) -> None:
        """Import it now, while there is nothing better to do."""
        import_module(self._name)


funds = Later("devnet.funds")
"""Brings all of the wallet."""
launch = Later("devnet.launch")
"""Brings the wallet, and the chain to mine first blocks with."""
webbrowser = Later("webbrowser")
"""Looks, at its import, what browsers there are."""
console = Later("rich.console")
markup = Later("rich.markup")
progress = Later("rich.progress")
