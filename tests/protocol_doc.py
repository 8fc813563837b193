"""What docs/network.md and docs/api.md say that the code decides: `python -m tests.protocol_doc` writes it there.

Each stands between two comments, `<!-- NAME: from the code -->` and `<!-- end of NAME -->`.
tests/test_network_doc.py fails as long as what is there is not what this module makes.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields as fields_of
from pathlib import Path
from types import ModuleType

from chain.keys import default_engine
from chain.params import GENESIS, REGTEST, devnet_params
from node.api.actions.peer_json import SERVICE_NAMES
from node.interface import messages
from node.interface.messages import Facts, Message, Reason
from node.p2p.addrman import addrman
from node.p2p.block_sync import (
    block_download,
    compact_serve,
    header_announce,
    header_sync,
    headers_presync,
    high_bandwidth_peers,
    unclaimed_headers,
)
from node.p2p.connections import connection_manager, handshake, inbound, outbound
from node.p2p.connections.identity import HandshakeSide, handshake_digest, peer_id
from node.p2p.discovery import gossip, kad_buckets, probes
from node.p2p.longpoll import client, server
from node.p2p.scoring import banman, choking, peer_score, rate_limits
from node.p2p.scoring.rate_limits import LIMITS
from node.p2p.tx_relay import tx_request
from node.p2p.wire.codec import LAYOUTS, ROUTES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "network.md"
API = ROOT / "docs" / "api.md"


# what the source says in words


def tree(module: ModuleType) -> ast.Module:
    """The module's source."""
    return ast.parse(Path(str(module.__file__)).read_text())


def words_after(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Each name that is assigned to, and the string that stands behind the assignment ("" if none does)."""
    for position, statement in enumerate(body):
        if isinstance(statement, ast.AnnAssign):
            targets: list[ast.expr] = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            continue
        after = body[position + 1] if position + 1 < len(body) else None
        is_words = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        words = str(after.value.value) if is_words else ""  # type: ignore[union-attr]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else (target,):
                if isinstance(name, ast.Name):
                    yield name.id, one_line(words)


def names_together(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The first name of each assignment, and all of them: one, or a tuple's."""
    for statement in body:
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            names = [part.id for part in ast.walk(target) if isinstance(part, ast.Name)]
            yield names[0], tuple(names)


def class_words(name: str) -> dict[str, str]:
    """The fields of a class of messages.py, and what its source says of each."""
    [found] = [s for s in tree(messages).body if isinstance(s, ast.ClassDef) and s.name == name]
    return dict(words_after(found.body))


def one_line(words: str) -> str:
    """Without line breaks, and safe in a table."""
    return re.sub(r"\s+", " ", words).strip().replace("|", "\\|")


def summary(message: type) -> str:
    """Its docstring."""
    return one_line(inspect.getdoc(message) or "")


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


# the parts


def facts_table() -> str:
    """Hello's and Welcome's first field, which is several."""
    layouts = LAYOUTS[messages.Hello].fields[0].layout.split("; ")
    words = class_words("Facts")
    rows = zip(fields_of(Facts), layouts, strict=True)
    return table(("field", "bytes", ""), [(f"`{field.name}`", layout, words[field.name]) for field, layout in rows])


def messages_tables() -> str:
    """Every message."""
    return "\n\n".join(_message(message) for message in sorted(LAYOUTS, key=lambda message: LAYOUTS[message].kind))


def _message(message: type[Message]) -> str:
    layout, words = LAYOUTS[message], class_words(message.__name__)
    head = f"#### {layout.kind} {message.__name__}\n\n{summary(message)} At most {layout.most:,} bytes."
    rows = [
        (f"`{field.name}`", "`Facts`, above" if field.type is Facts else part.layout, words[field.name])
        for field, part in zip(fields_of(message), layout.fields, strict=True)
    ]
    return f"{head}\n\n{table(('field', 'bytes', ''), rows)}" if rows else f"{head} It has no fields."


def routes_table() -> str:
    """Every route."""
    rows = [
        (
            f"`POST /p2p/{name}`",
            route.request.__name__,
            ", ".join(reply.__name__ for reply in route.replies),
            "needed" if route.session else "not needed",
            f"{route.request_max:,}",
            f"{route.reply_max:,}",
        )
        for name, route in ROUTES.items()
    ]
    return table(("route", "request", "replies", "session", "request at most", "reply at most"), rows)


def reasons_table() -> str:
    """Why a Refusal."""
    words = class_words("Reason")
    return table(("code", "reason", ""), [(int(reason), f"`{reason.name}`", words[reason.name]) for reason in Reason])


def services_table() -> str:
    """Bits of Facts.services."""
    words = dict(words_after(tree(messages).body))
    names = list(words)
    first, last = sorted((names.index("SERVES_BLOCKS"), names.index("VISITOR")))
    bits = {getattr(messages, name): name for name in names[first : last + 1] if "SERVICES" not in name}
    shown = {bit: f"`{name}`" for bit, name in SERVICE_NAMES}
    rows: list[tuple[object, ...]] = []
    for bit, name in sorted(bits.items()):
        meaning = words[name].removeprefix("Bit of the services: ")
        rows.append((f"0x{bit:x}", f"`{name}`", shown.get(bit, ""), meaning[0].upper() + meaning[1:]))
    return table(("bit", "name", "the API shows it as", ""), rows)


def limits_table() -> str:
    """What one peer may send."""
    rows = [
        (f"`{name}`", f"{limit.messages:,}", f"{limit.bytes:,}", f"{limit.items:,}", f"{limit.held:,}")
        for name, limit in LIMITS.items()
    ]
    head = ("route", "messages a minute", "bytes a minute", "items a message", "bytes held")
    bound = f"Messages of peers that are held in memory take at most {rate_limits.memory_bound():,} bytes together."
    return f"{table(head, rows)}\n\n{bound}"


def handshake_vector() -> str:
    """A handshake from fixed keys and challenges."""
    engine, network = default_engine(), REGTEST.network_id
    secrets = {HandshakeSide.DIALLER: bytes(31) + b"\x01", HandshakeSide.ANSWERER: bytes(31) + b"\x02"}
    keys = {side: engine.public_key(secret) for side, secret in secrets.items()}
    ids = peer_id(keys[HandshakeSide.DIALLER]), peer_id(keys[HandshakeSide.ANSWERER])
    challenges = b"\x11" * 32, b"\x22" * 32
    lines = [("network id (regtest)", network), ("dialler's challenge", challenges[0])]
    lines.append(("answerer's challenge", challenges[1]))
    for side, other in ((HandshakeSide.DIALLER, "dialler"), (HandshakeSide.ANSWERER, "answerer")):
        digest = handshake_digest(network, side, ids, challenges)
        lines += [
            (f"{other}'s secret", secrets[side]),
            (f"{other}'s public key", keys[side]),
            (f"{other}'s id", peer_id(keys[side])),
            (f"{other} signs", digest),
            (f"{other}'s proof", engine.sign_schnorr(secrets[side], digest)),
        ]
    return "```\n" + "\n".join(f"{name}: {part.hex()}" for name, part in lines) + "\n```"


def network_vector() -> str:
    """Two networks: the text that is hashed, and what comes out with genesis behind it."""
    blocks = [f"```\ngenesis header: {GENESIS.header.raw.hex()}\n```"]
    for params in (REGTEST, devnet_params()):
        settings = "".join(f"{key}={setting}\n" for key, setting in sorted(params.to_mapping().items()))
        blocks.append(f"```\ngroat network\n{settings}```\n\nNetwork id: `{params.network_id.hex()}`")
    return "\n\n".join(blocks)


def routes_line() -> str:
    """docs/api.md's sentence about the routes between nodes."""
    return ", ".join(f"`POST /p2p/{name}`" for name in ROUTES)


FIGURES: dict[ModuleType, tuple[str, ...]] = {
    handshake: ("HANDSHAKE_S", "GREETINGS_MAX"),
    inbound: ("INBOUND_MAX",),
    connection_manager: ("TOKENS_MAX", "IDLE_S", "LINK_FAILURES_MAX"),
    outbound: ("OUTBOUND_MAX", "NEAR_MAX", "BLOCKS_ONLY_MAX", "FEELER_S", "DIAL_BACK_TRIES"),
    banman: ("DISCOURAGED_S",),
    header_announce: ("ANNOUNCE_S",),
    header_sync: ("HEADERS_S", "POLL_S", "HEADERS_AHEAD_MAX", "HEADERS_ALL_MAX"),
    unclaimed_headers: ("UNCLAIMED_MAX", "UNCLAIMED_S"),
    headers_presync: ("NEAR_TIP_BLOCKS", "PERIOD", "AGREEING_BITS", "WALKS_MAX"),
    block_download: ("WINDOW", "PATIENCE_S"),
    compact_serve: ("DEPTH_MAX",),
    high_bandwidth_peers: ("PUSHERS_MAX",),
    tx_request: ("IN_FLIGHT_MAX", "OFFERS_MAX", "OFFERS_ALL_MAX", "REJECTED_MAX"),
    server: ("HELD_S", "OPEN_MAX"),
    client: ("DIAL_BACK_S", "LEAST_S"),
    gossip: ("ASK_EVERY_S", "FANOUT"),
    addrman: ("TELL_RATE", "SHARE_PERCENT", "REPLY_S"),
    kad_buckets: ("K", "SUBNET_IN_BUCKET"),
    probes: ("VISITORS_MAX", "VISITOR_S"),
    choking: ("REGULAR_SLOTS", "ROUND_S"),
    peer_score: ("PREFER", "HALF_LIFE_S"),
}


def figures_table() -> str:
    """What another node has to reckon with. Figures that one sentence explains stand in one row."""
    rows: list[tuple[object, ...]] = []
    for module, firsts in FIGURES.items():
        body = tree(module).body
        words, together = dict(words_after(body)), dict(names_together(body))
        file = Path(str(module.__file__)).relative_to(ROOT)
        for first in firsts:
            names = together[first]
            figures = ", ".join(f"{getattr(module, name):,g}" for name in names)
            rows.append((", ".join(f"`{name}`" for name in names), figures, f"`{file}`", words[first]))
    return table(("name", "", "in", ""), rows)


PARTS: dict[Path, dict[str, Callable[[], str]]] = {
    PAGE: {
        "facts": facts_table,
        "services": services_table,
        "network ids": network_vector,
        "handshake vector": handshake_vector,
        "routes": routes_table,
        "reasons": reasons_table,
        "messages": messages_tables,
        "limits": limits_table,
        "figures": figures_table,
    },
    API: {"routes": routes_line},
}


def between(name: str) -> re.Pattern[str]:
    """What stands in a page's part of that name."""
    return re.compile(rf"(<!-- {name}: from the code -->\n).*?(<!-- end of {name} -->)", re.DOTALL)


def written(page: Path) -> str:
    """The page with every part as the code has it."""
    text = page.read_text()
    for name, make in PARTS[page].items():
        assert len(between(name).findall(text)) == 1, f"{page.name}: {name}"
        part = make()
        text = between(name).sub(lambda found, part=part: f"{found[1]}{part}\n{found[2]}", text)
    return text


def main() -> None:
    """Write what has changed."""
    for page in PARTS:
        page.write_text(written(page))


if __name__ == "__main__":
    main()
