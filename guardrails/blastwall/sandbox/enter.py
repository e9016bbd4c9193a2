"""The last step into a sandbox, taken inside: open the way out, lay Landlock on, become the command.

In Perl, because it is there on every Debian and Ubuntu (perl-base is essential), has system calls built in,
and starts in a tenth of the time that Python takes: this runs before every command.
"""

import functools
import platform
import shutil
from collections.abc import Callable, Iterable

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox import landlock

PORT = 3128
"""Where the gate is reached, on the sandbox's own loopback."""

REFUSED = b"refused: "
"""How a complaint of the program begins. The command can't write where it is written."""

_SENDMSG = {"x86_64": 46, "aarch64": 211}

_PROGRAM = r"""
my ($status, $door, $sendmsg, $port, $attributes, $count) = splice @ARGV, 0, 6;
open my $told, '>&=', $status or exit 125;
fcntl $told, 2, 1 or exit 125;
sub refuse { syswrite $told, "refused: @_: $!\n"; exit 125 }
if ($door >= 0) {
    open my $out, '+<&=', $door or refuse 'door';
    socket my $listener, 2, 1, 0 or refuse 'socket';
    setsockopt $listener, 1, 2, 1 or refuse 'setsockopt';
    bind $listener, pack 'S n N x8', 2, $port, 0x7f000001 or refuse 'bind';
    listen $listener, 1024 or refuse 'listen';
    my $byte = '!';
    my $vector = pack 'P J', $byte, 1;
    my $rights = pack 'J i i i x4', 20, 1, 1, fileno $listener;
    my $message = pack 'J i x4 P J P J i x4', 0, 0, $vector, 1, $rights, length $rights, 0;
    my $no_signal = 0x4000;
    syscall(0 + $sendmsg, fileno $out, $message, $no_signal) == 1 or refuse 'sendmsg';
    close $listener; close $out;
}
if ($count) {
    $attributes = pack 'H*', $attributes;
    my $rules = syscall 444, $attributes, length $attributes, 0;
    refuse 'landlock_create_ruleset' if $rules < 0;
    while ($count--) {
        my ($access, $path) = splice @ARGV, 0, 2;
        open my $place, '<', $path or refuse $path;
        my $rule = pack 'Q l', $access, fileno $place;
        refuse "landlock_add_rule $path" if syscall(445, $rules, 1, $rule, 0) != 0;
    }
    refuse 'landlock_restrict_self' if syscall(446, $rules, 0) != 0;
}
exec { $ARGV[0] } @ARGV;
print STDERR "$ARGV[0]: $!\n";
exit($! == 2 ? 127 : 126);
"""


@functools.cache
def perl() -> str | None:
    """Find the interpreter among what every sandbox shows of the system."""
    return shutil.which("perl", path="/usr/bin:/bin")


def walls() -> str:
    """Say whether the second wall stands here, for the doctor."""
    if not landlock.version():
        return "no Landlock in this kernel"
    return f"Landlock {landlock.version()}" if perl() else "no Landlock: install perl-base"


def command(report: Callable[[], str], writable: Iterable[str] | None, door: str | None) -> list[str]:
    """Give the words that go before a command inside; none where there is nothing to do.

    Args:
        report: Holds a descriptor that is open inside, for complaints; the command does not get it.
        writable: Folders that may be written, as seen inside; None for no second wall.
        door: A descriptor that is open inside, over which the gate waits for the listener.

    Raises:
        SandboxUnavailable: when there is to be a way out and none can be made.

    """
    walled = writable is not None and landlock.version() and perl()
    if door is None and not walled:
        return []
    interpreter, number = perl(), _SENDMSG.get(platform.machine(), 0)
    if interpreter is None or (door is not None and not number):
        raise SandboxUnavailable(
            "no sandbox: a way to the network needs perl, on x86-64 or ARM64; install it:"
            " apt-get install perl-base"
        )
    rules = landlock.words(writable or ()) if walled else ["", "0"]
    return [interpreter, "-e", _PROGRAM, report(), door or "-1", str(number), str(PORT), *rules]
