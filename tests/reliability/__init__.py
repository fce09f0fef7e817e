"""Storms: the whole chain under repetitions, losses, kills and faults that a seed chooses, held against a quiet day.

``storm`` makes a seed's schedule; ``stormy_world`` runs it on a real world, whose functions reach their engines over a
``wire``, on which any call can be broken or its caller killed; ``outcome`` compares what is left; ``report`` sums it up.
How to replay a storm and read its trace: docs/protocol.md, "How it is proven".
"""
