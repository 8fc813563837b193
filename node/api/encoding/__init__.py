"""Encodings of answers: JSON (json_codec), script assembly (disassembler), merkle proofs (merkleblock). Pure."""
