"""JSON-RPC about the process, and small tools."""

from collections.abc import Sequence

from chain.address import AddressError, decode_address, encode_address
from chain.params import REGTEST
from chain.scripttype import ScriptType, classify, witness_program
from node.api.actions.core_errors import BAD_VALUE, MISC, RpcError, shown
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import ignored, integer, string
from node.api.rpc.limits import LIMITS_TEXT
from node.api.rpc.method import Method, topic
from node.api.rpc.wallet_methods import pointer_for

MICROSECONDS = 1_000_000
INT64_MAX = 2**63 - 1
MOCKTIME_MAX = INT64_MAX // 10**9
"""Seconds that Core's clock can count in nanoseconds."""


def uptime(call: Call) -> int:
    """Seconds since the start."""
    return max(0, int(call.runtime.now() - call.started))


def stop(call: Call, wait: object) -> str:
    """End the node."""
    call.runtime.stop()
    return "groatd stopping"


def getrpcinfo(call: Call) -> Shape:
    """The calls under way and the log's place."""
    log = call.config.log_file
    running = [
        {"method": method, "duration": int(duration_s * MICROSECONDS)}
        for method, duration_s in call.commands.under_way()
    ]
    return {"active_commands": running, "logpath": str(log) if log else ""}


def setmocktime(call: Call, time: int) -> None:
    """Set the time to a Unix time (0: the clock's again) for rules, mempool and mining, on regtest only."""
    if call.view.params.name != REGTEST.name:
        name = call.view.params.name
        raise RpcError(MISC, f"setmocktime is for regression testing (-regtest mode) only, and this node is on {name}")
    if not 0 <= time <= MOCKTIME_MAX:
        raise RpcError(BAD_VALUE, f"Mocktime must be in the range [0, {MOCKTIME_MAX}], not {time}.")
    call.change(lambda node, now: node.set_time(time or None, now))


def validateaddress(call: Call, address: str) -> Shape:
    """Check an address; its script and type if it is valid."""
    try:
        script = decode_address(address)
    except AddressError as error:
        return {"isvalid": False, "error_locations": [], "error": str(error)}
    program = witness_program(script)
    shape: Shape = {
        "isvalid": True,
        "address": encode_address(script),
        "scriptPubKey": script.hex(),
        # Core counts what a script can be behind: P2SH, P2WSH and P2TR.
        "isscript": classify(script) in (ScriptType.P2SH, ScriptType.P2WSH, ScriptType.P2TR),
        "iswitness": program is not None,
    }
    if program is not None:
        shape |= {"witness_version": program[0], "witness_program": program[1].hex()}
    return shape


def with_help(methods: Sequence[Method]) -> tuple[Method, ...]:
    """The methods and `help`, which knows them all."""

    def help(call: Call, command: str | None) -> str:
        """All methods, or how to call one. `help help` has the limits of requests."""
        if command is None:
            return _overview(table)
        for method in table:
            if method.name == command:
                return method.help if command != "help" else f"{method.help}\n\nLimits:\n{LIMITS_TEXT}"
        return f"help: unknown command: {shown(command)}{pointer_for(command)}"  # no error, as in Core

    table = (*methods, *topic("Control", (help, string("command", None))))
    return table


def _overview(methods: Sequence[Method]) -> str:
    lines = []
    for category in sorted({method.category for method in methods}):
        lines += [f"== {category} ==", *sorted(m.usage for m in methods if m.category == category), ""]
    return "\n".join(lines[:-1])


METHODS = (
    *topic(
        "Control",
        (uptime,),
        (stop, ignored("wait")),
        (getrpcinfo,),
        (setmocktime, integer("timestamp", least=-INT64_MAX, most=INT64_MAX)),
    ),
    *topic("Util", (validateaddress, string("address"))),
)
"""About the process."""
