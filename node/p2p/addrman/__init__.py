"""The address manager (Core's addrman): known endpoints in new and tried buckets.

An endpoint: whoever tells it spends the allowance of its network group (token_bucket); if it may be dialled at
all (net_address) it gets a place in the new table (addrman_buckets); a handshake with it moves it to the tried one;
`AddrMan.select` draws endpoints to dial, by network group first. addrman_file keeps it over restarts.

Reading order: net_address, token_bucket, addrman_buckets, addrman_file, addrman; dial_budget (dials that other
nodes ask for) by itself.
"""
