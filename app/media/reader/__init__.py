"""Uploads are read in processes of their own: what decodes a stranger's file never holds the model.

`uploads` is what the server calls; `pool` keeps the processes, `process` is what runs in one,
`limits` and `sandbox` are what binds it, and `channel` is how the two sides talk.
"""
