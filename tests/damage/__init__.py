"""Damage to a node's files, place by place: every answer is right, or an error and then repaired.

`python -m tests.damage --places 2000` is the long form, test_damage.py the short one.
"""
