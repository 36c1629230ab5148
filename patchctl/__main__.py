"""python3 -m patchctl: the same as the command patchctl."""

from patchctl.cli.main import run

if __name__ == "__main__":
    run()
