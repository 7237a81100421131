"""The pages of benchmarks/, one file each; page.py writes them."""
