"""Processes that verify signatures, and the child processes that they and the miners are started as.

A batch of signatures: `VerifierPool.first_failure` verifies a small one in the caller's thread, cuts a large
one into shares, has a verifier process for each processor work on them, and returns the first failure.

Reading order: child_process, verifier_process, verifier_pool.
"""
