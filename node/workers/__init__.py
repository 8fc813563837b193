"""Processes that verify signatures, and the child process they and the miners are started with."""
