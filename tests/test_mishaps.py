"""What happens to the most common mishaps of logging: every line is there, and the process behaves as without us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.logs import ROOT, Ran, read, run

BEGIN = """
import atexit, gc, logging, logging.config, logging.handlers, os, signal, sys, threading, time, warnings, weakref
import wideevents
from wideevents.sinks.lines import LinesSink
# Whoever reads may be slow, and so may another process whose turn it is: that is no mishap.
wideevents.configure(service="shop", output=LinesSink(1, wait_ms=20_000), level="info")
log = logging.getLogger("shop")
"""


class Mishap(NamedTuple):
    """Hold a mishap: what goes wrong, what must be told of it, and how the process ends."""

    name: str
    code: str
    messages: list[str]
    exit_code: int = 0
    on_stderr: str = ""


MISHAPS = [
    Mishap("too few arguments", "log.info('%s and %s', 'one')", ["%s and %s"]),
    Mishap("too many arguments", "log.info('one', 'two')", ["one"]),
    Mishap("an argument of the wrong type", "log.info('%d items', 'three')", ["%d items"]),
    Mishap("a format that is none", "log.info('100% of %s', 'it')", ["100% of %s"]),
    Mishap("a name that the arguments lack", "log.info('%(user)s', {'id': 7})", ["%(user)s"]),
    Mishap(
        "a message that is no text",
        "log.info(ValueError('failed')); log.info(None); log.info(b'raw')",
        [
            "failed",
            "None",
            "b'raw'",
        ],
    ),
    Mishap("a mapping as the message", "log.info({'message': 'paid', 'name': 'Ann', 'at': {1: 2}})", ["paid"]),
    Mishap(
        "an extra called as an attribute", "log.info('hello', extra={'name': 1, 'args': 2, 'message': 3})", ["hello"]
    ),
    Mishap(
        "extras that are no JSON",
        "log.info('hello', extra={'a': {1, 2}, 'b': float('nan'), 'c': 2**99, 'd': b'x'})",
        [
            "hello",
        ],
    ),
    Mishap(
        "an extra that holds itself", "cart = []; cart.append(cart); log.info('hello', extra={'cart': cart})", ["hello"]
    ),
    Mishap("a surrogate", "log.info('\\ud800 %s', '\\udfff', extra={'\\ud800': '\\ud800'})", ["\\ud800 \\udfff"]),
    Mishap(
        "a line break and an escape",
        "log.info('a\\nlevel=error\\r\\x1b[2J\\u2028b')",
        ["a\nlevel=error\r\x1b[2J\u2028b"],
    ),
    Mishap(
        "an argument that cannot be printed",
        """
        class Cart:
            def __repr__(self): raise RuntimeError("broken")
        log.info("cart %s", Cart())
        log.info(Cart())
        log.info("hello", extra={"cart": Cart()})
        """,
        ["cart %s", "<unprintable Cart>", "hello"],
    ),
    Mishap(
        "an argument that logs when it is printed",
        """
        class Cart:
            def __str__(self):
                log.info("printed")
                return "cart"
        log.info("%s", Cart())
        """,
        ["printed", "cart"],
    ),
    Mishap(
        "an argument that waits for another thread that logs",
        """
        class Cart:
            def __str__(self):
                thread = threading.Thread(target=log.info, args=("thread",))
                thread.start()
                thread.join(10)
                return "cart" if not thread.is_alive() else "stuck"
        log.info("%s", Cart())
        """,
        ["thread", "cart"],
    ),
    Mishap(
        "a proxy of what is gone",
        "log.info('%s %s', weakref.proxy(set()), 1); log.info(weakref.proxy(set()))",
        [
            "%s %s",
            "<unprintable ProxyType>",
        ],
    ),
    Mishap(
        "no exception to log",
        "log.exception('nothing raised'); log.info('hello', exc_info=True)",
        [
            "nothing raised",
            "hello",
        ],
    ),
    Mishap(
        "an exception that cannot be printed",
        """
        class Broken(Exception):
            def __str__(self): raise RuntimeError("again")
        try: raise Broken
        except Broken: log.exception("failed")
        """,
        ["failed"],
    ),
    Mishap(
        "a level of one's own",
        "logging.addLevelName(25, 'NOTICE'); log.log(25, 'noted'); log.log(99, 'worst')",
        [
            "noted",
            "worst",
        ],
    ),
    Mishap("a line of a megabyte", "log.info('m' * 10**6); log.info('after')", ["m" * 3_997 + "...", "after"]),
    Mishap(
        "a handler that raises",
        """
        class Broken(logging.Handler):
            def emit(self, record): raise RuntimeError("theirs")
        logging.getLogger().addHandler(Broken())
        try: log.info("hello")
        except RuntimeError: log.handlers.clear()
        """,
        ["hello"],
    ),
    Mishap(
        "a handler that logs",
        """
        class Chatty(logging.Handler):
            def emit(self, record):
                if record.name != "chatty": logging.getLogger("chatty").info("handled %s", record.name)
        logging.getLogger().addHandler(Chatty())
        log.info("hello")
        """,
        ["hello", "handled shop"],
    ),
    Mishap(
        "logging set up twice",
        "logging.basicConfig(); wideevents.configure(service='shop', output='json'); log.info('x')",
        [
            "x",
        ],
    ),
    Mishap("logging shut down", "logging.shutdown(); log.info('hello')", ["hello"]),
    Mishap("logging at exit", "atexit.register(log.info, 'at exit'); log.info('hello')", ["hello", "at exit"]),
    Mishap(
        "logging in __del__ while the garbage is collected",
        """
        class Node:
            def __init__(self): self.me = self
            def __del__(self): log.info("collected")
        gc.disable()
        for _ in range(50): Node()
        gc.collect()
        """,
        ["collected"] * 50,
    ),
    Mishap(
        "logging in __del__ when the interpreter ends",
        """
        class Cart:
            def __del__(self): log.info("deleted")
        cart = Cart()
        log.info("hello")
        """,
        ["hello", "deleted"],
    ),
    Mishap(
        "raising in __del__",
        """
        class Cart:
            def __del__(self): raise RuntimeError("broken")
        cart = Cart()
        del cart
        log.info("on")
        """,
        ["Exception ignored in: <function Cart.__del__>", "on"],
    ),
    Mishap(
        "logging in a signal handler",
        """
        signal.signal(signal.SIGUSR1, lambda *_: log.info("signal"))
        for number in range(50):
            os.kill(os.getpid(), signal.SIGUSR1)
            log.info("main")
        """,
        ["signal", "main"] * 50,
    ),
    Mishap(
        "a signal handler that ends the process",
        """
        def end(*_):
            log.info("ending")
            sys.exit(3)
        signal.signal(signal.SIGTERM, end)
        os.kill(os.getpid(), signal.SIGTERM)
        """,
        ["ending"],
        3,
    ),
    Mishap(
        "logging from a forked child",
        """
        child = os.fork()
        if not child:
            log.info("child")
            os._exit(0)
        os.waitpid(child, 0)
        log.info("parent")
        """,
        ["child", "parent"],
    ),
    Mishap(
        "a fork beside a thread that logs",
        """
        done = threading.Event()
        def work():
            while not done.is_set(): logging.getLogger("thread").info("m" * 9_000)
        thread = threading.Thread(target=work); thread.start()
        for number in range(20):
            child = os.fork()
            if not child:
                signal.alarm(5)
                logging.getLogger("child").info("child")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done.set(); thread.join()
        """,
        ["child"] * 20,
    ),
    Mishap(
        "logging from a child of multiprocessing",
        """
        import multiprocessing
        child = multiprocessing.get_context("fork").Process(target=log.info, args=("child",))
        child.start(); child.join()
        log.info("parent")
        """,
        ["child", "parent"],
    ),
    Mishap(
        "a thread that logs after the main one has ended",
        """
        def late():
            threading.main_thread().join()
            log.info("late")
        threading.Thread(target=late).start()
        log.info("main")
        """,
        ["main", "late"],
    ),
    Mishap(
        "a thread that logs after the logging module was shut down",
        """
        ready = threading.Event()
        def late():
            ready.wait()
            log.info("late")
        thread = threading.Thread(target=late); thread.start()
        logging.shutdown(); ready.set(); thread.join()
        """,
        ["late"],
    ),
    Mishap(
        "an error that nobody caught",
        "log.info('hello'); raise ValueError('failed')",
        [
            "hello",
            "Uncaught exception: ValueError",
        ],
        1,
    ),
    Mishap(
        "an error in a thread",
        "thread = threading.Thread(target=lambda: 1 / 0, name='w'); thread.start(); thread.join(); log.info('on')",
        ["Uncaught exception in the thread w: ZeroDivisionError", "on"],
    ),
    Mishap("an exit without a goodbye", "log.info('hello'); os._exit(7)", ["hello"], 7),
    Mishap("a kill", "log.info('hello'); os.kill(os.getpid(), signal.SIGKILL)", ["hello"], -9),
    Mishap(
        "a deprecation",
        "warnings.simplefilter('always'); warnings.warn_explicit('old', DeprecationWarning, 'f.py', 7); log.info('on')",
        ["f.py:7: DeprecationWarning: old\n", "on"],
    ),
    Mishap(
        "a stream that was replaced",
        "import io; sys.stdout = io.StringIO(); print('not a line'); log.info('hello'); sys.stdout = sys.__stdout__",
        ["hello"],
    ),
    Mishap("no extras at all", "log.info('hello', extra={}); log.info('hello', extra=None)", ["hello", "hello"]),
    Mishap(
        "a record of another class",
        """
        class Record(logging.LogRecord):
            def getMessage(self): return self.msg.format(*self.args)
        logging.setLogRecordFactory(Record)
        log.info("{} and {}", 1, 2)
        log.info("{} and {} and {}", 1, 2)
        """,
        ["1 and 2", "{} and {} and {}"],
    ),
    Mishap(
        "a dictConfig that disables what it does not name",
        "logging.config.dictConfig({'version': 1}); log.info('disabled'); logging.getLogger('new').warning('new')",
        ["new"],
    ),
]


def in_process(code: str, begin: str = BEGIN) -> Ran:
    """Run *code* behind *begin* in a process of its own."""
    return run(begin + dedent(code), seconds=30)


class TestMishaps:
    @pytest.mark.parametrize("mishap", [pytest.param(each, id=each.name) for each in MISHAPS])
    def test_loses_nothing(self, mishap: Mishap) -> None:
        """Every line is there, whole and valid, in its order; nothing else is on standard error."""
        ran = in_process(mishap.code)
        # From Python 3.12 on a fork beside a thread is warned of.
        others = {"thread", "wideevents", *(() if "warnings." in mishap.code else ("py.warnings",))}
        told = [line["message"] for line in ran.lines() if line["log.logger"] not in others]

        assert mishap.messages == told
        assert (mishap.exit_code, mishap.on_stderr) == (ran.code, ran.err)
        assert {line.get("events.lost") for line in ran.lines()} == {None}

    def test_there_are_as_many_as_were_asked_for(self) -> None:
        """Each has a name of its own."""
        assert len({mishap.name for mishap in MISHAPS}) == len(MISHAPS) >= 25

    def test_at_exit_before_us(self) -> None:
        """What was registered first runs last, when our sinks are closed."""
        ran = in_process(
            "log.info('hello')",
            "import atexit, logging; log = logging.getLogger('shop')\natexit.register(log.info, 'at exit')\n" + BEGIN,
        )

        assert (["hello", "at exit"], "") == (ran.messages(), ran.err)

    def test_a_deep_recursion(self) -> None:
        """Where the stack is used up a line is still made, if there is any room to make it in."""
        code = """
        def dive(depth):
            if depth: return dive(depth - 1)
            log.warning("deep %d", 1, extra={"a": {"b": [1]}})
        for depth in range(100, 980, 20):
            try: dive(depth)
            except RecursionError: log.warning("no room")
        log.info("on")
        """
        ran = in_process(code)
        messages = ran.messages("shop")

        assert (0, "on", 44) == (
            ran.code,
            messages[-1],
            sum(each in {"deep %d", "deep 1", "no room"} for each in messages),
        )

    def test_the_streams_were_closed(self) -> None:
        """The objects, and not the descriptor: a line needs none of them."""
        ran = in_process("sys.stdout.close(); log.info('hello')")

        assert (["hello"], 0) == (ran.messages(), ran.code)

    def test_nobody_reads(self) -> None:
        """A reader that has gone costs its lines, and the process nothing."""
        code = BEGIN + "log.info('first'); sys.stdin.readline()\nfor _ in range(3): log.info('lost')\nsys.exit(4)"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        first = read(process.stdout.readline())
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        code_of = process.wait(30)
        err = process.stderr.read()
        process.stderr.close()

        assert ("first", 4) == (first["message"], code_of)
        assert 1 == err.count(b"the line is lost")

    def test_a_blocked_reader_and_signals(self) -> None:
        """Lines of a handler that runs while a write waits for its reader come after it."""
        code = BEGIN + dedent("""
        signal.signal(signal.SIGALRM, lambda *_: log.info("signal"))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        until = time.monotonic() + 1
        number = 0
        while time.monotonic() < until:
            log.info("%d %s", number, "m" * 3_000)
            number += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        log.info("last %d", number)
        """)
        ran = run(code)
        messages = ran.messages("shop")
        numbers = [int(message.split()[0]) for message in messages if message[0].isdigit()]

        assert (list(range(len(numbers))), f"last {len(numbers)}") == (numbers, messages[-1])
        assert messages.count("signal") > 100
        assert "lines.recursion" not in str(ran.lines())

    def test_a_child_that_is_killed_while_it_writes(self) -> None:
        """What the others write is whole."""
        code = BEGIN + dedent("""
        child = os.fork()
        if not child:
            while True: log.info("child %s", "m" * 3_900)
        for number in range(300): log.info("parent %d", number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        log.info("on")
        """)
        ran = run(code)
        parent = [message for message in ran.messages() if not message.startswith("child")]

        assert [*(f"parent {number}" for number in range(300)), "on"] == parent

    def test_ctrl_c(self) -> None:
        """It ends the process as ever, in the middle of its lines."""
        code = BEGIN + "print('{}', file=sys.stderr, flush=True)\nwhile True: log.info('m')"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
        lines = [read(line) for line in out.splitlines(keepends=True)]

        assert (-signal.SIGINT, True) == (process.returncode, b"KeyboardInterrupt" in err)
        assert {"m"} == {line["message"] for line in lines} or not lines
