"""Drives a director as an IOS box with netmiko, unmodified: HOST USER PASSWORD.

Exits with status 0 when everything netmiko's users rely on works; the sentence on stderr says what does not.
"""

import sys

from netmiko import ConnectHandler
from netmiko.exceptions import ConfigInvalidException


def main(host: str, user: str, password: str) -> None:
    box = ConnectHandler(
        device_type="cisco_ios",
        host=host,
        username=user,
        password=password,
        # An emulated box with one core.
        conn_timeout=30,
        auth_timeout=30,
        banner_timeout=30,
        read_timeout_override=60,
    )
    prompt = box.find_prompt()
    assert prompt == "lb1#", f"find_prompt returns {prompt!r}"

    shown = box.send_command("show version")
    assert "Yoke" in shown, f"show version prints {shown!r}"
    shown = box.send_command("show virtual-server")
    assert "www" in shown, f"show virtual-server prints {shown!r}"
    # Longer than a page: the pager must be off, and no line missing.
    shown = box.send_command("show running-config")
    assert shown.rstrip().endswith("end"), f"show running-config ends with {shown[-80:]!r}"
    assert "--More--" not in shown, "the pager is on"

    lines = ["virtual-server www", "description from netmiko", "real-server 10.0.20.11 8080", "weight 7"]
    box.send_config_set(lines, error_pattern=r"% (Invalid|Incomplete|Ambiguous|Error)")
    assert not box.check_config_mode(), "send_config_set leaves configuration mode"
    shown = box.send_command("show running-config virtual-server www")
    assert "weight 7" in shown and "from netmiko" in shown, f"the change is not there: {shown!r}"

    try:
        box.send_config_set(["hostname"], error_pattern=r"% Incomplete command")
    except ConfigInvalidException:
        pass
    else:
        raise AssertionError("a wrong line passes for good")
    box.exit_config_mode()

    saved = box.save_config()
    assert "[OK]" in saved, f"save_config prints {saved!r}"
    box.disconnect()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AssertionError as wrong:
        sys.exit(f"netmiko: {wrong}")
