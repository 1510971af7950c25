"""evaluate-pins.py SERIES PINS, or SERIES --requires METADATA NAME: prints the requirements that hold for that Python on Linux, without markers."""

import sys
from email.parser import HeaderParser

from pip._vendor.packaging.requirements import Requirement

series, first = sys.argv[1:3]
if first == "--requires":
    with open(sys.argv[3]) as file:
        requirements = [Requirement(line) for line in HeaderParser().parse(file).get_all("Requires-Dist")]
    requirements = [requirement for requirement in requirements if requirement.name == sys.argv[4]]
else:
    with open(first) as file:
        requirements = [Requirement(line) for line in (line.split("#")[0].strip() for line in file) if line]

environment = {"python_version": series, "python_full_version": series + ".0", "sys_platform": "linux", "platform_system": "Linux",
               "platform_machine": "x86_64", "os_name": "posix", "implementation_name": "cpython", "platform_python_implementation": "CPython"}
for requirement in requirements:
    if requirement.marker is None or requirement.marker.evaluate(environment):
        # certifi is a list of root certificates: the newest is wanted, and the pinned one is not on every index.
        print(requirement.name if requirement.name == "certifi" else f"{requirement.name}{requirement.specifier}")
