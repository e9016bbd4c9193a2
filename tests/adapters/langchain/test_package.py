"""The package itself."""

import subprocess
import sys


def test_without_langchain_one_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "try:\n    import blastwall_langchain\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "blastwall_langchain needs LangChain: install blastwall[langchain]"


def test_the_core_does_not_import_langchain():
    code = "import sys, blastwall.guard; print('langchain_core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
