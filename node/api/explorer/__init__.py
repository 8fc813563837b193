"""The web pages under `/explorer/`: a Flask application that is mounted in the API listener.

`site.py` puts it together and `routes.py` says which page is where. What a page shows is one module
a page (`home.py`, `block.py`, ...): a function takes the `Call` and gives a value whose fields the
template of the same name writes down. `draw/` has the geometry of the pictures; words for numbers
and times are in `formatting.py`. Nothing here asks the node by HTTP: all reads are of one `NodeView`.

Nothing outside imports this package but `node/api/explorer/mount.py`, with the first page: Flask takes a
quarter of a second and some 15 MB.
"""
