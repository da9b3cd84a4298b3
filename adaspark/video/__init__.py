"""A video file to checked, sampled and resized frames.

Where what is: the file's size, kind and name in `file` and `limits`; width, length and rate in
`header` and `probe`; crop and encryption in `boxes`; rotation and mirroring in `turn`; seeking in
`decode`; frame times in `packets` and `index`; colour, HDR and alpha in `colour`; which frames are
shown in `sampling` and `clip`; their resizing and patches in `preprocess`; pictures instead of a
video in `images`.
"""
