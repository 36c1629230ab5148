"""Parsers of configuration files and tool output: text in, values out."""
