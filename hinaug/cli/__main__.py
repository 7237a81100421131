"""`python -m hinaug.cli`."""

from hinaug.cli import main

if __name__ == "__main__":
    main()
