"""Replay: the state that a stream of commands leads to."""
