"""Labelled data sets as payloads ready to be sent.

`sources` says what there is (digits, files in folders, ImageNet's validation set) without reading an image; `prepare`
turns a source into a `Dataset`, decoding each image once and keeping the result in the `cache`.
"""
