"""`pyregistry`, and `python -m pyregistry`."""

from pyregistry.cli import main

if __name__ == "__main__":
    main()
