"""Encodings of answers: JSON, script assembly, merkle proofs."""
