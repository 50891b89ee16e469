"""Types at a terminal: argv is the program with its arguments; stdin holds a line for each prompt.
Each line is typed once its prompt is there and the terminal has stopped to echo. Prints what the
terminal showed, and ends with the program's exit code."""

import os
import pty
import sys
import termios
import time

PATIENCE_S = 20

answers = sys.stdin.read().splitlines()
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""


def read():
    global shown
    try:
        chunk = os.read(terminal, 4096)
    except OSError:  # The program has ended.
        chunk = b""
    shown += chunk
    return chunk


for answer in answers:
    prompts = shown.count(b": ")
    while shown.count(b": ") == prompts and read():
        pass
    until = time.monotonic() + PATIENCE_S
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        if time.monotonic() > until:
            sys.exit("the terminal still echoes")
    os.write(terminal, answer.encode() + b"\n")
while read():
    pass
sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
