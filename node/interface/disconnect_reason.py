"""Reasons for ending what is open with a peer."""

from enum import Enum


class DisconnectReason(Enum):
    """The reason that a peer, or a node greeted in vain, was left; the value is how the log says it."""

    OPERATOR = "the operator said so"
    RESTARTED = "it was restarted"
    """It has drawn a new instance: the sessions of its last start are void."""
    SILENT = "it fell silent"
    UNRESPONSIVE = "it does not answer"
    REFUSED = "it refused"
    """It answered a request with a refusal that ends the session."""
    OFFENCE = "it broke the rules"
    LOW_SCORE = "its score is too low"
    EVICTED = "it made room for another"
    NEARER = "a nearer one took its place"
    REPLACED = "another node is at its address"
    HANDSHAKE = "the handshake came to nothing"
    GOODBYE = "it said goodbye"
    """Of a visitor; an ordinary peer's goodbye ends nothing."""
    CROWDED = "others come to visit"
    VISIT_TOO_LONG = "its visit took too long"
    VISIT_OVER = "the visit is over"
    """We have asked what we wanted to ask."""
    INTRODUCED = "it has been introduced"
    """A tracker has told it of others, which is all that it does."""
