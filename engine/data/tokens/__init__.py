"""Examples -> tokens on disk -> rows to train on: encoding, cutting, packing, the stores and the streams."""
