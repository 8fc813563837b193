"""Long polls: the same messages for peers that cannot be dialled.

server: a peer that we cannot reach polls us, and is answered when there is news. client: we poll a peer that
cannot reach us. pushed_blocks: blocks that such a peer told of are named in our next poll, and it pushes them.
"""
