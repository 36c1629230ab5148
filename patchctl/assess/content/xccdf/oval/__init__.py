"""OVAL 5.11: definitions read into values, questions to a host, and the evaluation of the answers."""
