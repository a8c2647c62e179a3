import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "app"))
import quince  # noqa: E402


class Version(unittest.TestCase):
    def test_is_that_of_the_manifest(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as manifest:
            json.dump({"version": "17"}, manifest)
            manifest.flush()
            quince.MANIFEST = manifest.name
            self.assertEqual(quince.version(), "17")
