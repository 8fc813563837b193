"""Runs a network of real nodes on this machine: starts, watches and stops them from outside.

Knows the nodes by their command line, their HTTP API and their process ids, never by import.
"""
