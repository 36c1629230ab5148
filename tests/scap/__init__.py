"""SCAP content judged on the controller, compared rule by rule with oscap in the same host."""
