"""Video files in and out: probing, decoding, colour, timing, encoding, muxing, the final check."""
