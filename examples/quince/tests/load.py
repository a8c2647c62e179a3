"""Sends a hundred requests to the test environment, ten at a time."""
import concurrent.futures
import os
import urllib.request


def request(_):
    with urllib.request.urlopen(os.environ["URL"] + "/", timeout=5) as answer:
        return answer.status


with concurrent.futures.ThreadPoolExecutor(10) as pool:
    answers = list(pool.map(request, range(100)))
print(f"{len(answers)} requests answered")
