"""A Kafka topic in the spool's place: gateways produce, control consumes, and our own store remembers how far.

A message is one group of records, framed and checked as in a segment, under its boot as key, with its number in that
boot (the header ``set``) and the policy. A boot stays in one partition, which keeps its order. Offsets live in the
metadata store, in the transaction that lists the parts; a message that was produced twice is told by its number.
"""
