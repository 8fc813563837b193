"""JSON-RPC methods: the declaration of parameters, and errors in Core's codes.

Calls are checked by tables made of these, and so are the help texts and the tests of bad input.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node.api.actions.core_errors import BAD_VALUE, MISC, RpcError, shown

REQUIRED: Final = object()
"""Mark in place of a default: the parameter is required."""

Read = Callable[[str, Any], Any]
"""(parameter's name, JSON value) -> what the method is given. Raises RpcError."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One parameter."""

    name: str
    read: Read
    kind: str
    """The parameter's type in help texts."""
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()
    """Older names."""

    @property
    def required(self) -> bool:
        """True if a call without it is refused."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    answer: Callable[..., Any]
    """Called with a `Call` and the parameters in order; returns what `jsontext.emit` takes. Its
    docstring is the method's summary."""
    args: tuple[Arg, ...]
    category: str

    @property
    def summary(self) -> str:
        """Summary, in a line."""
        return inspect.cleandoc(self.answer.__doc__ or "")

    @property
    def usage(self) -> str:
        """Name and parameters in a line, optional ones in brackets."""
        words = [arg.name if arg.required else f"( {arg.name} )" for arg in self.args]
        return " ".join((self.name, *words))

    @property
    def help(self) -> str:
        """The text that `help` prints, and that answers a wrong number of parameters."""
        lines = [self.usage, "", self.summary]
        if self.args:
            lines += ["", "Arguments:"]
        for number, arg in enumerate(self.args, 1):
            need = "required" if arg.required else "optional"
            lines.append(f"{number}. {arg.name} ({arg.kind}, {need})")
        return "\n".join(lines)

    def bind(self, params: Any) -> list[Any]:
        """The parameters of a call in order, checked. Raises RpcError."""
        if params is None:
            given: Sequence[Any] = ()
        elif isinstance(params, Mapping):
            given = self._in_order(params)
        else:
            given = params
        if len(given) > len(self.args):
            raise RpcError(MISC, self.help)
        bound = []
        for position, arg in enumerate(self.args):
            content = given[position] if position < len(given) else None
            if content is not None:
                bound.append(arg.read(arg.name, content))
            elif arg.required:
                raise RpcError(MISC, self.help)
            else:
                bound.append(arg.default)
        return bound

    def _in_order(self, named: Mapping[str, Any]) -> list[Any]:
        """Named parameters, and leading ones under `args`, as a list."""
        leading = named.get("args", [])
        if not isinstance(leading, list):
            raise RpcError(BAD_VALUE, "Parameter args must be an array")
        positions = {name: i for i, arg in enumerate(self.args) for name in (arg.name, *arg.aliases)}
        given: list[Any] = [*leading, *[None] * (len(self.args) - len(leading))]
        taken = set(range(len(leading)))
        for name, content in named.items():
            if name == "args":
                continue
            position = positions.get(name)
            if position is None:
                raise RpcError(BAD_VALUE, f"Unknown named parameter {shown(name)}")
            if position in taken:
                raise RpcError(BAD_VALUE, f"Parameter {name} specified twice both as positional and named argument")
            taken.add(position)
            given[position] = content
        return given


def topic(category: str, *rows: tuple[Any, ...]) -> tuple[Method, ...]:
    """Methods of one topic, each a row of its function, whose name it has, and its parameters."""
    return tuple(Method(answer.__name__, answer, tuple(args), category) for answer, *args in rows)
