"""Headers and blocks between peers: headers first, then bodies from several peers at once; compact blocks (BIP152).

Headers: `HeaderSync` (header_sync) asks peers from a locator and hands what comes to the chainstate; a branch
with little work goes through headers_presync first, which keeps a bit for every so many headers and asks for them
twice. `HeaderAnnounce` (header_announce) tells peers of ours. Blocks: `BlockDownload` asks the peers that have them, a
window ahead of the tip, and asks others where one stalls; `BlockProcessing` (block_processing) hands bodies to the
chainstate. A new block near the tip comes as a compact block (compact_reconstruct) and is passed on by compact_serve.

Reading order: context, header_peers, unpack (bodies decoded and checked without the lock), download_source,
block_processing, block_download, initial_block_download, known_blocks, unclaimed_headers, headers_presync, header_sync,
header_announce; compact_block, extra_txs, high_bandwidth_peers, compact_serve, compact_reconstruct; block_sync puts
them together.
"""
