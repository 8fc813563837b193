"""State that lives longer than one request.

event_feed: events as text, for `/v1/events`. coin_scan: one search of the coin set at a time. template_cache: block
templates for `getblocktemplate`. active_calls: JSON-RPC calls under way. request_metrics: requests counted and timed.
"""
