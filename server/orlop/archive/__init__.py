"""Tars, layers and image archives: read, written, unpacked and made again, without trusting a byte of them."""
