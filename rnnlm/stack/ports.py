"""Ports of this machine: which are free, and which to take."""

import socket

from rnnlm.errors import ConfigError

HOST = "127.0.0.1"


def find_port(usual: int, wanted: int | None, option: str, taken: int | None = None) -> int:
    """Return the port that was asked for, or else the first free one from the usual one on.

    Args:
        usual: Where the search begins.
        wanted: The port that the user asked for.
        option: The command line's option for it.
        taken: A port that is given away already.

    Raises:
        ConfigError: If the port that was asked for is busy.
    """
    if wanted is not None:
        if wanted == taken or not is_free(wanted):
            raise ConfigError(
                f"port {wanted} is busy.", where=option, remedy="Leave the option out to find a free one."
            )
        return wanted
    for port in range(usual, min(usual + 100, 65_536)):
        if port != taken and is_free(port):
            return port
    raise ConfigError(f"no port from {usual} to {usual + 99} is free.", where=option, remedy="Name a free one.")


def is_free(port: int) -> bool:
    """Return whether a server may listen at this port of this machine."""
    with socket.socket() as probe:
        # A service may listen on all addresses, where some systems let a second one bind to a single address.
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        # As the servers themselves do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
