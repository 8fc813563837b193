"""The active chain: the block tree's validated part, its coins, reorganisation, recent and stale blocks."""
