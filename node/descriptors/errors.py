"""Errors in descriptors."""


class DescriptorError(ValueError):
    """An invalid descriptor; the message says why."""


class NotDerivable(DescriptorError):
    """A hardened step below a key of which only the public half is known."""
