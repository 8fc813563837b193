"""Mining: hash loops in processes of their own, the pool of them, and the loop that gives them work."""
