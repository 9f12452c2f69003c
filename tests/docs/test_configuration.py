"""docs/configuration.md lists exactly the settings that the program has, as the program prints them."""

import subprocess

from support.process import ROOT


def test_the_table_of_settings_is_the_programs_own():
    printed = subprocess.run([ROOT / "build/release/bin/tandem", "config", "table"], capture_output=True, text=True,
                             check=True, timeout=20).stdout.strip()
    text = (ROOT / "docs/configuration.md").read_text()
    assert printed and printed in text, "docs/configuration.md is old: paste the output of `tandem config table`"
