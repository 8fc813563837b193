"""Effects of the step under way: whoever has something to be done outside puts it here."""

from node.interface.effects import Effect


class Outbox:
    """Effects in the order in which they were put in; a step ends with taking them all.

    A call of the core that ends in an exception leaves its effects for the next step.
    """

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    def add(self, effect: Effect) -> None:
        """Have something done once the step is over."""
        self._effects.append(effect)

    def take(self) -> tuple[Effect, ...]:
        """Take all that is to be done."""
        effects, self._effects = tuple(self._effects), []
        return effects
