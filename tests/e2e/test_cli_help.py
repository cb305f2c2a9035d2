"""What the program says of itself: all forms agree, with each other and with what is committed."""

import re
import shutil
import subprocess

import pytest
from conftest import TOP, USAGE

pytestmark = pytest.mark.asan

SHELL_OPTIONS = re.compile(r"^ +(?:-\w, )?--([a-z-]+)", re.M)


@pytest.fixture
def verbs(pqc):
    summary = pqc.ok("--help").out
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", summary[summary.index("Verbs:"):], re.M)


@pytest.mark.parametrize("form, file", [("--man", "docs/man/pqc.1"), ("--markdown", "docs/cli.md"),
                                        ("--observability", "docs/observability.md")])
def test_committed_forms(pqc, form, file):
    printed = pqc.ok("help", form).out
    assert printed == (TOP / file).read_text(), f"run: build/pqc help {form} > {file}"


def test_every_verb_everywhere(pqc, verbs):
    assert {"send", "get", "serve", "trust allow"} <= set(verbs)
    man, markdown = pqc.ok("help", "--man").out, pqc.ok("help", "--markdown").out
    completion = pqc.ok("help", "--completion", "bash").out
    for verb in verbs:
        text = pqc.ok(*verb.split(), "--help").out
        assert text.startswith(f"Usage: pqc {verb} ")
        assert pqc.ok("help", *verb.split()).out == text
        assert f'.Ss "{verb}"' in man and f"## pqc {verb}\n" in markdown
        assert f"'{verb}')" in completion
        assert max(map(len, text.splitlines())) <= 80
        options = SHELL_OPTIONS.findall(text[text.index("Options:"):])
        assert "help" in options and len(options) == len(set(options))
        for option in set(options) - {"help"}:
            assert "\\-\\-" + option.replace("-", "\\-") in man.replace("Fl \\-", "\\-\\-")
            assert f"`--{option}" in markdown
            assert f"--{option}" in completion


def test_every_option_has_a_variable(pqc, verbs):
    """But those that ask for a secret, and those that make sense only this once."""
    without = {"help", "passphrase", "add-passphrase", "remove-passphrase", "print-config", "man",
               "markdown", "observability", "completion"}
    for verb in verbs:
        text = pqc.ok(*verb.split(), "--help").out
        text = text[text.index("Options:"):].split("Examples:")[0]
        for block in re.split(r"\n(?=  (?:-\w, |    )--)", text)[1:]:
            option = SHELL_OPTIONS.match(block)
            words = " ".join(block.split())
            assert ("Variable PQC_" in words) == (option[1] not in without), f"{verb}: {words}"


def test_exit_codes_are_listed(pqc):
    text = pqc.ok("--help").out
    codes = re.findall(r"^  (\d+) ", text[text.index("Exit codes:"):], re.M)
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "130"]


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="no mandoc")
def test_manual_page_is_well_formed(pqc):
    page = pqc.ok("help", "--man").stdout
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page,
                          capture_output=True)
    assert lint.stdout == b""
    shown = subprocess.run(["mandoc", "-T", "ascii"], input=page, capture_output=True, check=True)
    assert b"PQC_HOME" in shown.stdout


def complete(pqc, *words):
    """What bash offers behind these words; the last one is under way."""
    script = pqc.ok("help", "--completion", "bash").out + f"""
COMP_WORDS=(pqc {' '.join(f"'{w}'" for w in words)}); COMP_CWORD={len(words)}
_pqc pqc '{words[-1]}' '{words[-2] if len(words) > 1 else 'pqc'}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return set(subprocess.run(["bash", "-u"], input=script.encode(), capture_output=True,
                              check=True, cwd=pqc.cwd).stdout.decode().split())


def test_completion(pqc):
    (pqc.cwd / "some-file").touch()
    assert complete(pqc, "se") == {"send", "seal", "serve"}
    assert complete(pqc, "trust", "") == {"list", "add", "remove", "allow", "deny", "clients",
                                          "role", "roles"}
    assert complete(pqc, "trust", "allow", "--r") == {"--rights", "--role"}
    assert complete(pqc, "serve", "--log-format", "") == {"json", "text", "journal"}
    assert "some-file" in complete(pqc, "send", "some")
    assert complete(pqc, "send", "--accept") == {"--accept-new"}


# ---- command lines that are not understood ----

@pytest.mark.parametrize("words, says", [
    ((), "expected a verb"),
    (("sned",), "there is no verb 'sned'"),
    (("trust",), "'trust add'"),
    (("trust", "me"), "'trust add'"),
    (("help", "nothing"), "there is no verb"),
    (("help", "trust"), "'trust add'"),
    (("help", "send", "get"), "there is no verb"),
    (("send",), "expected FILE... URL, found nothing"),
    (("send", "file"), "expected FILE... URL"),
    (("version", "more"), "'more' is one too many"),
    (("keygen", "--sweet"), "there is no option --sweet"),
    (("keygen", "--suite"), "--suite: expected a value"),
    (("get", "a", "b"), "'b' is one too many"),
    (("get", "http://host/x"), "pqc://"),
    (("get", "pqc://host/x", "--timeout", "soon"), "--timeout: expected a time"),
    (("send", "f", "pqc://host/x", "--part-size", "100K"), "power of two"),
    (("send", "f", "pqc://host/x", "--part-size", "64M"), "--part-size: expected a size"),
    (("send", "f", "pqc://host/x", "--threads", "0"), "from 1 to 64, found '0'"),
    (("serve", "--log-format", "xml"), "expected one of json|text|journal, found 'xml'"),
    (("serve", "--listen", ""), "--listen: expected a value"),
])
def test_usage(pqc, words, says):
    done = pqc.run(*words)
    assert (done.code, done.out) == (USAGE, "")
    assert says in done.err and "--help'" in done.err


def test_usage_errors_in_json(pqc):
    done = pqc.run("list", "--json", "--nonsense")
    error, = done.objects
    assert done.code == USAGE and error["code"] == "usage" and error["exit"] == USAGE


def test_version(pqc):
    assert pqc.ok("--version").out == pqc.ok("version").out
    assert re.fullmatch(r"pqc \d+\.\d+\.\d+\n", pqc.ok("version").out)
