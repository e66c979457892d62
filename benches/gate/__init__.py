"""The regression gate: the same benches on two revisions, in turns, and a judgement.

revision  which commits, and one working tree for both
build     a wheel of each, installed in an environment of its own
turn      one run of the benches in an environment
callgrind instructions of small works in an environment
judge     figures to verdicts. No I/O
report    verdicts for people and programs
selftest  that a slowdown fails and that equal things pass
"""
