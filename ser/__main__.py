"""The command line as a module: `python -m ser`."""

from ser.cli import entry

if __name__ == "__main__":
    entry()
