"""Asks the test environment, whose address is in $URL, for its version."""
import os
import urllib.request

with urllib.request.urlopen(os.environ["URL"] + "/", timeout=5) as answer:
    got, want = answer.headers["X-Version"], os.environ["DELIVERY_VERSION"]
if got != want:
    raise SystemExit(f"version {got} answers, want {want}")
