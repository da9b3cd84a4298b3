"""Compiled twins of the hot parts of `attention.py` and `ffn.py`; optional, loaded when used."""
