"""How fast, how small and how steady the gateway is, always beside something to compare it with.

Absolute figures depend on the machine and on what else it does, so every figure here is a ratio of two things
measured in turn in the same run. `bench/README.md` says what is measured and how; `python -m bench` measures it.
"""
