"""How check types ask hosts: frames around answers, and batches that several types share."""
