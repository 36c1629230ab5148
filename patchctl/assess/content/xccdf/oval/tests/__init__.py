"""OVAL test types, one file each (`TYPE`): what their objects ask, and which items the answers make."""
