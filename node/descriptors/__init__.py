"""Output descriptors (BIP380 to BIP386, BIP389): texts for scripts, and what they stand for. Pure.

Knows addr raw pk pkh wpkh sh wsh combo multi sortedmulti tr rawtr, and pk multi_a sortedmulti_a in
the leaves of tr; no miniscript, no musig. Errors are in Bitcoin Core's words.
"""
