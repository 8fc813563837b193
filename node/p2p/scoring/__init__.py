"""Scores of peers, and what follows from them: discouragement, eviction, choking, rate limits, roles.

An event: `PeerScoring` (peer_scoring) adds it to the peer's score (peer_score), which fades with time; an offence
discourages the peer (banman). Each request is charged to the peer's buckets (rate_limits), before its body is read;
old blocks are served by role and rationed by the choker (block_serving, choking). A newcomer at a full node: eviction
chooses who leaves.

Reading order: service_flags, peer_score, banman, rate_limits, choking, block_serving, eviction, peer_scoring;
time_offsets by itself.
"""
